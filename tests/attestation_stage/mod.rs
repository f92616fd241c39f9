//! Two providers in Azure Attestation's dialect on one host, and what their clients bring: quotes of a throw-away platform with the
//! data that they bind, policy signers, credentials. `sdk-expectations.md` section 7.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use keygate_forge::intel::{Intel, SgxQuote, Tee, attributes};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::{X509, X509NameBuilder};
use serde_json::json;

use crate::running::{Running, python, script, swtpm};

/// What an enclave holds: spelled so that only the very bytes have this hash.
const HELD: &str = r#"{ "jwk": {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}, "note": "grün", "level": 7 }"#;
/// What an enclave was started with.
const INIT: &str = r#"{"image": "app:1", "debug": false}"#;

/// A running server with both providers, and the folder of what their clients bring.
pub struct Stage {
    pub server: Running,
    folder: PathBuf,
    /// Runs the machine with a TPM, where there is one.
    machine: Option<PathBuf>,
}

impl Stage {
    /// The first provider is open to roles at the bare host, the second is isolated behind `/iso` and begins with two signers.
    pub fn open() -> Self {
        let mut server = Running::init("");
        let folder = server.folder.path().join("stage");
        std::fs::create_dir_all(folder.join("collateral")).unwrap();
        let root = evidence(&folder);
        for name in ["signer", "other", "stranger"] {
            signer(&folder, name, PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
        }
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        signer(&folder, "curve", PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap());
        signer(&folder, "tpm-root", PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());

        let (url, at) = (server.data.clone(), folder.display());
        let settings = server.dir().join("keygate.toml");
        // The settings that `init` wrote end with the first provider, whose issuer is its address.
        let text = std::fs::read_to_string(&settings).unwrap()
            + &format!(
                r#"issuer = "{url}"

[[providers]]
id = "iso"
hosts = ["localhost"]
prefix = "/iso"
issuer = "{url}/iso"
trust_model = "isolated"
policy_signers = ["{at}/signer.pem", "{at}/other.pem"]

[[trust_anchors]]
name = "stage"
kind = "sgx"
purpose = "attestation"
azure_tokens = true
file = "{}"

[[trust_anchors]]
name = "stage-tpm"
kind = "tpm"
purpose = "attestation"
azure_tokens = true
file = "{at}/tpm-root.pem"

[collateral]
directory = "{at}/collateral"
"#,
                root.display()
            );
        std::fs::write(&settings, text).unwrap();
        server.start();

        let machine = if swtpm() { python("cryptography") } else { None };
        if let Some(python) = &machine {
            assert!(run_machine(python, "start", &folder), "the machine with a TPM does not start");
        }
        let stage = Self { server, folder, machine };
        for provider in ["default", "iso"] {
            stage.employ(provider, "manager", &["attestation-reader", "attestation-contributor"]);
            stage.employ(provider, "reader", &["attestation-reader"]);
        }
        stage.employ("default", "outsider", &["key-user"]);
        stage.describe();
        stage
    }

    /// A credential; its token lies in `PROVIDER-NAME.token`.
    fn employ(&self, provider: &str, name: &str, roles: &[&str]) {
        let mut words = vec!["credential", "create", name, "--provider", provider];
        words.extend(roles.iter().flat_map(|role| ["--role", role]));
        let made = self.server.admin_ok(&words);
        let token = made["token"].as_str().unwrap_or_else(|| panic!("no token: {made}"));
        std::fs::write(self.folder.join(format!("{provider}-{name}.token")), token).unwrap();
    }

    /// What a client is told: addresses, the CA, the folder.
    fn describe(&self) {
        let told = json!({
            "url": self.server.data,
            "iso": format!("{}/iso", self.server.data),
            "ca": self.server.ca(),
            "folder": self.folder,
            "tpm": self.machine.is_some(),
            "python": self.machine,
        });
        std::fs::write(self.description(), told.to_string()).unwrap();
    }

    /// The file that a client is given.
    pub fn description(&self) -> PathBuf {
        self.folder.join("stage.json")
    }

    /// Ends the server, whose audit must be intact.
    pub fn close(mut self) {
        let verdict = self.server.admin_ok(&["audit", "verify"]);
        assert_eq!(verdict["verdict"], "intact", "{verdict}");
        assert_eq!(self.server.terminate(), Some(0));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(python) = &self.machine {
            run_machine(python, "stop", &self.folder);
        }
    }
}

fn run_machine(python: &Path, word: &str, folder: &Path) -> bool {
    Command::new(python).arg(script("tpm_machine.py")).arg(word).arg(folder).status().is_ok_and(|s| s.success())
}

/// Quotes and their collateral, valid now; the root under which they stand.
fn evidence(folder: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let intel = Intel::new(i64::try_from(now).unwrap());
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let mut report_data = [0; 64];
    report_data[..32].copy_from_slice(&sha256(HELD.as_bytes()));
    let sound = SgxQuote::new(report_data);
    write("held.json", HELD.as_bytes());
    write("init.json", INIT.as_bytes());
    write("sgx-quote.bin", &intel.sgx_quote(&sound));
    write("oe-report.bin", &intel.sgx_quote(&SgxQuote { with_oe_header: true, ..sound.clone() }));
    // Key separation and sharing: the configuration is part of what is quoted.
    let mut configured = sound.clone();
    configured.attributes[0] |= attributes::KSS;
    configured.config_id[..32].copy_from_slice(&sha256(INIT.as_bytes()));
    write("sgx-quote-init.bin", &intel.sgx_quote(&configured));
    let mut debugged = sound;
    debugged.attributes[0] |= attributes::DEBUG;
    write("sgx-quote-debug.bin", &intel.sgx_quote(&debugged));
    write("collateral/sgx.json", intel.collateral(&intel.describe(Tee::Sgx)).as_bytes());
    write("root.der", &intel.root_der());
    folder.join("root.der")
}

/// A key and a self-signed certificate that may certify, as the clients want them: `NAME.key` and `NAME.pem`.
fn signer(folder: &Path, name: &str, key: PKey<Private>) {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    certificate.set_subject_name(&subject).unwrap();
    certificate.set_issuer_name(&subject).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let usage = KeyUsage::new().critical().digital_signature().key_cert_sign().build().unwrap();
    certificate.append_extension(usage).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.build().to_pem().unwrap()).unwrap();
    // jsrsasign reads the traditional forms too, but both clients read this one.
    std::fs::write(folder.join(format!("{name}.key")), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
}
