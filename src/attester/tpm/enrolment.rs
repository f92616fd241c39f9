//! Enrolment: what a server is told of this TPM, and the proof that its attestation key stands where its endorsement key does.
//!
//! RFC 9683 section 4.2; TCG *Trusted Platform Module Library*, part 1, section 24. The server seals a secret to the endorsement key
//! for the name of the attestation key; only the TPM that holds both opens it.

use std::path::Path;

use openssl::x509::X509;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::attestation_key::{self, AttestationKey, Standing};
use super::commands::Tpm;
use super::endorsement_key::{self, EndorsementKey};
use super::logs::Log;
use super::registers::{Bank, registers};
use super::{Address, Options, TpmError, text};
use crate::attester::AttesterError;

/// TPM_PT_MANUFACTURER, and TPM_PT_FIRMWARE_VERSION_1 behind the vendor's strings. Part 2, section 6.13.
const MANUFACTURER: u32 = 0x105;
const FIRMWARE: u32 = 0x10b;
const PROPERTIES: u32 = 8;

/// This TPM and its keys, for one enrolment. Nothing stays loaded between its steps.
pub struct Enrolment {
    address: Address,
    options: Options,
    ek: EndorsementKey,
    ek_public: Vec<u8>,
    ak_public: Vec<u8>,
    ak_name: Vec<u8>,
    standing: Standing,
}

impl Enrolment {
    /// Finds the endorsement key and loads the attestation key, which is made where there is none, and made anew where the TPM does
    /// not load the old one.
    ///
    /// # Errors
    /// [`AttesterError`].
    pub fn begin(root: &Path, options: &Options) -> Result<Self, AttesterError> {
        let address = options.place(root)?;
        let tpm = Tpm::open(&address)?;
        let ek = endorsement_key::find(&tpm, options)?;
        let ak = attestation_key::load(&tpm, options, true)?;
        let (_loaded, public) = ek.load(&tpm)?;
        Ok(Self {
            ek_public: public.bytes,
            ak_name: ak.name()?,
            ak_public: ak.public.bytes.clone(),
            standing: ak.standing,
            address,
            options: options.clone(),
            ek,
        })
    }

    /// The body of the first request. Public areas are TPMT_PUBLIC.
    pub fn request(&self, machine: &str) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        put("machine", json!(machine));
        // A chain goes with its certificate, or not at all.
        if let Some(certificate) = self.ek.certificate.as_ref().filter(|_| !self.options.ek_bare) {
            put("ek_certificate", json!(text(certificate)));
            if !self.ek.chain.is_empty() {
                put("ek_chain", self.ek.chain.iter().map(|certificate| text(certificate)).collect());
            }
        }
        put("ek_public", json!(text(&self.ek_public)));
        put("ak_public", json!(text(&self.ak_public)));
        Value::Object(body)
    }

    /// Opens the secret of the server's answer.
    ///
    /// # Errors
    /// [`AttesterError`]: it was not made for these two keys.
    pub fn activate(&self, credential: &[u8], secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
        let tpm = Tpm::open(&self.address)?;
        let ak = attestation_key::load(&tpm, &self.options, false)?;
        self.ek.activate(&tpm, &ak, credential, secret)
    }

    /// The name of the attestation key, in hex.
    pub fn ak_name(&self) -> String {
        hex::encode(&self.ak_name)
    }

    /// `kept`, `made`, `replaced` or `given`.
    pub fn ak_standing(&self) -> &'static str {
        self.standing.as_str()
    }
}

/// What a TPM shows of itself: address, maker, banks, endorsement key, attestation key, logs. Nothing is changed but that an
/// attestation key is made where there is none.
///
/// # Errors
/// [`AttesterError`]: no TPM, or one that does not answer. A key or a log that is missing is shown as such.
pub fn show(root: &Path, options: &Options) -> Result<Value, AttesterError> {
    let address = options.place(root)?;
    let tpm = Tpm::open(&address)?;
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("address", json!(address.to_string()));
    maker(&tpm, &mut put)?;
    let banks = tpm.banks()?;
    let active: Map<String, Value> = [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512]
        .into_iter()
        .map(|bank| (bank.as_str().to_owned(), json!(registers(&banks, bank).len())))
        .filter(|(_, count)| *count != json!(0))
        .collect();
    put("banks", Value::Object(active));
    let ek = endorsement_key::find(&tpm, options)?;
    put("ek", endorsement(&ek)?);
    put(
        "ak",
        match attestation_key::load(&tpm, options, false) {
            Ok(ak) => attestation(&ak)?,
            Err(refused @ AttesterError::Tpm(TpmError::Estranged { .. } | TpmError::State { .. })) => {
                json!({"fault": refused.to_string()})
            }
            Err(other) => return Err(other),
        },
    );
    put("event_log", log(Log::Event, root, options));
    put("ima_log", log(Log::Ima, root, options));
    Ok(Value::Object(shown))
}

fn maker(tpm: &Tpm, put: &mut impl FnMut(&str, Value)) -> Result<(), AttesterError> {
    let properties = tpm.properties(MANUFACTURER, PROPERTIES)?;
    let property = |wanted: u32| properties.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    if let Some(value) = property(MANUFACTURER) {
        let letters = String::from_utf8_lossy(&value.to_be_bytes()).trim_matches(['\0', ' ']).to_owned();
        put("manufacturer", json!(letters));
    }
    if let (Some(first), Some(second)) = (property(FIRMWARE), property(FIRMWARE + 1)) {
        put("firmware", json!(format!("{first:08x}.{second:08x}")));
    }
    Ok(())
}

fn endorsement(ek: &EndorsementKey) -> Result<Value, AttesterError> {
    let Some(der) = &ek.certificate else {
        return Ok(json!({"kind": ek.kind.as_str(), "certificate": "none"}));
    };
    let certificate = X509::from_der(der)?;
    let name = |name: &openssl::x509::X509NameRef| {
        let entries = name.entries().filter_map(|entry| {
            let value = entry.data().to_string().ok()?;
            Some(format!("{}={value}", entry.object().nid().short_name().unwrap_or("?")))
        });
        entries.collect::<Vec<_>>().join(", ")
    };
    Ok(json!({
        "kind": ek.kind.as_str(),
        "subject": name(certificate.subject_name()),
        "issuer": name(certificate.issuer_name()),
        "not_after": certificate.not_after().to_string(),
        "certificate_sha256": hex::encode(openssl::sha::sha256(der)),
        "key_sha256": hex::encode(openssl::sha::sha256(&certificate.public_key()?.public_key_to_der()?)),
        "chain": ek.chain.len(),
    }))
}

fn attestation(ak: &AttestationKey<'_>) -> Result<Value, AttesterError> {
    Ok(json!({
        "name": hex::encode(ak.name()?),
        "public": text(&ak.public.bytes),
        "standing": ak.standing.as_str(),
        "certificates": ak.certificates.len(),
    }))
}

fn log(log: Log, root: &Path, options: &Options) -> Value {
    let source = match log {
        Log::Event => &options.event_log,
        Log::Ima => &options.ima_log,
    };
    match log.read(root, source) {
        Ok(Some(bytes)) => json!(format!("{} bytes", bytes.len())),
        Ok(None) => json!("none"),
        Err(error) => json!(error.to_string()),
    }
}
