//! A confidential machine on Azure as a client of `AzureGuest` tells of it: paravisor, virtual TPM, a key that is certified in it.
//! Written from the format, not from the verifier. Each test changes one thing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_forge::amd::{Amd, SnpReport};
use keygate_forge::intel::{Intel, TdxQuote};
use keygate_forge::keys;
use keygate_forge::tcg::Log;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sha::sha256;
use openssl::sign::Signer;
use openssl::symm::{Cipher, decrypt_aead};
use serde_json::{Value, json};
use std::sync::LazyLock;

pub type Key = PKey<Private>;

/// The launch that the tests' operator knows as a paravisor.
pub const LAUNCH: [u8; 48] = [0x5a; 48];
/// Of RSA keys that decrypt: fixed to TPM and parent, made there, user with authorization, no dictionary attack, decrypt.
pub const DECRYPTS: u32 = 0x0002_0472;

/// Attestation key, encryption key, and a third one of a stranger: making them takes longer than all the rest.
pub static KEYS: LazyLock<[Key; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap()));

pub struct Guest {
    pub encryption: Key,
    /// Who signs quote and certification.
    pub quotes: Key,
    pub certifies: Key,
    pub attributes: u32,
    /// Changes the public area that is certified.
    pub certified: fn(&mut Vec<u8>),
    pub certified_data: Vec<u8>,
    pub launch: [u8; 48],
    pub pcrs: Vec<[u8; 32]>,
    pub log: Vec<u8>,
    /// Signatures without the head of TPMT_SIGNATURE.
    pub bare: bool,
    /// The quote is signed over SHA-1.
    pub sha1: bool,
    /// The certified key is none of RSA.
    pub on_a_curve: bool,
}

pub fn std(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn number(key: &Key) -> Vec<u8> {
    key.rsa().unwrap().n().to_vec()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// TPMT_PUBLIC of an RSA key of 2048 bits without cipher; RSASSA with SHA-256, or no scheme.
fn area(attributes: u32, scheme: &[u8], key: &Key) -> Vec<u8> {
    let mut area = vec![0, 1, 0, 0x0b];
    area.extend(attributes.to_be_bytes());
    area.extend([0, 0, 0, 0x10]);
    area.extend(scheme);
    area.extend([8, 0, 0, 0, 0, 0]);
    area.extend(sized(&number(key)));
    area
}

impl Guest {
    pub fn new() -> Self {
        let log = Log::usual();
        Self {
            encryption: KEYS[1].clone(),
            quotes: KEYS[0].clone(),
            certifies: KEYS[0].clone(),
            attributes: DECRYPTS,
            certified: |_| {},
            certified_data: Vec::new(),
            launch: LAUNCH,
            pcrs: (0..24).map(|index| log.register(index)).collect(),
            log: log.bytes(),
            bare: false,
            sha1: false,
            on_a_curve: false,
        }
    }

    /// The paravisor's run-time data: they name the first of [`KEYS`].
    pub fn runtime() -> Vec<u8> {
        let key = json!({"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": "AQAB",
            "n": URL_SAFE_NO_PAD.encode(number(&KEYS[0]))});
        json!({"keys": [key], "vm-configuration": {"secure-boot": true, "vmUniqueId": "26F8BC30"}})
            .to_string()
            .into_bytes()
    }

    fn report_data() -> [u8; 64] {
        let mut data = [0; 64];
        data[..32].copy_from_slice(&sha256(&Self::runtime()));
        data
    }

    fn attest(kind: u8, extra: &[u8], body: &[u8]) -> Vec<u8> {
        let mut attest = vec![0xff, 0x54, 0x43, 0x47, 0x80, kind];
        attest.extend(sized(&[&[0, 0x0b][..], &[3; 32]].concat()));
        attest.extend(sized(extra));
        attest.extend([0; 25]);
        attest.extend(body);
        attest
    }

    fn sign(&self, key: &Key, bytes: &[u8], sha1: bool) -> Vec<u8> {
        let (id, hash) = if sha1 { (4, MessageDigest::sha1()) } else { (0x0b, MessageDigest::sha256()) };
        let mut signer = Signer::new(hash, key).unwrap();
        signer.update(bytes).unwrap();
        let numbers = signer.sign_to_vec().unwrap();
        if self.bare { numbers } else { [&[0, 0x14, 0, id][..], &sized(&numbers)].concat() }
    }

    /// TPMT_PUBLIC of the encryption key.
    fn encryption_area(&self) -> Vec<u8> {
        if !self.on_a_curve {
            return area(self.attributes, &[0, 0x10], &self.encryption);
        }
        let point = keys::point(&keys::p256());
        let mut area = vec![0, 0x23, 0, 0x0b];
        area.extend(self.attributes.to_be_bytes());
        area.extend([0, 0, 0, 0x10, 0, 0x10, 0, 3, 0, 0x10]);
        area.extend([sized(&point[..32]), sized(&point[32..])].concat());
        area
    }

    fn tpm(&self) -> Value {
        let mut selected = vec![0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff];
        let digest = if self.sha1 { MessageDigest::sha1() } else { MessageDigest::sha256() };
        selected.extend(sized(&hash(digest, &self.pcrs.concat()).unwrap()));
        let quote = Self::attest(0x18, &[], &selected);
        let key = self.encryption_area();
        let mut named = key.clone();
        (self.certified)(&mut named);
        let name = sized(&[&[0, 0x0b][..], &sha256(&named)].concat());
        let certify = Self::attest(0x17, &self.certified_data, &[&name[..], &name].concat());
        let pcrs: Vec<Value> =
            self.pcrs.iter().enumerate().map(|(index, value)| json!({"Index": index, "Digest": std(value)})).collect();
        json!({
            "AikCert": "", "AikPub": std(sized(&area(0x0005_0072, &[0, 0x14, 0, 0x0b], &KEYS[0]))),
            "PcrQuote": std(&quote), "PcrSignature": std(self.sign(&self.quotes, &quote, self.sha1)),
            "PcrSet": (0..24).collect::<Vec<_>>(), "PCRs": pcrs,
            "EncKeyPub": std(sized(&key)), "EncKeyCertifyInfo": std(&certify),
            "EncKeyCertifyInfoSignature": std(self.sign(&self.certifies, &certify, false)),
        })
    }

    fn told(&self, isolation: &str, proof: &str) -> Value {
        json!({
            "AttestationProtocolVersion": "2.0", "OSType": std("Linux"), "OSDistro": std("Ubuntu"),
            "OSBuild": std("22.04.4"), "OSVersionMajor": 22, "OSVersionMinor": 4, "TcgLogs": std(&self.log),
            "ClientPayload": {"nonce": std("seven"), "empty": ""},
            "TpmInfo": self.tpm(),
            "IsolationInfo": {"Type": isolation, "Evidence": {"Proof": std(proof), "RunTimeData": std(Self::runtime())}},
        })
    }

    /// What a client below SEV-SNP sends.
    pub fn below_snp(&self, amd: &Amd) -> Value {
        let report = SnpReport { measurement: self.launch, ..SnpReport::new(Self::report_data()) };
        self.told("SevSnp", &amd.evidence(&report).azure_document(&[]))
    }

    /// What a client below TDX sends.
    pub fn below_tdx(&self, intel: &Intel) -> Value {
        let quote = intel.tdx_quote(&TdxQuote::new(Self::report_data()));
        self.told("Tdx", &json!({"TdQuote": std(quote)}).to_string())
    }

    /// The body of the call.
    pub fn body(info: &Value) -> Value {
        json!({"AttestationInfo": URL_SAFE_NO_PAD.encode(info.to_string())})
    }
}

/// The token in an answer, as the machine's TPM opens it with this key. None: it does not open.
pub fn open(sealed: &str, key: &Key, context: &[u8]) -> Option<String> {
    let envelope: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let parameters = &envelope["EncryptionParams"];
    let iv = bytes(&parameters["Iv"]);
    assert_eq!(
        *parameters,
        json!({"Iv": parameters["Iv"], "Cipher": "AES", "BlockMode": "ChainingModeGCM", "BlockPadding": "PKCS7",
            "KeySizeInBits": 256})
    );
    let mut inner = vec![0; 256];
    let length =
        key.rsa().unwrap().private_decrypt(&bytes(&envelope["EncryptedInnerKey"]), &mut inner, Padding::PKCS1).ok()?;
    let inner = inner.get(..length).filter(|inner| inner.len() == 32)?;
    let (text, tag) = (bytes(&envelope["Jwt"]), bytes(&envelope["AuthenticationData"]));
    assert_eq!((iv.len(), tag.len()), (12, 16));
    let clear = decrypt_aead(Cipher::aes_256_gcm(), inner, Some(&iv), context, &text, &tag).ok()?;
    String::from_utf8(clear).ok()
}
