//! AWS Nitro Enclaves: a document by the Nitro Security Module.
//!
//! The module speaks CBOR: request `{"Attestation": {user_data, nonce, public_key}}`, answer `{"Attestation": {document}}` or
//! `{"Error": …}`. AWS Nitro Enclaves, NSM API.

use ciborium::Value;

use super::{Attester, AttesterError, Options, Wanted, nsm, present};

/// Shows that the process runs in an enclave.
pub(super) const DEVICE: &str = "dev/nsm";
/// The most bytes in each of the three members.
const MAX_GIVEN: usize = 1_024;

struct Nitro(Options);

pub(super) fn make(options: &Options) -> Result<Box<dyn Attester>, AttesterError> {
    present(&options.path(DEVICE), "run inside a Nitro enclave, or name another attester")?;
    Ok(Box::new(Nitro(options.clone())))
}

impl Attester for Nitro {
    fn kind(&self) -> &'static str {
        "nitro"
    }
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let request = request(wanted)?;
        let path = self.0.path(DEVICE);
        let answer = nsm::ask(&path, &request)?;
        document(&answer).map_err(|detail| AttesterError::Answer { path, detail })
    }
}

/// The request in CBOR.
pub(super) fn request(wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
    let members: [(&'static str, &[u8]); 3] =
        [("user_data", &wanted.user_data), ("nonce", &wanted.nonce), ("public_key", &wanted.public_key_der)];
    let mut given = Vec::new();
    for (member, bytes) in members {
        let length = bytes.len();
        if length > MAX_GIVEN {
            return Err(AttesterError::TooLong { kind: "nitro", member, length, most: MAX_GIVEN });
        }
        given.push((Value::from(member), Value::Bytes(bytes.to_vec())));
    }
    let request = Value::Map(vec![(Value::from("Attestation"), Value::Map(given))]);
    let mut bytes = Vec::new();
    // Writing a value of this shape to memory cannot fail.
    let _ = ciborium::into_writer(&request, &mut bytes);
    Ok(bytes)
}

/// The document out of the module's answer, or what it says instead.
pub(super) fn document(answer: &[u8]) -> Result<Vec<u8>, String> {
    let unknown = || "the answer is not understood".to_owned();
    let answer: Value = ciborium::from_reader(answer).map_err(|_| unknown())?;
    if let Some(error) = member(&answer, "Error") {
        return Err(format!("the module refused with `{}`", error.as_text().unwrap_or("another type than text")));
    }
    let document = member(&answer, "Attestation").and_then(|inner| member(inner, "document"));
    document.and_then(Value::as_bytes).cloned().ok_or_else(unknown)
}

fn member<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}
