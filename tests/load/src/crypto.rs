//! The bare cryptography of a vault's requests: what floors measure, and what answers are opened and checked with. None of the
//! server's code is in it.
//!
//! `secure-key-release.md` section 4; RFC 8017 section 7.1 (OAEP with SHA-256 for label and mask), RFC 3394, RFC 5649.

use openssl::bn::BigNumRef;
use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::{CipherCtx, CipherCtxFlags};
use openssl::md::Md;
use openssl::pkey::{PKey, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};

use crate::Fallible;

/// How AES wraps a key: initial value and cipher of 256 bits.
#[derive(Clone, Copy)]
pub enum KeyWrap {
    /// `A256KW`: whole blocks of 8 bytes.
    Blocks,
    /// With padding, as in `RSA_AES_KEY_WRAP_256`.
    Padded,
}

impl KeyWrap {
    fn parts(self) -> (&'static CipherRef, &'static [u8]) {
        match self {
            Self::Blocks => (Cipher::aes_256_wrap(), &[0xa6; 8]),
            Self::Padded => (Cipher::aes_256_wrap_pad(), &[0xa6, 0x59, 0x59, 0xa6]),
        }
    }

    /// Wraps under a key of 32 bytes.
    pub fn seal(self, key: &[u8; 32], plaintext: &[u8]) -> Fallible<Vec<u8>> {
        let (cipher, initial) = self.parts();
        let mut context = CipherCtx::new()?;
        context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
        context.encrypt_init(Some(cipher), Some(key), Some(initial))?;
        through(context, plaintext)
    }

    /// Opens what was wrapped under a key of 32 bytes.
    pub fn open(self, key: &[u8], wrapped: &[u8]) -> Fallible<Vec<u8>> {
        if key.len() != 32 {
            return Err("an AES key of 256 bits was expected".into());
        }
        let (cipher, initial) = self.parts();
        let mut context = CipherCtx::new()?;
        context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
        context.decrypt_init(Some(cipher), Some(key), Some(initial))?;
        through(context, wrapped)
    }
}

fn through(mut context: CipherCtx, input: &[u8]) -> Fallible<Vec<u8>> {
    let mut output = Vec::with_capacity(input.len() + 40);
    context.cipher_update_vec(input, &mut output)?;
    context.cipher_final_vec(&mut output)?;
    Ok(output)
}

/// A public key from modulus and exponent, as a JWK brings it.
pub fn rsa_public(n: &BigNumRef, e: &BigNumRef) -> Fallible<PKey<Public>> {
    Ok(PKey::from_rsa(Rsa::from_public_components(n.to_owned()?, e.to_owned()?)?)?)
}

/// RSA-OAEP-256.
pub fn oaep_seal(key: &PKey<Public>, plaintext: &[u8]) -> Fallible<Vec<u8>> {
    let mut context = PkeyCtx::new(key)?;
    context.encrypt_init()?;
    context.set_rsa_padding(Padding::PKCS1_OAEP)?;
    context.set_rsa_oaep_md(Md::sha256())?;
    context.set_rsa_mgf1_md(Md::sha256())?;
    let mut ciphertext = Vec::with_capacity(key.size());
    context.encrypt_to_vec(plaintext, &mut ciphertext)?;
    Ok(ciphertext)
}

/// Opens RSA-OAEP-256.
pub fn oaep_open(key: &PKey<Private>, ciphertext: &[u8]) -> Fallible<Vec<u8>> {
    let mut context = PkeyCtx::new(key)?;
    context.decrypt_init()?;
    context.set_rsa_padding(Padding::PKCS1_OAEP)?;
    context.set_rsa_oaep_md(Md::sha256())?;
    context.set_rsa_mgf1_md(Md::sha256())?;
    let mut plaintext = Vec::with_capacity(key.size());
    context.decrypt_to_vec(ciphertext, &mut plaintext)?;
    Ok(plaintext)
}

/// Opens `RSA_AES_KEY_WRAP_256`: an AES key in OAEP, behind it what is wrapped under that key.
pub fn rsa_aes_open(key: &PKey<Private>, sealed: &[u8]) -> Fallible<Vec<u8>> {
    let (first, second) = sealed.split_at_checked(key.size()).ok_or("too short for its key")?;
    KeyWrap::Padded.open(&oaep_open(key, first)?, second)
}

/// RS256 over a digest of SHA-256.
pub fn rs256_sign(key: &PKey<Private>, digest: &[u8; 32]) -> Fallible<Vec<u8>> {
    let mut context = PkeyCtx::new(key)?;
    context.sign_init()?;
    context.set_rsa_padding(Padding::PKCS1)?;
    context.set_signature_md(Md::sha256())?;
    let mut signature = Vec::with_capacity(key.size());
    context.sign_to_vec(digest, &mut signature)?;
    Ok(signature)
}

/// Whether RS256 over a digest of SHA-256 holds.
pub fn rs256_holds(key: &PKey<Public>, digest: &[u8; 32], signature: &[u8]) -> bool {
    let check = || {
        let mut context = PkeyCtx::new(key)?;
        context.verify_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        context.set_signature_md(Md::sha256())?;
        context.verify(digest, signature)
    };
    check().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_what_was_changed_does_not() {
        let rsa = Rsa::generate(2048).unwrap();
        let public = rsa_public(rsa.n(), rsa.e()).unwrap();
        let private = PKey::from_rsa(rsa).unwrap();
        let mut sealed = oaep_seal(&public, &[8; 32]).unwrap();
        sealed.extend(KeyWrap::Padded.seal(&[8; 32], b"a secret").unwrap());
        assert_eq!(rsa_aes_open(&private, &sealed).unwrap(), b"a secret");
        for at in [0, 255, 256, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(rsa_aes_open(&private, &changed).is_err(), "{at}");
        }
        assert!(rsa_aes_open(&private, &sealed[..255]).is_err());

        let digest = openssl::sha::sha256(b"m");
        let signature = rs256_sign(&private, &digest).unwrap();
        assert!(rs256_holds(&public, &digest, &signature));
        assert!(!rs256_holds(&public, &openssl::sha::sha256(b"n"), &signature));
    }

    #[test]
    fn aes_key_wrap_is_that_of_rfc_3394() {
        let key: [u8; 32] = hex::decode("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
            .unwrap()
            .try_into()
            .unwrap();
        let plain = hex::decode("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f").unwrap();
        let wrapped = KeyWrap::Blocks.seal(&key, &plain).unwrap();
        // RFC 3394 section 4.6.
        assert_eq!(
            hex::encode(&wrapped),
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
        );
        assert_eq!(KeyWrap::Blocks.open(&key, &wrapped).unwrap(), plain);
        assert!(KeyWrap::Padded.open(&key, &wrapped).is_err());
    }
}
