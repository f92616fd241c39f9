//! Keys used: releases, and operations whose answer leaves in the clear.
//!
//! `keyvault-api.md` sections 2, 3 and 5; `secure-key-release.md` section 4.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use zeroize::Zeroizing;

use super::call::{Body, Call, Outcome};
use super::error::Refusal;
use super::place::{Place, Verb};
use super::wire::{LARGEST, Members, malformed};
use crate::broker::vault::{ReleaseInput, Rsa15, Target, VaultAnswer, VaultRequest, VaultUsage, enc_of};
use crate::broker::{Caller, Code, Fault, JsonLimits, Operation, Proof, ReleaseBearer, json as strict};
use crate::doors::proof;

/// Serves one of them.
pub(super) async fn serve(call: &Call, place: Place<'_>, body: Body) -> Outcome {
    let setup = call.broker.vault_setup(&call.seat).clone();
    let (caller, bearer) = match place.verb {
        Verb::Release => releaser(call, setup.release_bearer).await?,
        _ if call.bears_evidence() => (call.by_certificate()?, call.bearer.clone()),
        _ => (call.caller().await?, None),
    };
    let rsa1_5 = if setup.rsa1_5 { Rsa15::Served } else { Rsa15::Refused };
    let usage = Call::body(body).and_then(|body| match place.verb {
        Verb::Raw(operation) => Ok(VaultUsage::Raw(Members::read(&body)?.input(operation, rsa1_5)?)),
        _ => read_release(&body).map(VaultUsage::Release),
    });
    let usage = usage.map_err(|fault| call.refuse(&fault))?;
    let with_iv = match &usage {
        VaultUsage::Raw(input) => (input.operation == Operation::Encrypt).then(|| input.aad.clone()),
        VaultUsage::Release(_) => None,
    };
    let request = VaultRequest {
        seat: call.seat.clone(),
        url: call.url.clone(),
        api_version: call.query.version.as_str().to_owned(),
        key: call.key(place)?,
        usage,
        caller,
        bearer,
    };
    let answer = call.broker.use_vault_key(request).await?;
    Ok(call.ok(&match answer {
        VaultAnswer::Released(jws) => json!({"value": jws}),
        VaultAnswer::Verified(holds) => json!({"value": holds}),
        VaultAnswer::Performed { kid, value, iv, tag } => {
            let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(&value));
            let mut told = json!({"kid": kid, "value": value.as_str()});
            for (name, part) in [("iv", iv), ("tag", tag)] {
                if let Some(part) = part {
                    told[name] = json!(part);
                }
            }
            if let Some(aad) = with_iv.filter(|aad| !aad.is_empty()) {
                told["aad"] = json!(URL_SAFE_NO_PAD.encode(aad));
            }
            told
        }
    }))
}

/// Who asks for a release, and the token of a verifier in the bearer's place. The evidence decides; a bearer that is sent is one that
/// counts here, unless the vault says otherwise.
async fn releaser(call: &Call, wanted: ReleaseBearer) -> Result<(Caller, Option<Zeroizing<String>>), Refusal> {
    match wanted {
        ReleaseBearer::Any if call.bearer.is_some() => Ok((call.by_certificate()?, None)),
        _ if call.bears_evidence() => Ok((call.by_certificate()?, call.bearer.clone())),
        _ => Ok((call.caller().await?, None)),
    }
}

/// The body of a release.
fn read_release(body: &[u8]) -> Result<ReleaseInput, Fault> {
    let members = Members::read(body)?;
    let enc = match members.text("enc")? {
        None => None,
        Some(name) => {
            let served = "`enc` is CKM_RSA_AES_KEY_WRAP, RSA_AES_KEY_WRAP_256 or RSA_AES_KEY_WRAP_384";
            Some(enc_of(name).ok_or(malformed(served))?)
        }
    };
    let nonce = members.nonce()?;
    let target = match members.get("target") {
        Some(serde_json::Value::String(token)) => Target::Token(Zeroizing::new(token.clone())),
        Some(serde_json::Value::Object(_)) => Target::Proof(Box::new(read_proof(body)?)),
        Some(_) => return Err(malformed("`target` is a token, or an object with evidence")),
        None => return Err(malformed("`target` is missing")),
    };
    Ok(ReleaseInput { target, nonce, enc })
}

/// Evidence in the place of a token: the proof of the native door.
fn read_proof(body: &[u8]) -> Result<Proof, Fault> {
    let node =
        strict::parse(body, &JsonLimits::request(LARGEST)).map_err(|_| malformed("the body is no strict json"))?;
    let target = node.get("target").cloned().ok_or(malformed("`target` is missing"))?;
    match proof::Body::of(target, &proof::PROOF)?.proof()? {
        Proof::None => Err(Fault::new(Code::Malformed, "`target` holds neither `evidence` nor `token`")),
        proof => Ok(proof),
    }
}
