//! snp (to be written).

use crate::error::VerifyError;
use crate::scheme::{Parsed, Scheme};

/// The scheme of this kind.
pub(crate) struct Snp;

impl Scheme for Snp {
    fn parse<'a>(&self, _bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Err(VerifyError::malformed("evidence", "not written yet"))
    }
    fn looks_like(&self, _bytes: &[u8]) -> bool {
        false
    }
}

/// The certificates of an extended report's table, DER each.
pub(crate) fn certificate_table(_bytes: &[u8]) -> Result<Vec<Vec<u8>>, VerifyError> {
    Err(VerifyError::malformed("certificate-table", "not written yet"))
}
