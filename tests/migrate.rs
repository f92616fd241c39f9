//! The ten minutes of `docs/from-azure-attestation.md` and `docs/from-key-vault.md`, as somebody types them who comes from there.

mod page;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use keygate_forge::intel::{Intel, SgxQuote, Tee};
use openssl::sha::sha256;
use serde_json::Value;

/// Types the commands of a page in a folder, `before` the service starts; a free port stands for the default one.
fn typed(page: &str, folder: &Path, before: &str) -> (String, String) {
    let port = page::port();
    let script = page::commands(page)
        .replace("keygate serve &", &format!("{before}keygate serve &"))
        .replace("localhost:8443", &format!("localhost:{port}"));
    assert!(script.contains(&format!("=https://localhost:{port}")), "{script}");
    page::typed(&script, folder, port)
}

#[test]
fn the_ten_minutes_of_the_attestation_page_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let intel = Intel::new(i64::try_from(now).unwrap());
    let held = br#"{"jwk": {"kty": "EC"}}"#;
    let mut report_data = [0; 64];
    report_data[..32].copy_from_slice(&sha256(held));
    std::fs::write(at("held.json"), held).unwrap();
    std::fs::write(at("quote.bin"), intel.sgx_quote(&SgxQuote::new(report_data))).unwrap();
    std::fs::create_dir(at("endorsements")).unwrap();
    std::fs::write(at("endorsements/sgx.json"), intel.collateral(&intel.describe(Tee::Sgx))).unwrap();
    std::fs::write(at("lab.der"), intel.root_der()).unwrap();

    // A throw-away Intel stands in for the real one.
    let lab = "cat >> keygate-data/keygate.toml <<'END'\n\
        [collateral]\ndirectory = \"../endorsements\"\nonline = false\n\
        [[trust_anchors]]\nname = \"lab\"\nkind = \"sgx\"\npurpose = \"attestation\"\nazure_tokens = true\nfile = \"../lab.der\"\nEND\n";
    let (said, complained) = typed("docs/from-azure-attestation.md", folder.path(), lab);
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(at(name)).unwrap_or_else(|e| panic!("{name}: {e}\n{complained}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"))
    };
    assert!(read("answer.json")["token"].is_string(), "{}", read("answer.json"));
    assert!(said.contains(r#""team": "payments""#), "{said}");
    assert!(read("policy.json")["token"].is_string(), "{}", read("policy.json"));
    assert!(read("traced.json")["trace"].is_array(), "{}", read("traced.json"));
    // One key, under both of its names.
    assert_eq!(read("certs.json")["keys"].as_array().map(Vec::len), Some(2));
    assert!(said.contains("jwks_uri") && said.contains("\"ledger\""), "{said}");
}

/// A token of a workload in a confidential container, by a verifier whose key set lies beside it.
fn target(folder: &Path, now: u64) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use openssl::{hash::MessageDigest, pkey::PKey, rsa::Rsa, sign::Signer};
    use serde_json::json;

    let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
    let (issuer, workload) = (Rsa::generate(2048).unwrap(), Rsa::generate(2048).unwrap());
    let keys = json!({"keys": [{"kty": "RSA", "kid": "k", "n": number(issuer.n()), "e": number(issuer.e())}]});
    std::fs::write(folder.join("attest-keys.json"), keys.to_string()).unwrap();
    let claims = json!({
        "iss": "https://sharedeus.eus.attest.azure.net", "iat": now - 5, "nbf": now - 5, "exp": now + 28_000, "jti": "j", "x-ms-ver": "1.0",
        "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm", "x-ms-sevsnpvm-is-debuggable": false,
        "x-ms-sevsnpvm-hostdata": "73973b78d70cc68353426de188db5dfc57e5b766e399935fb73a61127ea26d20",
        "x-ms-runtime": {"keys": [{"kty": "RSA", "kid": "TeeKey", "key_ops": ["encrypt"], "n": number(workload.n()), "e": "AQAB"}]},
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "k", "typ": "JWT"})), part(&claims));
    let key = PKey::from_rsa(issuer).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let signature = signer.sign_oneshot_to_vec(text.as_bytes()).unwrap();
    std::fs::write(folder.join("target.jwt"), format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))).unwrap();
}

#[test]
fn the_ten_minutes_of_the_key_vault_page_run() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    target(folder.path(), now);
    let (said, complained) = typed("docs/from-key-vault.md", folder.path(), "");
    let read = |name: &str| -> Value {
        let text =
            std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}\n{complained}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"))
    };
    assert_eq!(read("imported.json")["key"]["kty"], "oct-HSM", "{}", read("imported.json"));
    assert!(read("released.json")["value"].is_string(), "{}", read("released.json"));
    assert_eq!(read("changed.json")["attributes"]["exportable"], true, "{}", read("changed.json"));
    let denied = &read("denied.json")["error"]["innererror"];
    assert_eq!(denied["failed"][0]["path"], "x-ms-sevsnpvm-hostdata", "{denied}");
    assert!(said.contains("RSA_AES_KEY_WRAP_256") && said.contains("key_hsm"), "{said}");
    assert!(said.contains("permit"), "the audit shows the release: {said}");
}
