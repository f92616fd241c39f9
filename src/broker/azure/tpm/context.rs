//! A challenge and the context that goes with it, so that nothing is remembered between two rounds. TPM and VBS attestation
//! protocol, section 1.
//!
//! The context is opaque to clients: a version, a nonce, and AES-256-GCM over challenge (16 bytes), expiry (unix seconds, 8 bytes,
//! big-endian) and the provider's id. The key is the store's and of its incarnation: every node of the store opens it, also after a
//! restart, and a restored store does not. What was used is remembered like any challenge.

use keygate_keystore::{Keystore, MacPurpose, ProviderId};
use openssl::sha::sha256;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use zeroize::Zeroizing;

use crate::broker::challenge::draw;
use crate::broker::error::{Code, Fault};

/// Life of a challenge, in seconds.
const LIFE: i64 = 300;
const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Sets the key apart from every other use of the store's key for challenges.
const LABEL: &[u8] = b"attest-tpm-service-context";

/// A fresh challenge and its context.
pub(super) struct Issued {
    pub(super) challenge: [u8; 16],
    pub(super) context: Vec<u8>,
}

/// A context that is ours and alive.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) challenge: [u8; 16],
    /// Unix seconds.
    pub(super) expires_at: i64,
    /// Under which its use is remembered.
    pub(super) digest: [u8; 32],
}

/// Makes a challenge.
pub(super) fn issue(keystore: &Keystore, provider: &ProviderId, now: i64) -> Result<Issued, Fault> {
    let (challenge, nonce) = (draw::<16>()?, draw::<NONCE>()?);
    let expires_at = now.saturating_add(LIFE);
    let plain = [&challenge[..], &expires_at.to_be_bytes(), provider.as_str().as_bytes()].concat();
    let mut tag = [0; TAG];
    let key = key(keystore);
    let sealed = encrypt_aead(Cipher::aes_256_gcm(), &*key, Some(&nonce), &[VERSION], &plain, &mut tag);
    let sealed =
        sealed.map_err(|_| Fault::new(Code::DependencyUnavailable, "").because("a context cannot be sealed"))?;
    Ok(Issued { challenge, context: [&[VERSION][..], &nonce, &sealed, &tag].concat() })
}

/// Opens a context: ours, of this provider, alive and unused.
pub(super) fn open(keystore: &Keystore, provider: &ProviderId, context: &[u8], now: i64) -> Result<Opened, Fault> {
    let stale = |inner: &str| Fault::new(Code::FreshnessFailed, "service-context").because(inner);
    let foreign = || stale("not a context of this store and incarnation");
    let plain = unsealed(keystore, context).ok_or_else(foreign)?;
    let (challenge, rest) = plain.split_first_chunk::<16>().ok_or_else(foreign)?;
    let (expiry, owner) = rest.split_first_chunk::<8>().ok_or_else(foreign)?;
    if owner != provider.as_str().as_bytes() {
        return Err(stale("the context of another provider"));
    }
    let expires_at = i64::from_be_bytes(*expiry);
    if now >= expires_at || expires_at > now.saturating_add(LIFE + 60) {
        return Err(stale("expired"));
    }
    let digest = sha256(&[LABEL, challenge].concat());
    if keystore.challenge_spent(&digest)? {
        return Err(stale("used before"));
    }
    Ok(Opened { challenge: *challenge, expires_at, digest })
}

fn unsealed(keystore: &Keystore, context: &[u8]) -> Option<Vec<u8>> {
    let (version, rest) = context.split_first()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
    let (sealed, tag) = rest.split_last_chunk::<TAG>()?;
    if *version != VERSION {
        return None;
    }
    decrypt_aead(Cipher::aes_256_gcm(), &*key(keystore), Some(nonce), &[VERSION], sealed, tag).ok()
}

fn key(keystore: &Keystore) -> Zeroizing<[u8; 32]> {
    let status = keystore.status();
    let incarnation = status.incarnation.to_be_bytes();
    Zeroizing::new(keystore.mac(MacPurpose::Challenge, &[LABEL, &status.store_id, &incarnation]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keygate_keystore::FileRoot;

    const NOW: i64 = 1_800_000_000;

    struct Shop {
        dir: tempfile::TempDir,
        keystore: Keystore,
    }

    fn shop() -> Shop {
        let dir = tempfile::tempdir().unwrap();
        let root = FileRoot::create(&dir.path().join("root.key")).unwrap();
        let keystore = Keystore::create(&dir.path().join("store.db"), &root, 7, NOW).unwrap();
        Shop { dir, keystore }
    }

    fn id(text: &str) -> ProviderId {
        ProviderId::parse(text).unwrap()
    }

    fn why(told: Result<Opened, Fault>) -> String {
        let fault = told.unwrap_err();
        assert_eq!(fault.code, Code::FreshnessFailed);
        fault.inner
    }

    #[test]
    fn a_context_opens_at_its_provider_for_five_minutes() {
        let shop = shop();
        let issued = issue(&shop.keystore, &id("default"), NOW).unwrap();
        let open = |provider: &str, at| open(&shop.keystore, &id(provider), &issued.context, at);
        let opened = open("default", NOW + 299).unwrap();
        assert_eq!((opened.challenge, opened.expires_at), (issued.challenge, NOW + 300));
        assert_eq!(why(open("default", NOW + 300)), "expired");
        assert_eq!(why(open("default", NOW - 61)), "expired");
        assert_eq!(why(open("other", NOW)), "the context of another provider");
        let second = issue(&shop.keystore, &id("default"), NOW).unwrap();
        assert_ne!((second.challenge, &second.context), (issued.challenge, &issued.context));
    }

    #[test]
    fn every_byte_of_a_context_counts() {
        let shop = shop();
        let issued = issue(&shop.keystore, &id("default"), NOW).unwrap();
        for at in 0..issued.context.len() {
            let mut damaged = issued.context.clone();
            damaged[at] ^= 1;
            let told = open(&shop.keystore, &id("default"), &damaged, NOW);
            assert_eq!(why(told), "not a context of this store and incarnation", "byte {at}");
        }
        for cut in [0, 1, 12, 13, 28, issued.context.len() - 1] {
            why(open(&shop.keystore, &id("default"), &issued.context[..cut], NOW));
        }
    }

    #[test]
    fn a_context_survives_a_restart_and_is_strange_to_another_store() {
        let Shop { dir, keystore } = shop();
        let issued = issue(&keystore, &id("default"), NOW).unwrap();
        keystore.shutdown();
        drop(keystore);
        let root = FileRoot::new(dir.path().join("root.key"));
        let again = Keystore::open(&dir.path().join("store.db"), &root, NOW).unwrap();
        assert!(open(&again, &id("default"), &issued.context, NOW).is_ok());
        why(open(&shop().keystore, &id("default"), &issued.context, NOW));
    }
}
