//! TPM 2.0: a quote of the platform's registers, with the logs that explain them.
//!
//! TCG *Trusted Platform Module Library*, part 1, section 31 (attestation); RFC 9683 for the roles. The evidence is a JSON document;
//! `docs/attesters.md`, section *A TPM*, tells its members. One connection serves one request and everything loaded over it is
//! flushed, so that a TPM without a resource manager stays as it was.

mod address;
mod answers;
mod attestation_key;
mod commands;
mod endorsement_key;
mod enrolment;
mod fault;
mod logs;
mod registers;
mod resident;
mod template;
mod transport;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Attester, AttesterError, ResidentKey, Wanted};
use attestation_key::AttestationKey;
use commands::Tpm;
use logs::Log;
use registers::{Quote, Selection};
use resident::Resident;

pub use address::Address;
pub use attestation_key::AkSource;
pub use enrolment::{Enrolment, show};
pub use fault::TpmError;
pub use logs::LogSource;
pub use template::{AkKind, EkKind};

/// Where the TPM is, which keys of it are used, and what goes along.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address; by default the kernel's device below the root.
    pub address: Option<String>,
    /// The attestation key.
    pub ak: AkSource,
    /// The endorsement key's kind; by default the first with a certificate.
    pub ek: Option<EkKind>,
    /// Certificates above the endorsement key's, PEM; by default those in the TPM.
    pub ek_chain: Option<PathBuf>,
    /// Whether the endorsement key is shown without its certificate, for a server whose operator vouches for the key itself.
    pub ek_bare: bool,
    /// Registers, `sha256:0,1+sha384:all`; by default SHA-256 whole, and SHA-384 whole where the bank is active.
    pub registers: Option<String>,
    /// The firmware's log.
    pub event_log: LogSource,
    /// The kernel's integrity measurements.
    pub ima_log: LogSource,
}

impl Options {
    /// Everything by default, with the attestation key's folder below `state`.
    pub fn usual(state: PathBuf) -> Self {
        Self {
            address: None,
            ak: AkSource::Own { kind: AkKind::default(), folder: state },
            ek: None,
            ek_chain: None,
            ek_bare: false,
            registers: None,
            event_log: LogSource::Kernel,
            ima_log: LogSource::Kernel,
        }
    }

    /// The address, read.
    fn place(&self, root: &Path) -> Result<Address, TpmError> {
        match &self.address {
            Some(given) => Address::parse(given),
            None => Ok(Address::device(root).unwrap_or_else(|| Address::usual(root))),
        }
    }
}

/// Whether a TPM is named or the kernel has one.
pub(super) fn is_here(options: &super::Options) -> bool {
    options.tpm.address.is_some() || Address::device(&options.root).is_some()
}

/// The attester.
struct TpmAttester {
    root: PathBuf,
    options: Options,
    address: Address,
    /// The recipient that was made last, to be certified in evidence that is bound to it.
    resident: Mutex<Option<Arc<Resident>>>,
}

pub(super) fn make(options: &super::Options) -> Result<Box<dyn Attester>, AttesterError> {
    let address = options.tpm.place(&options.root)?;
    if let Some(given) = &options.tpm.registers {
        Selection::parse(given)?;
    }
    // A TPM that is not there is told now and not in the middle of a request.
    drop(Tpm::open(&address)?);
    let (root, options) = (options.root.clone(), options.tpm.clone());
    Ok(Box::new(TpmAttester { root, options, address, resident: Mutex::new(None) }))
}

impl Attester for TpmAttester {
    fn kind(&self) -> &'static str {
        "tpm"
    }

    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let mut data = [0; 32];
        // Qualifying data is the first half of the binding.
        data.iter_mut().zip(wanted.report_data).for_each(|(to, from)| *to = from);
        let tpm = Tpm::open(&self.address)?;
        let selection = match &self.options.registers {
            Some(given) => Selection::parse(given)?,
            None => Selection::usual(&tpm)?,
        };
        let ak = attestation_key::load(&tpm, &self.options, false)?;
        let quote = Quote::take(&tpm, &ak.loaded, &data, &selection)?;
        let mut document = signed(&ak, &quote);
        let recipient = self.resident.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(key) = recipient.filter(|key| key.spki_der() == wanted.public_key_der) {
            let certified = key.certify(&tpm, &ak.loaded, &data)?;
            let member = json!({
                "public": text(key.public()),
                "certify": text(&certified.attest),
                "signature": text(&certified.signature),
            });
            document.insert("recipient_key".to_owned(), member);
        }
        for (name, log, source) in
            [("event_log", Log::Event, &self.options.event_log), ("ima_log", Log::Ima, &self.options.ima_log)]
        {
            if let Some(bytes) = log.read(&self.root, source)? {
                document.insert(name.to_owned(), Value::String(text(&bytes)));
            }
        }
        Ok(Value::Object(document).to_string().into_bytes())
    }

    fn resident_key(&self) -> Result<Arc<dyn ResidentKey>, AttesterError> {
        let key = Arc::new(Resident::make(&self.address)?);
        *self.resident.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&key));
        Ok(key)
    }
}

/// What the attestation key signed, and what is needed to check it.
fn signed(ak: &AttestationKey<'_>, quote: &Quote) -> Map<String, Value> {
    let mut document = Map::new();
    let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    put("kind", json!("tpm"));
    put("quote", json!(text(&quote.attested.attest)));
    put("signature", json!(text(&quote.attested.signature)));
    put("ak", json!(text(&ak.public.bytes)));
    if let Some((own, above)) = ak.certificates.split_first() {
        put("ak_certificate", json!(text(own)));
        if !above.is_empty() {
            put("ak_chain", above.iter().map(|certificate| text(certificate)).collect());
        }
    }
    put("pcrs", quote.values());
    document
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
