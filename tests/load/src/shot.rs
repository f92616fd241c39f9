//! One request, prepared before the clock starts, and what its answer must hold.

use std::sync::Arc;

use crate::Fallible;

/// Looks at the body of an answer of 200; the error says what is wrong with it.
pub type Check = Arc<dyn Fn(&[u8]) -> Fallible<()> + Send + Sync>;

/// One request.
#[derive(Clone)]
pub struct Shot {
    /// Path and query.
    pub path: String,
    /// Body.
    pub body: Vec<u8>,
    /// Whether 200 is the right answer, or a refusal.
    pub served: bool,
    /// The bearer that goes with it.
    pub bearer: Option<Arc<str>>,
    /// What the answer must hold, where more is looked at than its status.
    pub check: Option<Check>,
}

impl Shot {
    /// A request that must be answered.
    pub fn served(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self { path: path.into(), body, served: true, bearer: None, check: None }
    }

    /// A request that must be refused.
    pub fn refused(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self { served: false, ..Self::served(path, body) }
    }

    /// With a bearer.
    pub fn by(self, bearer: &Arc<str>) -> Self {
        Self { bearer: Some(Arc::clone(bearer)), ..self }
    }

    /// With a look at the answer.
    pub fn checked(self, check: impl Fn(&[u8]) -> Fallible<()> + Send + Sync + 'static) -> Self {
        Self { check: Some(Arc::new(check)), ..self }
    }
}

/// Makes `count` of something with all cores.
pub fn made<T: Send>(count: usize, one: impl Fn() -> Fallible<T> + Sync) -> Fallible<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |thread: usize| count / threads + usize::from(thread < count % threads);
    let one = &one;
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || (0..share(thread)).map(|_| one()).collect::<Fallible<Vec<_>>>()))
            .collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Result<Vec<_>, _>>()
    });
    let parts = parts.map_err(|_| "a thread that prepares requests ended early")?;
    let mut all = Vec::with_capacity(count);
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}
