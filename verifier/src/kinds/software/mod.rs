//! The software attester: a signed statement by a key that an operator certified.
//!
//! Keygate's contract, section 4 *Binding*; bad inputs, CFG-05. For demonstrations, tests and machines without a TEE.
//!
//! # What it promises
//!
//! That the holder of a key, whose certificate leads to an anchor that the operator added for kind `software`, wrote these
//! words at about this time. A certificate may be put on a machine that the operator trusts for other reasons.
//!
//! # What it does not promise
//!
//! * No hardware measured anything: `measurement` is what the attester was told to say. Whoever copies the key says it too.
//! * It never stands in for hardware: no anchor is built in, its claims stand under `software` alone, and
//!   `keygate.anchor` names the operator's anchor, so that a rule on `keygate.kind` or on any hardware claim stays unmet.

mod claims;
mod verify;
mod wire;

use serde_json::{Map, Value};

use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::scheme::{Given, Parsed, Scheme};
use crate::verified::Genuine;
use wire::Statement;

/// The scheme of this kind.
pub(crate) struct Software;

impl Scheme for Software {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Ok(Box::new(Statement::parse(bytes)?))
    }

    fn looks_like(&self, bytes: &[u8]) -> bool {
        Statement::parse(bytes).is_ok()
    }
}

impl Parsed for Statement<'_> {
    /// Everything is inside: the chain comes with the statement, the root is the operator's.
    fn wants(&self, _given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        Ok(Vec::new())
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        verify::verify(self, given)
    }

    fn inspect(&self) -> Map<String, Value> {
        claims::attested(self)
    }
}
