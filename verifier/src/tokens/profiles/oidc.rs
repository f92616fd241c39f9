//! Any other issuer of JWTs. It promises nothing about a TEE: whatever is not said counts as the worst.
//! Relying party tokens, sections 0 and 7; RFC 7800 (`cnf`).

use serde_json::{Map, Value};

use super::judge::Rules;
use super::reading::{Reading, at, dbgstat, debug};
use super::tee_key;
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;

/// Every algorithm with a public key; an hour; a token is for an audience, and it is ours.
pub(super) const RULES: Rules = Rules {
    algorithms: &JwsAlgorithm::ALL,
    typ: &["JWT"],
    typ_optional: true,
    kid: true,
    jwk: false,
    certificates: false,
    audience: true,
    product_names: &[],
    iss_optional: false,
    exp_optional: false,
    life: 3_600,
};

const OFF: [&str; 3] = ["disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently"];

/// `cnf.jwk` is the one place where an issuer vouches for a key by a standard. No place is known where a workload's nonce was
/// verified: `nonce` is an echo.
pub(super) fn read(claims: &Map<String, Value>) -> Result<Reading, TokenFault> {
    let mut reading = Reading::of("none");
    reading.debug = debug(&[dbgstat(claims.get("dbgstat"), &OFF)]);
    reading.key = match claims.get("cnf") {
        None => None,
        Some(Value::Object(_)) => at(claims, &["cnf", "jwk"]).map(tee_key::of_jwk).transpose()?,
        Some(_) => return Err(TokenFault::Claim("cnf")),
    };
    Ok(reading)
}
