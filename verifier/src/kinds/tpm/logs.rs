//! Where event logs become claims: the one seam between this kind and `formats::tcg`.

use serde_json::{Map, Value};

use super::wire::Document;
use crate::error::VerifyError;

/// What the logs of a document say, as far as they replay to the values that were quoted: `boot` and `ima`, each where its log came.
///
/// # Errors
/// None now: a document with a log is refused where it is read.
pub(super) fn boot_claims(_document: &Document) -> Result<Map<String, Value>, VerifyError> {
    Ok(Map::new())
}
