//! A key vault of the tests: it signs release answers as a vault does, and whatever a test changes in them.
//!
//! `secure-key-release.md` sections 5 and 6.
#![allow(dead_code)] // each test binary uses its part

use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, RecipientPrivate, Wrapping, wrap};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Signer;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use serde_json::{Value, json};

/// When the tests are.
pub const AT: i64 = 1_790_000_100;
pub const HOST: &str = "kv.broker.example";
pub const NONCE: &str = "n-1";
pub const RECIPIENT_KID: &str = "TeeWrapKey";
pub const VERSION: &str = "00000000000000000000000000000001";
pub const ENCS: [Wrapping; 3] = [Wrapping::CkmRsaAesKeyWrap, Wrapping::RsaAesKeyWrap256, Wrapping::RsaAesKeyWrap384];

pub type Key = PKey<Private>;

/// Keys are dear to make: the tests of a binary share them.
static RSA: LazyLock<[Key; 3]> = LazyLock::new(|| [rsa(2048), rsa(2048), rsa(2048)]);

pub fn rsa(bits: u32) -> Key {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

pub fn p256() -> Key {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// What a certificate says.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub common_name: &'a str,
    pub dns: Option<&'a str>,
    pub ip: Option<&'a str>,
    pub purpose: Option<&'a str>,
    pub is_ca: bool,
    pub end: i64,
}

impl<'a> Wanted<'a> {
    pub fn server(host: &'a str) -> Self {
        Self {
            common_name: host,
            dns: Some(host),
            ip: None,
            purpose: Some("serverAuth"),
            is_ca: false,
            end: AT + 86_400,
        }
    }
    pub fn authority(name: &'a str) -> Self {
        Self { common_name: name, dns: None, purpose: None, is_ca: true, ..Self::server(name) }
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Papers {
    pub certificate: X509,
    pub key: Key,
}

impl Papers {
    pub fn new(wanted: &Wanted<'_>, key: &Key, issuer: Option<&Self>) -> Self {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", wanted.common_name).unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = [0; 8];
        openssl::rand::rand_bytes(&mut serial).unwrap();
        serial[0] = 1;
        let serial = Asn1Integer::from_bn(&BigNum::from_slice(&serial).unwrap()).unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(issuer.map_or(&name, |issuer| issuer.certificate.subject_name())).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(AT - 86_400).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(wanted.end).unwrap()).unwrap();
        builder.set_pubkey(key).unwrap();
        if wanted.is_ca {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        if let Some(purpose) = wanted.purpose {
            builder.append_extension(ExtendedKeyUsage::new().other(purpose).build().unwrap()).unwrap();
        }
        if wanted.dns.is_some() || wanted.ip.is_some() {
            let mut names = SubjectAlternativeName::new();
            if let Some(dns) = wanted.dns {
                names.dns(dns);
            }
            if let Some(ip) = wanted.ip {
                names.ip(ip);
            }
            let names = names.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(names).unwrap();
        }
        builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key: key.clone() }
    }

    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}

/// Who signs: a key, the certificates that go along, leaf first, and the CA that a client would pin.
#[derive(Clone)]
pub struct Vault {
    pub key: Key,
    pub chain: Vec<X509>,
    pub ca: Vec<u8>,
}

impl Vault {
    /// Root, intermediate and leaf, all three sent along.
    pub fn new() -> Self {
        Self::with(&Wanted::server(HOST))
    }

    /// The same with another leaf.
    pub fn with(leaf: &Wanted<'_>) -> Self {
        Self::with_key(leaf, &RSA[2])
    }

    pub fn with_key(leaf: &Wanted<'_>, key: &Key) -> Self {
        let root = Papers::new(&Wanted::authority("root"), &RSA[0], None);
        let between = Papers::new(&Wanted::authority("between"), &RSA[1], Some(&root));
        let leaf = Papers::new(leaf, key, Some(&between));
        let chain = [&leaf, &between, &root].map(|papers| papers.certificate.clone()).to_vec();
        Self { key: key.clone(), chain, ca: root.pem() }
    }

    pub fn header(&self) -> Value {
        let ders: Vec<Vec<u8>> = self.chain.iter().map(|c| c.to_der().unwrap()).collect();
        let thumbprint = b64(sha256(&ders[0]));
        let chain: Vec<String> = ders.iter().map(|der| STANDARD.encode(der)).collect();
        json!({"alg": "RS256", "kid": thumbprint, "x5t#S256": thumbprint, "x5c": chain})
    }

    pub fn sign(&self, header: &Value, payload: &Value) -> String {
        self.sign_texts(&header.to_string(), &payload.to_string())
    }

    /// Signs two texts, whatever they are.
    pub fn sign_texts(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature =
            Signer::new(MessageDigest::sha256(), &self.key).unwrap().sign_oneshot_to_vec(message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature))
    }
}

/// An answer before it is signed: a test changes what it is about.
#[derive(Clone)]
pub struct Answer {
    pub header: Value,
    pub payload: Value,
    /// What `key_hsm` holds; goes into the payload when the answer is written.
    pub blob: Value,
}

impl Answer {
    /// A sound answer: `material` for a recipient, by a wrapping.
    pub fn of(vault: &Vault, material: &KeyMaterial, recipient: &RecipientPrivate, enc: Wrapping) -> Self {
        let plaintext = material.handed_out_form().unwrap();
        Self::sealing(vault, &material.public().jwk().into(), &plaintext, recipient, enc)
    }

    /// The same for any plaintext under any description.
    pub fn sealing(vault: &Vault, jwk: &Value, plaintext: &[u8], recipient: &RecipientPrivate, enc: Wrapping) -> Self {
        let sealed = serde_json::to_value(wrap(recipient.recipient(), enc, plaintext, "").unwrap()).unwrap();
        let mut key = jwk.clone();
        key["kid"] = json!(format!("{}/{VERSION}", kid("ours")));
        key["kty"] = json!(format!("{}-HSM", jwk["kty"].as_str().unwrap()));
        key["key_ops"] = json!(["encrypt", "decrypt"]);
        if key["crv"] == "secp256k1" {
            key["crv"] = json!("P-256K");
        }
        let payload = json!({
            "request": {"api-version": "7.4", "enc": enc.as_str(), "kid": kid("ours"), "nonce": NONCE},
            "response": {"key": {
                "key": key,
                "attributes": {"enabled": true, "exportable": true, "created": AT - 100, "updated": AT - 100},
                "release_policy": {
                    "contentType": "application/json; charset=utf-8", "data": b64(policy().to_string()), "immutable": false},
            }},
        });
        let blob = json!({
            "schema_version": "1.0", "header": {"kid": RECIPIENT_KID, "alg": "dir", "enc": enc.as_str()},
            "ciphertext": sealed["ciphertext"],
        });
        Self { header: vault.header(), payload, blob }
    }

    /// One of the shared samples, taken apart.
    pub fn read(jws: &str) -> Self {
        let json = |part: usize| serde_json::from_slice(&unb64(jws.split('.').nth(part).unwrap())).unwrap();
        let payload: Value = json(1);
        let blob = unb64(payload["response"]["key"]["key"]["key_hsm"].as_str().unwrap());
        Self { header: json(0), payload, blob: serde_json::from_slice(&blob).unwrap() }
    }

    pub fn key(&mut self) -> &mut Value {
        &mut self.payload["response"]["key"]["key"]
    }

    pub fn ciphertext(&self) -> Vec<u8> {
        unb64(self.blob["ciphertext"].as_str().unwrap())
    }

    pub fn seal(&mut self, ciphertext: impl AsRef<[u8]>) {
        self.blob["ciphertext"] = json!(b64(ciphertext));
    }

    /// Puts the blob where it belongs.
    pub fn written(&self) -> Value {
        let mut payload = self.payload.clone();
        payload["response"]["key"]["key"]["key_hsm"] = json!(b64(self.blob.to_string()));
        payload
    }

    pub fn signed(&self, vault: &Vault) -> String {
        vault.sign(&self.header, &self.written())
    }
}

pub fn kid(name: &str) -> String {
    format!("https://{HOST}/keys/{name}")
}

/// The policy of the samples, and of ours.
pub fn policy() -> Value {
    json!({"version": "1.0.0", "anyOf": [{"authority": "https://attest.example",
        "allOf": [{"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]}]})
}

/// AES-KWP of RFC 5649 with any initial value and padding, over single blocks; for more than 8 bytes.
pub fn key_wrap(aes: &[u8], initial: [u8; 8], padded: &[u8]) -> Vec<u8> {
    use openssl::symm::{Cipher, Crypter, Mode};
    let block = |input: &[u8]| -> Vec<u8> {
        let mut crypter = Crypter::new(Cipher::aes_256_ecb(), Mode::Encrypt, aes, None).unwrap();
        crypter.pad(false);
        let mut out = vec![0; 32];
        let length = crypter.update(input, &mut out).unwrap();
        out.truncate(length);
        out
    };
    let (mut a, mut r, count) = (initial.to_vec(), padded.to_vec(), padded.len() / 8);
    assert!(count > 1 && padded.len().is_multiple_of(8));
    for step in 1..=6 * count {
        let at = (step - 1) % count * 8;
        let made = block(&[&a[..], &r[at..at + 8]].concat());
        a = made[..8].iter().zip((step as u64).to_be_bytes()).map(|(x, y)| x ^ y).collect();
        r[at..at + 8].copy_from_slice(&made[8..]);
    }
    [a, r].concat()
}

/// The initial value of RFC 5649 for a plaintext of this length.
pub fn initial(length: usize) -> [u8; 8] {
    let mut initial = [0xa6, 0x59, 0x59, 0xa6, 0, 0, 0, 0];
    initial[4..].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    initial
}

/// One of the twelve release files, and what is known of it.
pub struct Sample {
    pub name: String,
    pub key: String,
    pub jws: String,
    pub enc: Wrapping,
    pub kty: String,
    pub plaintext: Vec<u8>,
    pub aes: Vec<u8>,
}

/// The shared release files with the key they are for and who signed them.
pub struct Samples {
    pub folder: PathBuf,
    pub recipient: RecipientPrivate,
    pub vault: Vault,
    pub all: Vec<Sample>,
}

/// The files, where the folder of vectors is at hand; a failure in CI where it is not.
pub fn samples() -> Option<Samples> {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors")), PathBuf::from)
        .join("tokens/generated");
    let Ok(index) = std::fs::read(folder.join("release-index.json")) else {
        assert!(std::env::var_os("CI").is_none(), "the release files are not at hand");
        // Not by a macro, whose words are kept back where a test succeeds.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: the release files are not at hand\n");
        return None;
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let sample = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        let name = text("file");
        Sample {
            key: name.split('-').nth(1).unwrap().to_owned(),
            jws: String::from_utf8(read(&name)).unwrap().trim_end().to_owned(),
            enc: Wrapping::parse(&text("enc")).unwrap(),
            kty: text("kty"),
            plaintext: hex::decode(text("plaintext_hex")).unwrap(),
            aes: hex::decode(text("ephemeral_aes_hex")).unwrap(),
            name,
        }
    };
    let all: Vec<Sample> = index.iter().map(sample).collect();
    let leaf = STANDARD.decode(Answer::read(&all[0].jws).header["x5c"][0].as_str().unwrap()).unwrap();
    let leaf = X509::from_der(&leaf).unwrap();
    let key = PKey::private_key_from_pem(&read("broker-signing-key.pem")).unwrap();
    let vault = Vault { key, ca: leaf.to_pem().unwrap(), chain: vec![leaf] };
    let material = KeyMaterial::import(ImportFormat::Pkcs8Pem(&read("tee-wrapping-key.pem")), None).unwrap();
    Some(Samples { folder, recipient: RecipientPrivate::from_material(material).unwrap(), vault, all })
}

/// A recipient of our own with its key in PEM, for clients of other languages.
pub fn recipient(key_type: KeyType) -> (RecipientPrivate, Vec<u8>) {
    let material = KeyMaterial::generate(key_type).unwrap();
    let pkcs8 = material.handed_out_form().unwrap();
    let pem = PKey::private_key_from_pkcs8(&pkcs8).unwrap().private_key_to_pem_pkcs8().unwrap();
    (RecipientPrivate::from_material(material).unwrap(), pem)
}
