//! What another Keygate concluded: the member `keygate` of its tokens, which have Azure's form otherwise.
//! Tokens and claims of Azure Attestation, section 4.6; threat model, P20: it narrows what is accepted and never widens it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::reading::Reading;
use crate::tokens::fault::TokenFault;

/// The most names for deny lists in one token.
const MOST_IDENTITIES: usize = 64;

/// Notes anchor, TCB and debug as that one found them, and the names for deny lists that it blinded.
pub(super) fn read(claims: &Map<String, Value>, reading: &mut Reading) -> Result<(), TokenFault> {
    let said = claims.get("keygate").and_then(Value::as_object).ok_or(TokenFault::Claim("keygate"))?;
    // A machine on Azure is read by the hardware below it; its evidence has a kind of its own, and always hardware.
    let kind = match (claims.get("x-ms-attestation-type").and_then(Value::as_str), reading.kind) {
        (Some("azurevm"), "snp" | "tdx") => "azure-vtpm",
        (_, kind) => kind,
    };
    if said.get("kind").and_then(Value::as_str) != Some(kind) {
        return Err(TokenFault::Profile("its `keygate.kind` is not its attestation type"));
    }
    let anchor = said.get("anchor").filter(|anchor| anchor.as_str().is_some_and(|name| !name.is_empty()));
    reading.told.insert("anchor".into(), anchor.ok_or(TokenFault::Claim("keygate.anchor"))?.clone());
    reading.debug |= said.get("debug") != Some(&Value::Bool(false));
    match said.get("tcb") {
        Some(tcb @ Value::Object(_)) => reading.tcb = Some(tcb.clone()),
        None if !matches!(reading.kind, "sgx" | "tdx") => {}
        _ => return Err(TokenFault::Claim("keygate.tcb")),
    }
    for name in ["revocation", "known_forgeable"] {
        if let Some(value) = said.get(name) {
            reading.told.insert(name.into(), value.clone());
        }
    }
    reading.blinded = identities(said).ok_or(TokenFault::Claim("keygate.identities"))?;
    Ok(())
}

/// The names, each 32 bytes in base64url; at least one.
fn identities(said: &Map<String, Value>) -> Option<Vec<[u8; 32]>> {
    let list = said.get("identities")?.as_array()?;
    let one = |name: &Value| <[u8; 32]>::try_from(URL_SAFE_NO_PAD.decode(name.as_str()?).ok()?).ok();
    list.iter().map(one).collect::<Option<Vec<_>>>().filter(|all| (1..=MOST_IDENTITIES).contains(&all.len()))
}
