//! `keygate inspect`: what bytes say of themselves, verified by nobody. Keygate's contract, section 7; `relying-party-tokens.md`
//! section 9 (tokens without a key set), `secure-key-release.md` section 6 (release answers).

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Args;
use keygate_verifier::logs::{EventLog, LogKind};
use keygate_verifier::{Evidence, EvidenceKind, Verifier, VerifyError};
use openssl::sha::sha256;
use openssl::x509::X509;
use serde_json::{Map, Value, json};

use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::verify::{MAX_EVIDENCE, kind_of, read_evidence};
use crate::client::signed::{Signed, object};

type Members = Map<String, Value>;

/// Arguments of `keygate inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keygate inspect quote.bin\n  keygate inspect --kind token attestation.jwt")]
pub struct InspectArgs {
    /// What it is: sgx, tdx, snp, nitro, tpm, azure-vtpm, software, event-log, ccel, token, release, or auto.
    #[arg(long, default_value = "auto")]
    kind: String,
    /// The evidence, token or answer, or `-` for standard input.
    file: PathBuf,
}

/// Runs `keygate inspect`.
pub fn run(args: &InspectArgs, format: Format) -> Result<Exit, Failure> {
    let bytes = read_evidence(&args.file)?;
    let is_spoken = match args.kind.as_str() {
        "token" | "release" => true,
        "auto" => EvidenceKind::guess(&bytes).is_none() && jws_of(&bytes).is_some(),
        _ => false,
    };
    if let Some(log) = LOGS.iter().find(|(name, _)| *name == args.kind) {
        return show(log.0, event_log(log.1, &bytes)?, format);
    }
    let (kind, says) = if is_spoken { spoken(&args.kind, &bytes)? } else { evidence(&args.kind, &bytes)? };
    show(kind, says, format)
}

/// Logs of what was measured: no evidence by themselves.
const LOGS: &[(&str, LogKind)] = &[("event-log", LogKind::Tpm), ("ccel", LogKind::Ccel)];

fn event_log(kind: LogKind, bytes: &[u8]) -> Result<Members, Failure> {
    let refused = |e: VerifyError| {
        Failure::refused(&e.full_code(), e.to_string()).with_help("give the log as the firmware wrote it")
    };
    Ok(EventLog::parse(bytes, kind).map_err(refused)?.inspect())
}

fn show(kind: &str, says: Members, format: Format) -> Result<Exit, Failure> {
    let mut shown = Map::new();
    shown.insert("kind".into(), json!(kind));
    shown.insert("verified".into(), json!(false));
    shown.insert("note".into(), json!("nothing here was checked: this is what the bytes say of themselves"));
    shown.insert("says".into(), Value::Object(says));
    Output::new(format).object(&Value::Object(shown));
    Ok(Exit::Done)
}

fn evidence(word: &str, bytes: &[u8]) -> Result<(&'static str, Members), Failure> {
    let refused = |e: VerifyError| {
        Failure::refused(&e.full_code(), e.to_string())
            .with_help("name the kind with --kind, and give the bytes as the hardware gave them")
    };
    let kind = kind_of(word, bytes).map_err(refused)?;
    Ok((kind.as_str(), Verifier::inspect(&Evidence { kind, bytes }).map_err(refused)?))
}

/// What is signed by somebody, as text.
enum Spoken {
    /// One compact JWS.
    One(String),
    /// NVIDIA's bundle: the token over all, and those of the devices by name.
    Bundle(String, Members),
}

/// The compact JWS in a file: alone, as the `token` or `value` of an answer, or in NVIDIA's bundle.
fn jws_of(bytes: &[u8]) -> Option<Spoken> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.starts_with('[') {
        let ((_, overall), devices) = serde_json::from_str::<((String, String), Members)>(text).ok()?;
        return Some(Spoken::Bundle(overall, devices));
    }
    let answer = object(text.as_bytes(), text.len());
    let inner = answer.as_ref().and_then(|answer| answer.get("value").or(answer.get("token"))).and_then(Value::as_str);
    let text = inner.unwrap_or(text);
    (text.split('.').count() == 3).then(|| Spoken::One(text.to_owned()))
}

/// A token, or a vault's release answer.
fn spoken(word: &str, bytes: &[u8]) -> Result<(&'static str, Members), Failure> {
    let help = "give a compact JWS, or the answer of the server that has it as `value` or `token`";
    let none = |what: &str| Failure::refused("malformed.token", what).with_help(help);
    let parts = match jws_of(bytes).ok_or_else(|| none("this is no compact JWS"))? {
        Spoken::One(jws) => read(&jws)?,
        Spoken::Bundle(overall, devices) => return Ok(("token", bundle(&overall, &devices)?)),
    };
    let is_release = parts.1.contains_key("request") && parts.1.contains_key("response");
    match (word, is_release) {
        ("release", false) => Err(none("this is no release answer: it has no `request` and `response`")),
        ("token", _) | (_, false) => Ok(("token", told(parts.0, "claims", parts.1))),
        _ => Ok(("release", told(parts.0, "answer", release(parts.1)))),
    }
}

/// Header and payload of a compact JWS.
fn read(jws: &str) -> Result<(Members, Members), Failure> {
    let most = usize::try_from(MAX_EVIDENCE).unwrap_or(usize::MAX);
    let signed = Signed::read(jws, "the token", most).and_then(|signed| Ok((signed.payload()?, signed.header)));
    let (payload, header) = signed.map_err(|e| Failure::refused("malformed.token", e.to_string()))?;
    Ok((header, payload))
}

fn told(mut header: Members, name: &str, payload: Members) -> Members {
    if let Some(chain) = header.get_mut("x5c").and_then(Value::as_array_mut) {
        chain.iter_mut().for_each(|entry| *entry = certificate(entry));
    }
    Map::from_iter([("header".to_owned(), Value::Object(header)), (name.to_owned(), Value::Object(payload))])
}

fn bundle(overall: &str, devices: &Members) -> Result<Members, Failure> {
    let one = |jws: &str| read(jws).map(|(header, claims)| Value::Object(told(header, "claims", claims)));
    let mut told = Map::new();
    for (name, jws) in devices {
        told.insert(name.clone(), one(jws.as_str().unwrap_or_default())?);
    }
    Ok(Map::from_iter([("overall".to_owned(), one(overall)?), ("devices".to_owned(), Value::Object(told))]))
}

/// A certificate by its names; what does not parse stays as it is.
fn certificate(entry: &Value) -> Value {
    let der = entry.as_str().and_then(|text| STANDARD.decode(text).ok());
    let Some((der, parsed)) = der.and_then(|der| X509::from_der(&der).ok().map(|parsed| (der, parsed))) else {
        return entry.clone();
    };
    let alternative = parsed.subject_alt_names();
    let hosts: Vec<&str> = alternative.iter().flatten().filter_map(|name| name.dnsname()).collect();
    json!({
        "subject": format!("{:?}", parsed.subject_name()),
        "issuer": format!("{:?}", parsed.issuer_name()),
        "hosts": hosts,
        "not_before": parsed.not_before().to_string(),
        "not_after": parsed.not_after().to_string(),
        "sha256": hex::encode(sha256(&der)),
    })
}

/// What stands in base64url inside an answer, read as well.
fn release(mut payload: Members) -> Members {
    let places = [["key", "key_hsm"], ["release_policy", "data"]];
    let mut bundle = payload.get_mut("response").and_then(|response| response.get_mut("key"));
    for [outer, inner] in places {
        let place = bundle.as_mut().and_then(|bundle| bundle.get_mut(outer)).and_then(|outer| outer.get_mut(inner));
        if let Some(place) = place
            && let Some(bytes) = place.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            && let Some(read) = object(&bytes, bytes.len())
        {
            *place = Value::Object(read);
        }
    }
    payload
}
