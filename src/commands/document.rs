//! Evidence of several files: a JSON document whose members are base64url, or `@path` of a file beside it. Keygate's contract,
//! section 7.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_policies::{Limits, json};
use serde_json::Value;

use super::exit::Failure;

/// The document with every `@path` read, or the bytes as they are where they are no document that names files. Paths are relative
/// to `folder`. A PEM file stands for the bytes in it, and `pcrs` for the JSON in its file.
///
/// # Errors
/// Usage: a file that cannot be read, or a PEM file of more than one block.
pub(super) fn with_files(bytes: Vec<u8>, folder: &Path) -> Result<Vec<u8>, Failure> {
    if bytes.first() != Some(&b'{') || !bytes.windows(2).any(|pair| pair == b"\"@") {
        return Ok(bytes);
    }
    // What is no strict JSON is refused by the reader of its kind, in its words.
    let Ok(document) = json::parse(&bytes, &Limits::request(bytes.len())) else { return Ok(bytes) };
    let mut document = document.to_value();
    let is_evidence = document.get("kind").is_some_and(Value::is_string);
    if !is_evidence {
        return Ok(bytes);
    }
    fill(&mut document, "", folder)?;
    serde_json::to_vec(&document)
        .map_err(|e| Failure::usage(format!("the document cannot be written: {e}"), "check it"))
}

fn fill(value: &mut Value, member: &str, folder: &Path) -> Result<(), Failure> {
    match value {
        Value::Object(members) => members.iter_mut().try_for_each(|(name, inner)| fill(inner, name, folder)),
        Value::Array(list) => list.iter_mut().try_for_each(|inner| fill(inner, member, folder)),
        Value::String(text) => {
            let Some(path) = text.strip_prefix('@') else { return Ok(()) };
            *value = read(&folder.join(path), member)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn read(path: &Path, member: &str) -> Result<Value, Failure> {
    let usage = |what: String| Failure::usage(what, "write it like \"quote\": \"@quote.msg\", beside the document");
    let bytes = std::fs::read(path).map_err(|e| usage(format!("cannot read `{}`: {e}", path.display())))?;
    if member == "pcrs" {
        let values = json::parse(&bytes, &Limits::request(bytes.len()));
        let values = values.map_err(|e| usage(format!("`{}` is no json: {}", path.display(), e.message)))?;
        return Ok(values.to_value());
    }
    let bytes = if bytes.starts_with(b"-----BEGIN ") {
        one_block(&bytes).ok_or_else(|| usage(format!("`{}` is no pem of one block", path.display())))?
    } else {
        bytes
    };
    Ok(Value::String(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The bytes of the one certificate or public key in a PEM text.
fn one_block(pem: &[u8]) -> Option<Vec<u8>> {
    let blocks = pem.windows(11).filter(|window| window == b"-----BEGIN ").count();
    if blocks != 1 {
        return None;
    }
    let certificate = || openssl::x509::X509::from_pem(pem).ok()?.to_der().ok();
    let key = || openssl::pkey::PKey::public_key_from_pem(pem).ok()?.public_key_to_der().ok();
    certificate().or_else(key)
}
