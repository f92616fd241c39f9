//! Values of tagged events that have a structure. Windows SDK, `wbcl.h`, SIPAEVENT_*_PAYLOAD.

use serde_json::{Value, json};

use super::super::efi::utf16;
use super::sipa::Node;
use crate::formats::base64url;

pub(in super::super) const BITLOCKER_UNLOCK: u32 = 0x0002_0005;
pub(in super::super) const TRANSFER_CONTROL: u32 = 0x0002_0003;
pub(in super::super) const APPLICATION_SVN: u32 = 0x0002_0009;
pub(in super::super) const BOOT_DEBUGGING: u32 = 0x0004_0001;
pub(in super::super) const BOOT_REVOCATION_LIST: u32 = 0x0004_0002;
pub(in super::super) const OS_KERNEL_DEBUG: u32 = 0x0005_0001;
pub(in super::super) const CODE_INTEGRITY: u32 = 0x0005_0002;
pub(in super::super) const TEST_SIGNING: u32 = 0x0005_0003;
pub(in super::super) const DATA_EXECUTION_PREVENTION: u32 = 0x0005_0004;
pub(in super::super) const SAFE_MODE: u32 = 0x0005_0005;
pub(in super::super) const WINPE: u32 = 0x0005_0006;
pub(in super::super) const HYPERVISOR_LAUNCH_TYPE: u32 = 0x0005_000a;
pub(in super::super) const HYPERVISOR_DEBUG: u32 = 0x0005_000d;
pub(in super::super) const DRIVER_LOAD_POLICY: u32 = 0x0005_000e;
pub(in super::super) const SI_POLICY: u32 = 0x0005_000f;
pub(in super::super) const VSM_LAUNCH_TYPE: u32 = 0x0005_0012;
pub(in super::super) const OS_REVOCATION_LIST: u32 = 0x0005_0013;
pub(in super::super) const VSM_IDK_INFO: u32 = 0x0005_0020;
pub(in super::super) const FLIGHT_SIGNING: u32 = 0x0005_0021;
pub(in super::super) const VSM_IDKS_INFO: u32 = 0x0005_0023;
pub(in super::super) const BOOT_DMA_PROTECTION: u32 = 0x0005_0030;
pub(in super::super) const FILE_PATH: u32 = 0x0007_0001;
pub(in super::super) const AUTHENTICODE_HASH: u32 = 0x0007_0004;
pub(in super::super) const IMAGE_VALIDATED: u32 = 0x0007_000a;
pub(in super::super) const MODULE_SVN: u32 = 0x0007_000b;
pub(in super::super) const VBS_VSM_REQUIRED: u32 = 0x000a_0001;
pub(in super::super) const VBS_SECURE_BOOT_REQUIRED: u32 = 0x000a_0002;
pub(in super::super) const VBS_IOMMU_REQUIRED: u32 = 0x000a_0003;
pub(in super::super) const VBS_MANDATORY_ENFORCEMENT: u32 = 0x000a_0006;
pub(in super::super) const VBS_HVCI_POLICY: u32 = 0x000a_0007;
pub(in super::super) const DRTM_SMM_LEVEL: u32 = 0x000c_0002;
/// SIPAEVENT_LOADEDMODULE_AGGREGATION.
pub(in super::super) const LOADED_MODULE: u32 = 0x4001_0003;

/// A module that the loader brought in: `path`, `digest` (Authenticode), `validated`, `svn`, each where it is said.
pub(in super::super) fn module(inside: &[Node<'_>]) -> Value {
    let of = |tag: u32| inside.iter().find(|node| node.tag == tag);
    let mut module = serde_json::Map::new();
    if let Some(path) = of(FILE_PATH).and_then(Node::bytes).and_then(utf16) {
        module.insert("path".into(), json!(path));
    }
    if let Some(digest) = of(AUTHENTICODE_HASH).and_then(Node::bytes).filter(|digest| digest.len() <= 64) {
        module.insert("digest".into(), json!(hex::encode(digest)));
    }
    if let Some(validated) = of(IMAGE_VALIDATED) {
        module.insert("validated".into(), json!(validated.flag(false)));
    }
    if let Some(svn) = of(MODULE_SVN).and_then(Node::number) {
        module.insert("svn".into(), json!(svn));
    }
    Value::Object(module)
}

/// SIPAEVENT_SI_POLICY_PAYLOAD: `name`, `version`, `digest`.
pub(in super::super) fn si_policy(bytes: &[u8]) -> Option<Value> {
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let (name_length, rest) = rest.split_first_chunk::<2>()?;
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let (digest_length, rest) = rest.split_first_chunk::<4>()?;
    let (name, digest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_length)))?;
    if u32::try_from(digest.len()) != Ok(u32::from_le_bytes(*digest_length)) || digest.len() > 64 {
        return None;
    }
    Some(json!({
        "name": utf16(name)?,
        "version": u64::from_le_bytes(*version),
        "digest": hex::encode(digest),
    }))
}

/// SIPAEVENT_REVOCATION_LIST_PAYLOAD: the digest of the list, in hex.
pub(in super::super) fn revocation_list(bytes: &[u8]) -> Option<String> {
    let (_, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (_, digest) = rest.split_first_chunk::<2>()?;
    (u32::try_from(digest.len()) == Ok(u32::from_le_bytes(*length)) && digest.len() <= 64).then(|| hex::encode(digest))
}

/// SIPAEVENT_VSM_IDK_INFO_PAYLOAD with an RSA key: a JWK with `kty`, `n`, `e`.
pub(in super::super) fn identity_key(bytes: &[u8]) -> Option<Value> {
    let number = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
    let (algorithm, rest) = bytes.split_first_chunk::<4>()?;
    let (bits, rest) = rest.split_first_chunk::<4>()?;
    let (exponent, rest) = rest.split_first_chunk::<4>()?;
    let (modulus, rest) = rest.split_first_chunk::<4>()?;
    let (e, n) = rest.split_at_checked(number(exponent)?)?;
    // VSM_IDK_ALG_ID_RSA is 1; the only one that is published.
    let fits = number(algorithm)? == 1 && n.len() == number(modulus)? && number(bits)? == n.len().checked_mul(8)?;
    if !fits || !(256..=1024).contains(&n.len()) || !(1..=8).contains(&e.len()) {
        return None;
    }
    Some(json!({ "kty": "RSA", "n": base64url::encode(n), "e": base64url::encode(e) }))
}
