//! A release answer in the Key Vault dialect, checked as a careful client does and opened with the workload's key.
//!
//! `secure-key-release.md` sections 5 and 6 (*What clients verify*, *Unwrap procedure*). Nothing is decrypted before signature, chain,
//! host and every expectation hold; there is no switch to skip one.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{ImportFormat, KeyMaterial, RecipientPrivate, Wrapped, Wrapping, unwrap_with};
use keygate_policies::{Limits, json};
use keygate_verifier::UnixTime;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::Id;
use openssl::sha::sha256;
use openssl::sign::Verifier;
use openssl::x509::verify::{X509CheckFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::ClientError;
use super::signed::{Signed, object};

/// The longest answer that is read, in bytes of its compact form: a policy of 64 KiB, twice in base64, and what stands around it.
pub const LONGEST_RELEASE: usize = 256 * 1024;
/// The smallest RSA key that signs, in bytes of its modulus.
const SMALLEST_SIGNER: usize = 256;
/// Longest chain from the vault's certificate to its CA, certificates between.
const DEPTH: i32 = 3;
/// OpenSSL's level for keys and digests of at least 112 bits.
const AUTH_LEVEL: i32 = 2;
/// The longest version of a key.
const LONGEST_VERSION: usize = 127;
/// Types of keys that a vault releases.
const RELEASED_TYPES: [&str; 6] = ["RSA", "RSA-HSM", "EC", "EC-HSM", "oct", "oct-HSM"];

/// What a client knows of the answer before it comes.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The vault's CA, one or more certificates in PEM: the only pin.
    pub ca: &'a [u8],
    /// The vault's host as it is dialled: a DNS name or an address, lower case, without port.
    pub host: &'a str,
    /// The key that was asked for: `https://HOST[:PORT][/PREFIX]/keys/NAME[/VERSION]`, as the request named it.
    pub kid: &'a str,
    /// The request's `nonce`; none: the request had none, and the answer has none.
    pub nonce: Option<&'a str>,
    /// The request's `enc`; none: the vault chose, and any of the three counts.
    pub enc: Option<Wrapping>,
    /// The policy that the key must have, compared as JSON; none: any.
    pub policy: Option<&'a Value>,
    /// `kid` of the workload's key, as the attestation token names it.
    pub recipient_kid: &'a str,
    /// When the vault's certificate must be valid.
    pub at: UnixTime,
}

/// A key that was released to us. Has no copy and shows no secret.
pub struct ReleasedKey {
    /// The key's identifier, with its version.
    pub kid: String,
    /// `RSA`, `EC` or `oct`, or one of them with `-HSM`.
    pub kty: String,
    /// PKCS#8 in DER for RSA and EC, the key itself for `oct`.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The attributes: `enabled`, and what else the vault says.
    pub attributes: Map<String, Value>,
    /// The release policy, where the answer has one.
    pub policy: Option<ReleasePolicy>,
}

/// A release policy as it stands in a key bundle. `secure-key-release.md` section 1.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleasePolicy {
    /// The document.
    pub document: Value,
    /// Whether it can never be changed.
    pub immutable: bool,
}

impl fmt::Debug for ReleasedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReleasedKey").field("kid", &self.kid).field("kty", &self.kty).finish_non_exhaustive()
    }
}

/// Checks a release answer, the compact JWS in `value`, and opens it with the workload's private RSA key.
///
/// # Errors
/// `answer-not-authentic`: a signature, a certificate or a member that is not as expected, or a key that is not the one the answer
/// describes; nothing was used. `crypto-failed`: it is authentic, and does not open with this key. `unsupported`: the recipient is no
/// RSA key. `usage`: an expectation that nothing can meet.
pub fn open_release(jws: &str, expect: &Expect<'_>, recipient: &RecipientPrivate) -> Result<ReleasedKey, ClientError> {
    let signed = Signed::read(jws, "the release answer", LONGEST_RELEASE)?;
    authentic(&signed, expect)?;
    let answer = Answer::of(signed.payload()?)?;
    let enc = answer.is_for(expect)?;
    let wrapped = answer.sealed(enc, expect.recipient_kid)?;
    let bytes = unwrap_with(recipient, &wrapped).map_err(|e| match e.code() {
        "crypto-failed" | "unsupported" => ClientError::local(e.code(), e.to_string()),
        _ => not_authentic("`ciphertext` is no ciphertext"),
    })?;
    let kty = answer.kty()?;
    if !is_described(&answer.key, kty, &bytes) {
        return Err(not_authentic("what was sealed is not the key that the answer describes"));
    }
    let (kid, kty) = (text(&answer.key, "kid")?.to_owned(), kty.to_owned());
    Ok(ReleasedKey { kid, kty, bytes, attributes: answer.attributes, policy: answer.policy })
}

fn not_authentic(what: &str) -> ClientError {
    ClientError::not_authentic(format!("the release answer: {what}"))
}

/// Signature, chain and host: by the RSA key of a certificate for TLS servers that names the vault's host, under the pinned CA.
fn authentic(signed: &Signed<'_>, expect: &Expect<'_>) -> Result<(), ClientError> {
    let usage = |what: &str| ClientError::local("usage", what);
    if !signed.says("alg", "RS256") {
        return Err(signed.bad("is not signed with RS256"));
    }
    if ["crit", "b64", "zip", "jwk"].iter().any(|name| signed.header.contains_key(*name)) {
        return Err(signed.bad("has a header that changes its meaning"));
    }
    let authorities = X509::stack_from_pem(expect.ca).unwrap_or_default();
    if authorities.is_empty() {
        return Err(usage("the CA of the vault holds no certificate"));
    }
    let rules = rules(expect.host, expect.at).ok_or_else(|| usage("the vault's host is no host name"))?;
    let certificates = signed.certificates()?;
    let leaf = signed.leaf(&certificates, &authorities, &rules)?;
    let thumbprint = certificates.first().map(|der| URL_SAFE_NO_PAD.encode(sha256(der))).unwrap_or_default();
    if signed.header.contains_key("x5t#S256") && !signed.says("x5t#S256", &thumbprint) {
        return Err(signed.bad("names another certificate than it brings"));
    }
    match is_signed(&leaf, signed) {
        Ok(true) => Ok(()),
        _ => Err(signed.bad("has a signature that is wrong")),
    }
}

/// How the vault's certificate is looked at; none where `host` is no host.
fn rules(host: &str, at: UnixTime) -> Option<X509VerifyParam> {
    // A name with a dot in front would stand for every host below it, an empty one for any.
    let is_name = !host.is_empty()
        && host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        });
    let mut rules = X509VerifyParam::new().ok()?;
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => rules.set_ip(address).ok()?,
        Err(_) if is_name => rules.set_host(host).ok()?,
        Err(_) => return None,
    }
    rules.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
    rules.set_purpose(X509PurposeId::SSL_SERVER).ok()?;
    rules.set_depth(DEPTH);
    rules.set_auth_level(AUTH_LEVEL);
    rules.set_time(at.secs());
    Some(rules)
}

fn is_signed(leaf: &X509, signed: &Signed<'_>) -> Result<bool, ErrorStack> {
    let key = leaf.public_key()?;
    if key.id() != Id::RSA || key.size() < SMALLEST_SIGNER {
        return Ok(false);
    }
    Verifier::new(MessageDigest::sha256(), &key)?.verify_oneshot(&signed.signature, signed.message)
}

/// The parts of a payload that was signed.
struct Answer {
    request: Map<String, Value>,
    key: Map<String, Value>,
    attributes: Map<String, Value>,
    policy: Option<ReleasePolicy>,
}

impl Answer {
    fn of(mut payload: Map<String, Value>) -> Result<Self, ClientError> {
        let request = take(&mut payload, "request")?;
        let mut bundle = take(&mut take(&mut payload, "response")?, "key")?;
        let (key, attributes) = (take(&mut bundle, "key")?, take(&mut bundle, "attributes")?);
        let policy = match bundle.contains_key("release_policy") {
            true => Some(policy(&take(&mut bundle, "release_policy")?)?),
            false => None,
        };
        Ok(Self { request, key, attributes, policy })
    }

    /// It answers our request, about our key, as we expect it to be; by which wrapping.
    fn is_for(&self, expect: &Expect<'_>) -> Result<Wrapping, ClientError> {
        let told = self.request.get("nonce");
        if told.and_then(Value::as_str) != expect.nonce || told.is_some() != expect.nonce.is_some() {
            return Err(not_authentic("`request.nonce` is not that of our request"));
        }
        if text(&self.request, "kid")? != expect.kid {
            return Err(not_authentic("`request.kid` is not the key that we asked for"));
        }
        if !is_version_of(text(&self.key, "kid")?, expect.kid)? {
            return Err(not_authentic("the key is not the one that we asked for"));
        }
        let enc = Wrapping::parse(text(&self.request, "enc")?).ok().filter(|enc| *enc != Wrapping::Jwe);
        let enc = enc.filter(|enc| expect.enc.is_none_or(|asked| asked == *enc));
        let enc = enc.ok_or_else(|| not_authentic("`request.enc` is not the wrapping that we asked for"))?;
        if self.attributes.get("enabled") != Some(&Value::Bool(true)) {
            return Err(not_authentic("the key is not enabled"));
        }
        if expect.policy.is_some_and(|wanted| self.policy.as_ref().map(|policy| &policy.document) != Some(wanted)) {
            return Err(not_authentic("the key has another release policy"));
        }
        Ok(enc)
    }

    /// What is sealed, if it is sealed to us and says of itself what the answer says.
    fn sealed(&self, enc: Wrapping, recipient_kid: &str) -> Result<Wrapped, ClientError> {
        let blob = URL_SAFE_NO_PAD.decode(text(&self.key, "key_hsm")?).ok();
        let mut blob = blob
            .and_then(|bytes| object(&bytes, bytes.len()))
            .ok_or_else(|| not_authentic("`key_hsm` is no json in base64url without padding"))?;
        let header = take(&mut blob, "header")?;
        if text(&blob, "schema_version")? != "1.0" || text(&header, "alg")? != "dir" {
            return Err(not_authentic("`key_hsm` is of another form"));
        }
        if text(&header, "enc")? != enc.as_str() {
            return Err(not_authentic("`key_hsm` is by another wrapping than the answer says"));
        }
        if text(&header, "kid")? != recipient_kid {
            return Err(not_authentic("`key_hsm` is sealed to another key than ours"));
        }
        let ciphertext = text(&blob, "ciphertext")?.to_owned();
        match enc {
            Wrapping::RsaAesKeyWrap256 => Ok(Wrapped::RsaAesKeyWrap256 { ciphertext }),
            Wrapping::RsaAesKeyWrap384 => Ok(Wrapped::RsaAesKeyWrap384 { ciphertext }),
            Wrapping::CkmRsaAesKeyWrap => Ok(Wrapped::CkmRsaAesKeyWrap { ciphertext }),
            Wrapping::Jwe => Err(not_authentic("`key_hsm` is by another wrapping than the answer says")),
        }
    }

    fn kty(&self) -> Result<&str, ClientError> {
        let kty = text(&self.key, "kty")?;
        if RELEASED_TYPES.contains(&kty) { Ok(kty) } else { Err(not_authentic("`kty` is no type of key")) }
    }
}

/// `release_policy` of a bundle: its document in base64url without padding, read strictly.
fn policy(bundle: &Map<String, Value>) -> Result<ReleasePolicy, ClientError> {
    let document = URL_SAFE_NO_PAD.decode(text(bundle, "data")?).ok();
    let document = document.and_then(|bytes| json::parse(&bytes, &Limits::RULES).ok());
    let document =
        document.ok_or_else(|| not_authentic("the release policy is no json in base64url without padding"))?;
    let immutable = bundle.get("immutable") == Some(&Value::Bool(true));
    Ok(ReleasePolicy { document: document.to_value(), immutable })
}

/// Whether `kid` has a version, and is the key named `asked`, or just that version of it.
fn is_version_of(kid: &str, asked: &str) -> Result<bool, ClientError> {
    let no_key = || ClientError::local("usage", "the key that we asked for is no `https://…/keys/NAME[/VERSION]`");
    let name = asked.starts_with("https://").then(|| asked.split_once("/keys/")).flatten().ok_or_else(no_key)?.1;
    let fits = |part: &str| {
        (1..=LONGEST_VERSION).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let parts: Vec<&str> = name.splitn(3, '/').collect();
    match parts[..] {
        [name] if fits(name) => {
            let version = kid.strip_prefix(asked).and_then(|rest| rest.strip_prefix('/'));
            Ok(version.is_some_and(fits))
        }
        [name, version] if fits(name) && fits(version) => Ok(kid == asked),
        _ => Err(no_key()),
    }
}

/// Whether these bytes are the private key, or the symmetric one, of this type and public part.
fn is_described(key: &Map<String, Value>, kty: &str, bytes: &[u8]) -> bool {
    let family = kty.trim_end_matches("-HSM");
    if family == "oct" {
        return !bytes.is_empty();
    }
    let Ok(material) = KeyMaterial::import(ImportFormat::Pkcs8Der(bytes), None) else { return false };
    let mut own = material.public().jwk();
    if let Some(curve) = own.get_mut("crv").filter(|curve| *curve == "secp256k1") {
        // The vault's name for it.
        *curve = Value::from("P-256K");
    }
    own.get("kty").and_then(Value::as_str) == Some(family)
        && own.iter().all(|(name, value)| name == "kty" || key.get(name) == Some(value))
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<&'m str, ClientError> {
    members.get(name).and_then(Value::as_str).ok_or_else(|| not_authentic(&format!("`{name}` is no text")))
}

fn take(members: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, ClientError> {
    match members.remove(name) {
        Some(Value::Object(inner)) => Ok(inner),
        _ => Err(not_authentic(&format!("`{name}` is no object"))),
    }
}
