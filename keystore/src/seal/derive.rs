//! Working keys out of the root key, one per purpose.
//!
//! `store-durability.md` section 2 (R1 to R3): HKDF-SHA-256 with the store as salt; the purposes
//! are a closed list and every part of the info string carries its length.

use hkdf::Hkdf;
use hkdf::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::Secret;

/// What a key derived from the root key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Seals the data keys of key objects.
    Row,
    /// Authenticates plain columns.
    RowMac,
    /// Authenticates the entries of the journal.
    Audit,
    /// Keyed digests of tokens, identifiers and request keys.
    Index,
    /// Seals backups.
    Backup,
    /// Seals copies of single keys.
    KeyBackup,
    /// Authenticates the head of the store.
    Head,
    /// Seals answers kept for repeats.
    Answer,
    /// Authenticates challenges; another one after each restore.
    Challenge,
    /// Makes plausible answers about things that do not exist.
    Decoy,
    /// Tells whether a root key belongs to a store.
    Check,
}

impl Purpose {
    /// Every purpose.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Row,
        Self::RowMac,
        Self::Audit,
        Self::Index,
        Self::Backup,
        Self::KeyBackup,
        Self::Head,
        Self::Answer,
        Self::Challenge,
        Self::Decoy,
        Self::Check,
    ];

    fn label(self) -> &'static [u8] {
        match self {
            Self::Row => b"row",
            Self::RowMac => b"rowmac",
            Self::Audit => b"audit",
            Self::Index => b"index",
            Self::Backup => b"backup",
            Self::KeyBackup => b"key-backup",
            Self::Head => b"head",
            Self::Answer => b"answer",
            Self::Challenge => b"challenge",
            Self::Decoy => b"decoy",
            Self::Check => b"check",
        }
    }
}

/// Joins parts, each behind its length in four bytes, so that no two lists give the same bytes.
pub(crate) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|p| p.len() + 4).sum());
    for part in parts {
        out.extend_from_slice(&length(part));
        out.extend_from_slice(part);
    }
    out
}

fn length(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// HKDF-SHA-256, extract and expand, to `N` bytes. `N` is at most 8160.
pub(crate) fn hkdf<const N: usize>(key: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32) };
    let mut out = Zeroizing::new([0; N]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), key).expand(info, out.as_mut_slice());
    debug_assert!(expanded.is_ok());
    out
}

/// The working key of a purpose. `number` tells generations of it apart: the epoch of the key, or
/// for challenges the incarnation of the store.
pub(crate) fn working_key(root: &[u8; 32], store: &[u8; 16], of: Purpose, number: u32) -> Secret {
    let info = joined(&[b"keygate/v1", b"kek", of.label(), number.to_be_bytes().as_slice()]);
    Secret::from_bytes(hkdf(root, store, &info))
}

/// HMAC-SHA-256 over parts, each behind its length.
pub(crate) fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC fills a short key with zeros to the block of its hash; done here, it cannot fail.
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key.expose()) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(&length(part));
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5869_test_case_1() {
        let okm = hkdf::<42>(
            &[0x0b; 22],
            &hex::decode("000102030405060708090a0b0c").unwrap(),
            &hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap(),
        );
        assert_eq!(
            hex::encode(okm.as_slice()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }

    #[test]
    fn the_mac_is_hmac_sha_256() {
        // RFC 4231 has no key of 32 bytes; this is OpenSSL's answer for key 01 x 32.
        let key = Secret::from_bytes(Zeroizing::new([1; 32]));
        let pkey = openssl::pkey::PKey::hmac(&[1; 32]).unwrap();
        let hash = openssl::hash::MessageDigest::sha256();
        let mut signer = openssl::sign::Signer::new(hash, &pkey).unwrap();
        signer.update(b"\0\0\0\x02hi").unwrap();
        assert_eq!(signer.sign_to_vec().unwrap(), mac(&key, &[b"hi"]));
    }

    #[test]
    fn every_purpose_store_and_number_has_its_own_key() {
        let mut keys = std::collections::BTreeSet::new();
        for purpose in Purpose::ALL {
            for store in [[1; 16], [2; 16]] {
                for number in [1, 2] {
                    keys.insert(*working_key(&[7; 32], &store, purpose, number).expose());
                }
            }
        }
        assert_eq!(keys.len(), Purpose::ALL.len() * 4);
    }

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        let key = Secret::from_bytes(Zeroizing::new([1; 32]));
        assert_ne!(mac(&key, &[b"ab", b"c"]), mac(&key, &[b"a", b"bc"]));
        assert_ne!(joined(&[b"ab", b""]), joined(&[b"", b"ab"]));
    }
}
