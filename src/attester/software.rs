//! The software attester: a statement signed by a certified key. No hardware vouches for it.
//!
//! Evidence of kind `software`: a compact JWS (RFC 7515) whose header carries the certificates, whose payload says what was
//! measured and what is bound.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Attester, AttesterError, AttesterOptions, Wanted, present, read_bounded};

/// The most bytes of an identity, and of a program that is measured.
const MAX_IDENTITY: u64 = 64 * 1024;
const MAX_PROGRAM: u64 = 1024 * 1024 * 1024;
/// The most bytes of a host name in a statement.
const MAX_HOST: usize = 255;

/// A key, its certificates, and what it says of this machine.
struct Software {
    key: EcKey<Private>,
    x5c: Vec<String>,
    measurement: [u8; 48],
    host: String,
}

pub(super) fn make(options: &AttesterOptions) -> Result<Box<dyn Attester>, AttesterError> {
    let Some(path) = &options.identity else {
        let path = "identity.pem".into();
        return Err(AttesterError::Identity {
            path,
            detail: "the software attester needs an identity file".to_owned(),
        });
    };
    let (key, x5c) = identity(path)?;
    let measurement = match options.measurement {
        Some(given) => given,
        None => openssl::sha::sha384(&read_bounded(&options.path("proc/self/exe"), MAX_PROGRAM)?),
    };
    let host = match &options.host {
        Some(given) => given.clone(),
        None => {
            let bytes = read_bounded(&options.path("proc/sys/kernel/hostname"), 256)?;
            String::from_utf8_lossy(&bytes).trim().to_owned()
        }
    };
    if host.len() > MAX_HOST {
        return Err(AttesterError::TooLong { kind: "software", member: "host", length: host.len(), most: MAX_HOST });
    }
    Ok(Box::new(Software { key, x5c, measurement, host }))
}

impl Attester for Software {
    fn kind(&self) -> &'static str {
        "software"
    }

    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let header = json!({"alg": "ES256", "typ": "keygate-software", "x5c": self.x5c});
        let payload = json!({
            "measurement": hex::encode(self.measurement),
            "host": self.host,
            "report_data": hex::encode(wanted.report_data),
            "iat": wanted.now,
            "debug": false,
        });
        let segment = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", segment(&header), segment(&payload));
        let signature = EcdsaSig::sign(&openssl::sha::sha256(signed.as_bytes()), &self.key)?;
        let mut raw = signature.r().to_vec_padded(32)?;
        raw.extend(signature.s().to_vec_padded(32)?);
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw)).into_bytes())
    }
}

/// Key and certificates of an identity file that nobody else may read. A root among the certificates is left out: the broker
/// has it, or does not trust it.
fn identity(path: &Path) -> Result<(EcKey<Private>, Vec<String>), AttesterError> {
    let wrong = |detail: &str| AttesterError::Identity { path: path.to_owned(), detail: detail.to_owned() };
    present(path, "ask the operator of the broker for one")?;
    let mode = path.metadata().map_err(|_| wrong("it cannot be read"))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong("others may read it; `chmod 600` it"));
    }
    let pem = Zeroizing::new(read_bounded(path, MAX_IDENTITY)?);
    let key =
        PKey::private_key_from_pem(&pem).and_then(|key| key.ec_key()).map_err(|_| wrong("no private ec key in it"))?;
    if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
        return Err(wrong("the key is not on p-256"));
    }
    let certificates = X509::stack_from_pem(&pem).map_err(|_| wrong("the certificates do not parse"))?;
    let leaf = certificates.first().ok_or_else(|| wrong("no certificate in it"))?;
    let own = PKey::from_ec_key(key.clone())?;
    if !leaf.public_key().is_ok_and(|certified| certified.public_eq(&own)) {
        return Err(wrong("the first certificate is not of the key"));
    }
    let mut x5c = Vec::new();
    for (index, certificate) in certificates.iter().enumerate() {
        let names = (certificate.subject_name().to_der()?, certificate.issuer_name().to_der()?);
        if index == 0 || names.0 != names.1 {
            x5c.push(STANDARD.encode(certificate.to_der()?));
        }
    }
    Ok((key, x5c))
}
