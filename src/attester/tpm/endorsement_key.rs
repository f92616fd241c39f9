//! The endorsement key: its certificate, its public area, and the proof that an attestation key stands in the same TPM.
//!
//! TCG *EK Credential Profile* 2.5, sections 2.2 (NV indexes, chains) and B.3 (templates); TCG *Trusted Platform Module Library*,
//! part 1, section 24 (credential protection); part 3, section 12.5 (TPM2_ActivateCredential).

use zeroize::Zeroizing;

use super::Options;
use super::answers::{Key, Public, der_length};
use super::attestation_key::{self, AttestationKey};
use super::commands::{Loaded, Tpm};
use super::fault::TpmError;
use super::template::EkKind;
use super::wire::Reader;
use crate::attester::AttesterError;

/// NV indexes of the certificates above the endorsement key's. EK profile, section 2.2.1.5.3.
const CHAIN: std::ops::RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;
/// Certificates that are sent along.
const MAX_CHAIN: usize = 8;
/// What may lie between persistent handle and template: the key itself, at the end of the area.
const BEFORE_KEY: usize = 10 + 32;

/// The endorsement key of a TPM, not loaded.
#[derive(Debug, Clone)]
pub struct EndorsementKey {
    /// Its kind.
    pub kind: EkKind,
    /// Its certificate, DER; TPMs without one exist.
    pub certificate: Option<Vec<u8>>,
    /// Certificates above it that the TPM or the operator holds, DER.
    pub chain: Vec<Vec<u8>>,
}

/// Looks for the endorsement key: of the kind that was named, else the first that has a certificate, else RSA.
pub fn find(tpm: &Tpm, options: &Options) -> Result<EndorsementKey, AttesterError> {
    let kinds = options.ek.map_or(EkKind::ALL.to_vec(), |kind| vec![kind]);
    let mut found = None;
    for kind in &kinds {
        if let Some(bytes) = tpm.nv(kind.certificate())? {
            let length = der_length(&bytes).ok_or_else(|| TpmError::NoEndorsementKey {
                detail: format!("what stands in the NV index {:#010x} is no certificate", kind.certificate()),
            })?;
            found = Some((*kind, bytes.get(..length).map(<[u8]>::to_vec)));
            break;
        }
    }
    let (kind, certificate) = found.unwrap_or((options.ek.unwrap_or(EkKind::Rsa), None));
    let chain = match &options.ek_chain {
        Some(file) => attestation_key::read_certificates(file)?,
        None => stored_chain(tpm)?,
    };
    Ok(EndorsementKey { kind, certificate, chain })
}

/// The certificates that the maker left in the TPM, one behind the other over as many indexes as it took.
fn stored_chain(tpm: &Tpm) -> Result<Vec<Vec<u8>>, AttesterError> {
    let mut bytes = Vec::new();
    for index in tpm.handles(*CHAIN.start())?.into_iter().filter(|index| CHAIN.contains(index)) {
        bytes.extend(tpm.nv(index)?.unwrap_or_default());
    }
    let mut chain = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((certificate, after)) = der_length(rest).and_then(|length| rest.split_at_checked(length)) {
        if chain.len() == MAX_CHAIN {
            break;
        }
        chain.push(certificate.to_vec());
        rest = after;
    }
    Ok(chain)
}

impl EndorsementKey {
    /// Loads the key: the one that lasts, where it is by our template, else made anew, which gives the same key every time.
    pub fn load<'t>(&self, tpm: &'t Tpm) -> Result<(Loaded<'t>, Public), AttesterError> {
        let template = self.kind.template();
        for handle in self.kind.persistent() {
            match tpm.persistent(*handle) {
                Ok((loaded, public)) if public.bytes.get(..BEFORE_KEY) == template.get(..BEFORE_KEY) => {
                    return Ok((loaded, public));
                }
                Ok(_) => {}
                Err(refused) if refused.is_nothing_there() => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(tpm.primary(&template)?)
    }

    /// Opens a credential that a server made for this key and the name of `ak`. Both as they came, with or without the size of
    /// TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET in front.
    pub fn activate(
        &self,
        tpm: &Tpm,
        ak: &AttestationKey<'_>,
        credential: &[u8],
        secret: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
        let (ek, public) = self.load(tpm)?;
        let bare = match &public.key {
            Key::Rsa { n, .. } => n.len(),
            // TPMS_ECC_POINT: two coordinates with their sizes.
            Key::Ecc { curve, .. } => 4 + 2 * if *curve == 4 { 48 } else { 32 },
        };
        let secret = if secret.len() == bare { secret } else { unsized_bytes(secret) };
        let policy = if self.kind.by_policy() { Some(tpm.endorsement_policy()?) } else { None };
        let opened = tpm.activate_credential(&ak.loaded, &ek, policy.as_ref(), unsized_bytes(credential), secret);
        Ok(opened?)
    }
}

/// The bytes of a TPM2B, or all of them where the first two are not the length of the rest.
fn unsized_bytes(bytes: &[u8]) -> &[u8] {
    let mut reader = Reader::new(bytes);
    match reader.sized() {
        Ok(inner) if reader.end().is_ok() => inner,
        _ => bytes,
    }
}
