//! Challenges: issued without writing anything, spent in the commit of the use.
//!
//! `native-api.md` section 3 *Challenge*; threat model P6. 32 bytes: expiry in unix seconds (4, big-endian), random (12), MAC (16).
//! The MAC is over expiry, random, provider, store and incarnation, under a key of the store for this purpose: another provider,
//! another store and a restored incarnation refuse it. A challenge can be for one request alone: then its digest is under the MAC
//! too, and no other request can spend it. With the entry jti, correlation ids and serial numbers this is the one
//! place outside the keystore that draws randomness.

use keygate_keystore::{Keystore, MacPurpose, ProviderId};
use openssl::sha::sha256;
use subtle::ConstantTimeEq as _;

use super::error::{Code, Fault};

/// The longest life of a challenge, in seconds.
const LONGEST: i64 = 3_600;

/// A fresh challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Opaque to clients.
    pub bytes: [u8; 32],
    /// Unix seconds.
    pub expires_at: i64,
    /// H as this node sees it.
    pub host: String,
}

/// A challenge that is ours and alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// Under which its spending is remembered.
    pub(crate) digest: [u8; 32],
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

/// Makes the bytes of a challenge that lives `seconds`, for any request.
pub(crate) fn issue(
    keystore: &Keystore,
    provider: &ProviderId,
    now: i64,
    seconds: u32,
) -> Result<([u8; 32], i64), Fault> {
    issue_for(keystore, provider, None, now, seconds)
}

/// The same for the one request that has this digest.
pub(crate) fn issue_for(
    keystore: &Keystore,
    provider: &ProviderId,
    request: Option<&[u8; 32]>,
    now: i64,
    seconds: u32,
) -> Result<([u8; 32], i64), Fault> {
    let expires_at = now.saturating_add(i64::from(seconds).min(LONGEST));
    let count = u32::try_from(expires_at).map_err(|_| Fault::new(Code::ClockUntrusted, ""))?;
    let mut bytes = [0u8; 32];
    let (head, tag) = bytes.split_at_mut(16);
    let (expiry, random) = head.split_at_mut(4);
    expiry.copy_from_slice(&count.to_be_bytes());
    random.copy_from_slice(&draw::<12>()?);
    tag.copy_from_slice(&mac(keystore, provider, request, head));
    Ok((bytes, expires_at))
}

/// Whether a challenge is ours, for any request, alive and unspent.
pub(crate) fn check(keystore: &Keystore, provider: &ProviderId, bytes: &[u8; 32], now: i64) -> Result<Live, Fault> {
    check_for(keystore, provider, None, bytes, now)
}

/// Whether a challenge is ours, for this request alone, alive and unspent.
pub(crate) fn check_for(
    keystore: &Keystore,
    provider: &ProviderId,
    request: Option<&[u8; 32]>,
    bytes: &[u8; 32],
    now: i64,
) -> Result<Live, Fault> {
    let stale = |inner: &str| Fault::new(Code::FreshnessFailed, "challenge").because(inner);
    let (head, tag) = bytes.split_at(16);
    if !bool::from(mac(keystore, provider, request, head).ct_eq(tag)) {
        return Err(stale("not a challenge of this provider, store and incarnation"));
    }
    let expiry = head.first_chunk::<4>().map_or(0, |count| u32::from_be_bytes(*count));
    let expires_at = i64::from(expiry);
    if now >= expires_at || expires_at > now.saturating_add(LONGEST + 60) {
        return Err(stale("expired"));
    }
    let digest = sha256(bytes);
    if keystore.challenge_spent(&digest)? {
        return Err(stale("spent"));
    }
    Ok(Live { digest, expires_at })
}

fn mac(keystore: &Keystore, provider: &ProviderId, request: Option<&[u8; 32]>, head: &[u8]) -> [u8; 16] {
    let status = keystore.status();
    let incarnation = status.incarnation.to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![head, provider.as_str().as_bytes(), &status.store_id, &incarnation];
    parts.extend(request.map(<[u8; 32]>::as_slice));
    let whole = keystore.mac(MacPurpose::Challenge, &parts);
    let mut short = [0u8; 16];
    short.copy_from_slice(whole.split_at(16).0);
    short
}

/// Bytes from the operating system.
pub(crate) fn draw<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0u8; N];
    match openssl::rand::rand_bytes(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Fault::new(Code::DependencyUnavailable, "").because("no randomness")),
    }
}

/// As many bytes from the operating system.
pub(crate) fn random(count: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0u8; count];
    match openssl::rand::rand_bytes(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Fault::new(Code::DependencyUnavailable, "").because("no randomness")),
    }
}

/// A correlation id: a random UUID, RFC 9562 version 4. All zeros where the system has no randomness.
pub(crate) fn correlation() -> String {
    let mut bytes = draw::<16>().unwrap_or_default();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    let parts = [text.get(..8), text.get(8..12), text.get(12..16), text.get(16..20), text.get(20..)];
    parts.map(Option::unwrap_or_default).join("-")
}
