//! nitro (to be written).

use crate::error::VerifyError;
use crate::scheme::{Parsed, Scheme};

/// The scheme of this kind.
pub(crate) struct Nitro;

impl Scheme for Nitro {
    fn parse<'a>(&self, _bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Err(VerifyError::malformed("evidence", "not written yet"))
    }
    fn looks_like(&self, _bytes: &[u8]) -> bool {
        false
    }
}
