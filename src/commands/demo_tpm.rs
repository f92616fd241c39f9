//! `keygate demo --attester tpm`: how the demo's server comes to trust the TPM of this machine, by the steps that an operator takes.
//!
//! Keygate's contract, section 2; RFC 9683 section 4.2. The operator vouches for the endorsement key itself, so that every TPM will do,
//! also one whose maker's root is not at hand.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::tpm::PublicArea;
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk};
use super::connect::{ServerArgs, failure};
use super::exit::Failure;
use super::tpm::enrolled;
use crate::attester;
use crate::attester::tpm::Enrolment;
use crate::client::Connection;

/// A machine's and a credential's name.
const MACHINE: &str = "demo";

/// Attester options whose attestation key lasts as long as the demo.
pub(super) fn options(address: Option<&str>, scratch: &Path) -> attester::Options {
    let tpm = attester::tpm::Options {
        address: address.filter(|address| !address.is_empty()).map(str::to_owned),
        // The operator's own word counts, not the maker's.
        ek_bare: true,
        ..attester::tpm::Options::usual(scratch.join("tpm"))
    };
    attester::Options { tpm, ..attester::Options::default() }
}

/// Vouches for the endorsement key, and enrols the machine.
///
/// # Errors
/// The server's refusals, or a TPM that does not answer.
pub(super) async fn trust(
    dir: &Path,
    (data, admin): (&str, &str),
    ca: &[u8],
    options: &attester::Options,
) -> Result<(), Failure> {
    let server =
        ServerArgs { dir: Some(dir.to_path_buf()), server: Some(admin.to_owned()), ca: None, credential: None };
    let desk = Desk::open(&server)?;
    let change = ChangeArgs { reason: Some("the demo".to_owned()), ..ChangeArgs::default() };
    let tpm = |e: attester::AttesterError| Failure::unavailable("attester", e.to_string(), e.help());
    let enrolment = Enrolment::begin(&PathBuf::from("/"), &options.tpm).map_err(tpm)?;
    let request = enrolment.request(MACHINE);
    let body = Map::from_iter([("ek".to_owned(), json!(hex::encode(endorsement_key(&request)?)))]);
    desk.create("/endorsement-keys/allow", body, &change).await?;
    let body = Map::from_iter([("roles".to_owned(), json!(["machine-enroller"]))]);
    let made = desk.create(&format!("/credentials/{MACHINE}/create"), body, &change).await?;
    let token = made.pointer("/credential/token").and_then(Value::as_str).map(str::to_owned);
    let connection = Connection::new(data, ca, token).map_err(failure)?;
    enrolled(&connection, &enrolment, &request).await.map(drop)
}

/// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
fn endorsement_key(request: &Value) -> Result<[u8; 32], Failure> {
    let area = request.get("ek_public").and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let area = area.and_then(|area| PublicArea::parse(&area).ok());
    area.and_then(|area| area.spki_sha256()).ok_or_else(|| {
        Failure::refused("unsupported", "the endorsement key of this TPM is of a kind that is not served")
    })
}
