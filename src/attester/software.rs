//! The software attester: a statement signed by a certified key. No hardware vouches for it.
//!
//! Evidence of kind `software`: a compact JWS (RFC 7515) whose header carries the certificates, whose payload says what was
//! measured and what is bound.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ecdsa::EcdsaSig;
use serde_json::json;

use super::{Attester, AttesterError, Options, SoftwareIdentity, Wanted, read_bounded};

/// The most bytes of a program that is measured.
const MAX_PROGRAM: u64 = 1024 * 1024 * 1024;
/// The most bytes of a host name in a statement.
const MAX_HOST: usize = 255;

/// An identity, and what it says of this machine.
struct Software {
    identity: SoftwareIdentity,
    measurement: [u8; 48],
    host: String,
}

pub(super) fn make(options: &Options) -> Result<Box<dyn Attester>, AttesterError> {
    let path = options.software_identity.as_ref().ok_or(AttesterError::NoIdentity)?;
    let identity = SoftwareIdentity::read(path)?;
    let measurement = match &options.software_measurement {
        Some(given) => parsed(given)?,
        None => openssl::sha::sha384(&read_bounded(&options.path("proc/self/exe"), MAX_PROGRAM)?),
    };
    let host = match &options.software_host {
        Some(given) => given.clone(),
        None => {
            let bytes = read_bounded(&options.path("proc/sys/kernel/hostname"), 256)?;
            String::from_utf8_lossy(&bytes).trim().to_owned()
        }
    };
    if host.len() > MAX_HOST {
        return Err(AttesterError::TooLong { kind: "software", member: "host", length: host.len(), most: MAX_HOST });
    }
    Ok(Box::new(Software { identity, measurement, host }))
}

impl Attester for Software {
    fn kind(&self) -> &'static str {
        "software"
    }

    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let header = json!({"alg": "ES256", "typ": "keygate-software", "x5c": self.identity.x5c()?});
        let payload = json!({
            "measurement": hex::encode(self.measurement),
            "host": self.host,
            "report_data": hex::encode(wanted.report_data),
            "iat": wanted.now,
            "debug": false,
        });
        let segment = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", segment(&header), segment(&payload));
        let signature = EcdsaSig::sign(&openssl::sha::sha256(signed.as_bytes()), self.identity.key())?;
        let mut raw = signature.r().to_vec_padded(32)?;
        raw.extend(signature.s().to_vec_padded(32)?);
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw)).into_bytes())
    }
}

fn parsed(given: &str) -> Result<[u8; 48], AttesterError> {
    let mut measurement = [0; 48];
    match hex::decode_to_slice(given, &mut measurement) {
        Ok(()) => Ok(measurement),
        Err(_) => Err(AttesterError::Measurement { given: given.to_owned() }),
    }
}
