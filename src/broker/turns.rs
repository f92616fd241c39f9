//! The turns of one request: judged on a worker, endorsements fetched in between, until there is an answer.

use std::sync::Arc;

use keygate_verifier::CollateralId;

use super::Broker;
use super::appraise::Held;
use super::error::{BrokerError, Code, Fault};
use super::pool::Permit;
use super::request::Seat;

/// Times endorsements are fetched for one request.
const ROUNDS: usize = 3;

/// What came of a turn on a worker.
pub(crate) enum Turn<T> {
    /// Endorsements are missing.
    Wants(Vec<CollateralId>, Box<Held>),
    /// Done.
    Answered(T),
}

impl Broker {
    /// Runs `turn` until it answers, at most [`ROUNDS`] fetches long. No worker is held while something is fetched. The `bool`
    /// handed to `turn` says whether it is the first one.
    pub(crate) async fn in_turns<P, T, F>(
        self: &Arc<Self>,
        seat: &Seat,
        correlation: &str,
        passage: &Arc<P>,
        turn: F,
    ) -> Result<T, BrokerError>
    where
        P: Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(&Self, &P, Held, bool, Permit) -> Result<Turn<T>, BrokerError> + Copy + Send + 'static,
    {
        let refuse = |fault: Fault| self.refuse_as(seat, &fault, correlation);
        let source = seat.source_prefix();
        let mut held = Held::default();
        for round in 0..=ROUNDS {
            let (broker, passage) = (Arc::clone(self), Arc::clone(passage));
            let work = move |permit| turn(&broker, &passage, held, round == 0, permit);
            match self.pool.run(seat.provider.id().as_str(), &source, work).await.map_err(refuse)?? {
                Turn::Answered(answer) => return Ok(answer),
                Turn::Wants(ids, so_far) if round < ROUNDS => {
                    held = *so_far;
                    held.add_library(&self.library.fetch(&ids, &source).await.map_err(refuse)?);
                }
                Turn::Wants(..) => break,
            }
        }
        Err(refuse(Fault::new(Code::CollateralUnavailable, "").because("still missing after three rounds")))
    }
}
