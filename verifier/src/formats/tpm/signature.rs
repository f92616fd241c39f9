//! How a key signed: TPMT_SIGNATURE. Part 2, section 11.3.

use super::algorithm::{self, NULL, SignatureScheme};
use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tcg::Bank;
use crate::signatures::{Algorithm, PublicKey};

const PART: &str = "tpm-signature";
/// The most bytes of an RSA signature: 4096 bits.
const MAX_RSA: usize = 512;
/// The most bytes of a number of an ECDSA signature: P-521.
const MAX_EC: usize = 66;

/// A signature as it stands, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature<'a> {
    /// How it was made.
    pub scheme: SignatureScheme,
    /// Of which hash.
    pub hash: Bank,
    numbers: Numbers<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Numbers<'a> {
    Rsa(&'a [u8]),
    Ec { r: &'a [u8], s: &'a [u8] },
}

impl<'a> Signature<'a> {
    /// Reads a TPMT_SIGNATURE with nothing behind it. SHA-1 is read: whether it is accepted is for the caller's options.
    ///
    /// # Errors
    /// `malformed`: cut off, numbers longer than any key's; `unsupported`: no scheme, or another scheme or hash (TPM-12).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(bytes, PART);
        let id = reader.u16_be("scheme")?;
        let scheme = SignatureScheme::from_id(id).ok_or_else(|| {
            let what =
                if id == NULL { "there is no signature".into() } else { format!("scheme `{}`", algorithm::name(id)) };
            VerifyError::unsupported(PART, format!("{what}; rsassa, rsapss and ecdsa are served"))
        })?;
        let hash = algorithm::hash(reader.u16_be("hash")?, PART)?;
        let numbers = match scheme {
            SignatureScheme::Rsassa | SignatureScheme::Rsapss => Numbers::Rsa(reader.sized_be("signature", MAX_RSA)?),
            SignatureScheme::Ecdsa => {
                Numbers::Ec { r: reader.sized_be("r", MAX_EC)?, s: reader.sized_be("s", MAX_EC)? }
            }
        };
        reader.finish()?;
        Ok(Self { scheme, hash, numbers })
    }

    /// The algorithm with this scheme and hash.
    pub fn algorithm(&self) -> Algorithm {
        match self.scheme {
            SignatureScheme::Rsassa => Algorithm::TpmRsassa(self.hash),
            SignatureScheme::Rsapss => Algorithm::TpmRsapss(self.hash),
            SignatureScheme::Ecdsa => Algorithm::TpmEcdsa(self.hash),
        }
    }

    /// The signature as a check of this key reads it: RSA as it stands, ECDSA r ‖ s, each as long as the curve's order. `None`: it
    /// cannot be one of this key's.
    pub fn of(&self, key: &PublicKey) -> Option<Vec<u8>> {
        match self.numbers {
            Numbers::Rsa(bytes) => Some(bytes.to_vec()),
            Numbers::Ec { r, s } => {
                let size = match key {
                    PublicKey::P256(..) => 32,
                    PublicKey::P384(..) => 48,
                    _ => return None,
                };
                Some([padded(r, size)?, padded(s, size)?].concat())
            }
        }
    }
}

/// A number with zero bytes in front; `None` where it is longer.
pub(super) fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let missing = size.checked_sub(number.len())?;
    let mut full = vec![0; missing];
    full.extend_from_slice(number);
    Some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> &'static str {
        Signature::parse(bytes).unwrap_err().code()
    }

    #[test]
    fn tpm_12_a_scheme_and_a_hash_that_are_served() {
        let rsa = |scheme: u8, hash: u8| [&[0, scheme, 0, hash, 0, 4][..], &[7; 4]].concat();
        for scheme in [0x14, 0x16] {
            for hash in [0x04, 0x0b, 0x0c, 0x0d] {
                assert!(Signature::parse(&rsa(scheme, hash)).is_ok());
            }
            for hash in [0x00, 0x10, 0x12, 0x27] {
                assert_eq!(code(&rsa(scheme, hash)), "unsupported");
            }
        }
        for scheme in [0x00, 0x05, 0x10, 0x15, 0x17, 0x1a, 0x1b, 0x1c] {
            assert_eq!(code(&rsa(scheme, 0x0b)), "unsupported", "{scheme:#x}");
        }
    }

    #[test]
    fn tpm_13_and_39_lengths_stay_inside() {
        assert_eq!(code(&[0, 0x14, 0, 0x0b, 0xff, 0xff, 1]), "malformed");
        assert_eq!(code(&[0, 0x14, 0, 0x0b, 0, 3, 1, 2]), "malformed");
        assert_eq!(code(&[0, 0x14, 0, 0x0b, 0, 1, 1, 2]), "malformed");
        let ec = |r: usize, s: usize| {
            let number = |length: usize| [&u16::try_from(length).unwrap().to_be_bytes()[..], &vec![1; length]].concat();
            [&[0, 0x18, 0, 0x0b][..], &number(r), &number(s)].concat()
        };
        assert!(Signature::parse(&ec(66, 66)).is_ok());
        assert_eq!(code(&ec(67, 32)), "malformed");
        assert_eq!(code(&ec(32, 67)), "malformed");
    }
}
