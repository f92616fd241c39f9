//! What a source of endorsements is.

use std::fmt;
use std::pin::Pin;

use keygate_verifier::{CollateralId, Endorsements};

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place that endorsements come from.
pub trait Source: Send + Sync {
    /// Whether it has endorsements of this sort.
    fn serves(&self, id: &CollateralId) -> bool;
    /// Brings one.
    fn fetch<'a>(&'a self, id: &'a CollateralId) -> BoxFuture<'a, Result<Endorsements, SourceError>>;
}

/// Why an endorsement could not be had. Code `collateral-unavailable`.
#[derive(Debug, Clone)]
pub struct SourceError {
    what: String,
    retry_after: u64,
    budget: bool,
}

impl SourceError {
    /// A failure with its sentence.
    pub fn new(id: &CollateralId, why: impl fmt::Display) -> Self {
        Self { what: format!("endorsement `{id}` cannot be had: {why}"), retry_after: 5, budget: false }
    }
    pub(super) fn nowhere(id: &CollateralId) -> Self {
        Self::new(id, "it is not in the offline folder, and no service is configured for it")
    }
    pub(super) fn budget() -> Self {
        Self { what: "too many endorsements were asked for".to_owned(), retry_after: 60, budget: true }
    }
    /// Seconds after which asking again makes sense.
    pub fn retry_after(&self) -> u64 {
        self.retry_after
    }
    pub(super) fn is_budget(&self) -> bool {
        self.budget
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for SourceError {}

/// Reads a body of at most `limit` bytes within the client's time.
pub(super) async fn get(
    client: &reqwest::Client,
    url: &str,
    limit: usize,
    id: &CollateralId,
) -> Result<(reqwest::header::HeaderMap, Vec<u8>), SourceError> {
    let mut response = client.get(url).send().await.map_err(|e| SourceError::new(id, e.without_url()))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(SourceError::new(id, format!("the service answered {}", response.status())));
    }
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| SourceError::new(id, e.without_url()))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(SourceError::new(id, format!("the answer is larger than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((headers, body))
}

/// A client that follows no redirect, obeys no proxy of the environment, and gives up in time.
///
/// # Errors
/// A TLS library that cannot be set up.
pub(super) fn client(seconds: u64) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(std::time::Duration::from_secs(seconds))
        .connect_timeout(std::time::Duration::from_secs(seconds.min(5)))
        .user_agent("keygate")
        .build()
        .map_err(|e| e.to_string())
}
