//! A key in a body: what is to be made or brought.
//!
//! `keyvault-api.md` sections 2 (create, import) and 3 (types, sizes, curves).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::version::ApiVersion;
use super::wire::{Members, binary, malformed};
use crate::broker::admin::keys::Brought;
use crate::broker::vault::{NewVaultKey, TransferredKind, VaultMaterial, enc_of};
use crate::broker::{Code, Fault, KeySelector, KeyType};

/// Longest symmetric key that is brought, in bytes.
const LONGEST_OCT: usize = 64;
/// Members of a JWK that hold numbers or bytes.
const NUMBERS: [&str; 11] = ["n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y", "k"];

/// A type and whether it is one of an HSM.
fn family(kty: &str) -> Result<(&str, bool), Fault> {
    let (plain, hsm) = kty.strip_suffix("-HSM").map_or((kty, false), |plain| (plain, true));
    match plain {
        "RSA" | "EC" | "oct" => Ok((plain, hsm)),
        _ => Err(malformed("`kty` is one of RSA, EC, oct, RSA-HSM, EC-HSM, oct-HSM")),
    }
}

/// Type and size of a key to be made.
fn type_of(members: &Members, family: &str) -> Result<KeyType, Fault> {
    let size = members.number("key_size")?;
    match family {
        "RSA" => {
            if members.number("public_exponent")?.is_some_and(|e| e != 65_537) {
                return Err(Fault::new(Code::Unsupported, "`public_exponent` is 65537 here"));
            }
            match size.unwrap_or(2048) {
                2048 => Ok(KeyType::Rsa2048),
                3072 => Ok(KeyType::Rsa3072),
                4096 => Ok(KeyType::Rsa4096),
                _ => Err(malformed("`key_size` of an RSA key is 2048, 3072 or 4096")),
            }
        }
        "EC" => match members.text("crv")?.unwrap_or("P-256") {
            "P-256" => Ok(KeyType::EcP256),
            "P-384" => Ok(KeyType::EcP384),
            "P-521" => Ok(KeyType::EcP521),
            "P-256K" => Ok(KeyType::EcP256K),
            _ => Err(malformed("`crv` is one of P-256, P-384, P-521, P-256K")),
        },
        _ => match size.unwrap_or(256) {
            128 => Ok(KeyType::Oct128),
            192 => Ok(KeyType::Oct192),
            256 => Ok(KeyType::Oct256),
            _ => Err(malformed("`key_size` of a symmetric key is 128, 192 or 256")),
        },
    }
}

/// What both bodies have.
fn new_key(members: &Members, material: VaultMaterial, hsm: bool, version: ApiVersion) -> Result<NewVaultKey, Fault> {
    let (lifetime, exportable) = members.attributes()?;
    let policy = members.policy()?;
    if (exportable == Some(true) || policy.is_some()) && !version.is_from("7.3-preview") {
        return Err(malformed("AKV.SKR.1001: an exportable key needs `api-version` 7.3-preview or later"));
    }
    let operations = members.operations()?;
    Ok(NewVaultKey { material, hsm, lifetime, exportable, operations, tags: members.tags()?, policy })
}

/// The body of a creation.
pub(super) fn read_create(body: &[u8], version: ApiVersion) -> Result<NewVaultKey, Fault> {
    let members = Members::read(body)?;
    let (family, hsm) = family(members.needed("kty", "`kty` is missing")?)?;
    new_key(&members, VaultMaterial::Made(type_of(&members, family)?), hsm, version)
}

/// The body of an import; `url` is what ids of this vault begin with.
pub(super) fn read_import(body: &[u8], version: ApiVersion, url: &str) -> Result<NewVaultKey, Fault> {
    let members = Members::read(body)?;
    let key = members.object("key")?.ok_or(malformed("`key` is missing"))?;
    let (family, mut hsm) = family(key.needed("kty", "`key.kty` is missing")?)?;
    for spelling in ["Hsm", "hsm"] {
        hsm |= members.flag(spelling)?.unwrap_or(false);
    }
    let material = match family {
        _ if key.get("key_hsm").is_some() => sealed(&key, family, url)?,
        "oct" => symmetric(&key)?,
        _ => VaultMaterial::Brought(Brought::Jwk(jwk(&key, family)?), None),
    };
    let mut new = new_key(&members, material, hsm, version)?;
    if new.operations.is_none() {
        new.operations = key.operations()?;
    }
    Ok(new)
}

/// A key that comes sealed to an exchange key of this vault. `keyvault-api.md` section 3 (*BYOK import*).
fn sealed(key: &Members, family: &str, url: &str) -> Result<VaultMaterial, Fault> {
    let blob = key.bytes("key_hsm")?.unwrap_or_default();
    let blob = Members::read(&blob).map_err(|_| malformed("`key_hsm` holds no transfer blob"))?;
    let header = blob.object("header")?.ok_or(malformed("the transfer blob has no `header`"))?;
    if !blob.text("schema_version")?.is_some_and(|version| version == "1.0" || version == "1.0.0") {
        return Err(Fault::new(Code::Unsupported, "`schema_version` of the transfer blob is 1.0.0"));
    }
    if header.text("alg")? != Some("dir") {
        return Err(Fault::new(Code::Unsupported, "`alg` of the transfer blob is `dir`"));
    }
    let enc = header.text("enc")?.and_then(enc_of);
    let wrapping =
        enc.ok_or(Fault::new(Code::Unsupported, "`enc` of the transfer blob is none of the three served"))?;
    let elsewhere = malformed("`kid` of the transfer blob is no version of a key of this vault");
    let kid = header.text("kid")?.ok_or(elsewhere.clone())?;
    let place =
        kid.get(url.len()..).filter(|_| kid.get(..url.len()).is_some_and(|host| host.eq_ignore_ascii_case(url)));
    let named = place.and_then(|place| place.strip_prefix("/keys/")).and_then(|place| place.split_once('/'));
    let (name, version) = named.ok_or(elsewhere.clone())?;
    let selector = KeySelector::parse(name, Some(version)).map_err(|_| elsewhere.clone())?;
    Ok(VaultMaterial::Sealed {
        exchange: selector.name,
        version: selector.version.ok_or(elsewhere)?,
        wrapping,
        ciphertext: blob.bytes("ciphertext")?.ok_or(malformed("the transfer blob has no `ciphertext`"))?,
        kind: match family {
            "RSA" => TransferredKind::Rsa,
            "EC" => TransferredKind::Ec,
            _ => TransferredKind::Oct,
        },
    })
}

/// A symmetric key: of AES by its length, else bytes that can only be released.
fn symmetric(key: &Members) -> Result<VaultMaterial, Fault> {
    let bytes = Zeroizing::new(key.bytes("k")?.ok_or(malformed("`key.k` is missing"))?);
    let declared = match bytes.len() {
        16 => KeyType::Oct128,
        24 => KeyType::Oct192,
        32 => KeyType::Oct256,
        1..=LONGEST_OCT => KeyType::Secret,
        _ => return Err(malformed("`key.k` is 1 to 64 bytes")),
    };
    Ok(VaultMaterial::Brought(Brought::Raw(bytes), Some(declared)))
}

/// The members of a private JWK in the store's spelling.
fn jwk(key: &Members, family: &str) -> Result<Map<String, Value>, Fault> {
    let mut members = Map::new();
    members.insert("kty".into(), Value::from(family));
    for name in NUMBERS {
        let Some(text) = key.text(name)? else { continue };
        let bytes = Zeroizing::new(binary(text)?);
        // Numbers of an RSA key have no leading zeros; coordinates and scalars are as long as the field.
        let bytes =
            if family == "RSA" { bytes.get(bytes.iter().take_while(|b| **b == 0).count()..) } else { Some(&bytes[..]) };
        members.insert(name.into(), Value::from(URL_SAFE_NO_PAD.encode(bytes.unwrap_or_default())));
    }
    if let Some(curve) = key.text("crv")? {
        members.insert("crv".into(), Value::from(if curve == "P-256K" { "secp256k1" } else { curve }));
    }
    Ok(members)
}
