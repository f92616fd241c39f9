//! A recipient key that never leaves the TPM: what is sealed to it can only be opened here.
//!
//! TCG *Trusted Platform Module Library*, part 3, section 14.3 (TPM2_RSA_Decrypt); part 1, section B.4 (RSAES_OAEP), with SHA-256 for
//! label and mask and an empty label, as RFC 7518 section 4.3 (`RSA-OAEP-256`) has it.

use openssl::bn::BigNum;
use openssl::rsa::Rsa;
use zeroize::Zeroizing;

use super::address::Address;
use super::answers::{Attested, Key, Public};
use super::commands::{Loaded, Tpm};
use super::fault::TpmError;
use super::template;
use crate::attester::{AttesterError, ResidentKey};

/// The key between making and use: its halves, of which the private one is encrypted to the TPM.
#[derive(Clone)]
pub struct Resident {
    address: Address,
    private: Vec<u8>,
    public: Public,
    n: Vec<u8>,
    e: Vec<u8>,
    spki: Vec<u8>,
}

impl Resident {
    /// Makes a key in the TPM at this address.
    pub fn make(address: &Address) -> Result<Self, AttesterError> {
        let tpm = Tpm::open(address)?;
        let (parent, _) = tpm.primary(&template::parent())?;
        let (private, public) = tpm.create(&parent, &template::recipient())?;
        let Key::Rsa { n, e } = &public.key else {
            return Err(TpmError::NotOpened.into());
        };
        let exponent = BigNum::from_u32(*e)?;
        let spki = Rsa::from_public_components(BigNum::from_slice(n)?, exponent.to_owned()?)?.public_key_to_der()?;
        let (n, e) = (n.clone(), exponent.to_vec());
        Ok(Self { address: address.clone(), private, public, n, e, spki })
    }

    /// TPMT_PUBLIC.
    pub fn public(&self) -> &[u8] {
        &self.public.bytes
    }

    /// That the key stands in the TPM of `ak`, over `data`. The key is loaded for as long as it takes.
    pub fn certify(&self, tpm: &Tpm, ak: &Loaded<'_>, data: &[u8; 32]) -> Result<Attested, AttesterError> {
        let key = self.load(tpm)?;
        Ok(tpm.certify(&key, ak, data)?)
    }

    fn load<'t>(&self, tpm: &'t Tpm) -> Result<Loaded<'t>, TpmError> {
        let (parent, _) = tpm.primary(&template::parent())?;
        tpm.load(&parent, &self.private, &self.public.bytes)
    }
}

impl ResidentKey for Resident {
    fn modulus(&self) -> &[u8] {
        &self.n
    }
    fn exponent(&self) -> &[u8] {
        &self.e
    }
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }
    fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
        let tpm = Tpm::open(&self.address)?;
        let key = self.load(&tpm)?;
        match tpm.rsa_decrypt(&key, ciphertext) {
            // Whatever is no warning (0x9..) is about what was to be opened; some emulators call that a failure.
            Err(TpmError::Refused { code, .. }) if code & 0x980 != 0x900 => Err(TpmError::NotOpened.into()),
            other => Ok(other?),
        }
    }
}
