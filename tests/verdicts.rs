//! The table of verdicts over the shared tokens, where more than one pillar has a say: what is accepted decides and is sealed to, what
//! no key set is at hand for is shown and no more.
//!
//! `relying-party-tokens.md` section 9; `secure-key-release.md` sections 2, 3 and 5. The verdicts themselves are in
//! `verifier/tests/tokens_foreign_samples.rs`, the rules alone in `policies/tests/vectors.rs`.

mod vault;

use std::path::Path;
use std::process::Command;

use keygate_keystore::{Recipient, unwrap_with, wrap};
use keygate_policies::release::{Authority, ReleaseRule};
use keygate_verifier::tokens::{Foreign, Issuer, KeySet, Profile, TokenBinding, TokenRoots, verify_foreign};
use keygate_verifier::{BoundKey, RecipientKey, UnixTime};
use serde_json::{Map, Value, json};
use vault::{AT, Answer, ENCS, Samples, samples};

const ATTEST: &str = "https://attest.example";

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn value(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

/// What `keygate inspect` shows of a file.
fn inspected(path: &Path, kind: &str) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_keygate"))
        .args(["--format", "json", "inspect", "--kind", kind])
        .arg(path)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&run.stderr));
    let shown: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(shown["verified"], false, "{}", path.display());
    shown
}

/// One of the generated targets, judged by the key set that lies beside it.
fn target(samples: &Samples, name: &str) -> Foreign {
    let keys = KeySet::parse(&read(&samples.folder.join("issuer-jwks.json"))).unwrap();
    let roots = TokenRoots::none();
    let issuer = Issuer {
        name: "attest",
        issuer: ATTEST,
        profile: Profile::Maa,
        keys: &keys,
        roots: &roots,
        audiences: &[],
        max_age: None,
        is_keygate: false,
    };
    let token = String::from_utf8(read(&samples.folder.join(format!("{name}.jwt")))).unwrap();
    verify_foreign(token.trim_end(), &issuer, &TokenBinding::Unbound, UnixTime::from_secs(AT)).unwrap()
}

fn rule(authority: &str, conditions: Value) -> ReleaseRule {
    let text = json!({"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": conditions}]}).to_string();
    ReleaseRule::parse(text.as_bytes()).unwrap()
}

fn permits(rule: &ReleaseRule, claims: &Map<String, Value>, issuer: &str) -> bool {
    rule.evaluate(&Authority { issuer, own: false }, claims).permit
}

/// Row 1, to its end: the token's claims meet the rule or do not, what is sealed goes to `TeeWrapKey` and opens with its private half.
#[test]
fn a_target_that_is_accepted_decides_and_is_sealed_to() {
    let Some(samples) = samples() else { return };
    for (name, condition, twin) in [
        (
            "target-cvm",
            json!({"claim": "x-ms-isolation-tee.x-ms-compliance-status", "equals": "azure-compliant-cvm"}),
            json!({"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"}),
        ),
        (
            "target-aci",
            json!({"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "false"}),
            json!({"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "true"}),
        ),
    ] {
        let found = target(&samples, name);
        let claims = found.claims();
        assert!(permits(&rule(ATTEST, json!([condition])), claims, ATTEST), "{name}");
        assert!(permits(&rule("https://ATTEST.example:443/", json!([condition])), claims, ATTEST), "{name}");
        assert!(!permits(&rule("https://other.example", json!([condition])), claims, ATTEST), "{name}");
        assert!(!permits(&rule(ATTEST, json!([twin])), claims, ATTEST), "{name}");

        assert_eq!(found.key_id(), Some("TeeWrapKey"));
        let BoundKey::Present(RecipientKey::Rsa { n, e }) = found.bound_key() else { panic!("{name}: no RSA key") };
        let recipient = Recipient::rsa(n, e).unwrap();
        assert_eq!(&recipient, samples.recipient.recipient());
        for enc in ENCS {
            let wrapped = wrap(&recipient, enc, b"the key", "").unwrap();
            assert_eq!(*unwrap_with(&samples.recipient, &wrapped).unwrap(), b"the key");
        }
        // The key of the platform below, where there is one, is another.
        let nested = &claims.get("x-ms-isolation-tee").and_then(|tee| tee["x-ms-runtime"]["keys"][0]["n"].as_str());
        assert_eq!(nested.is_some(), name == "target-cvm");
        assert!(nested.is_none_or(|n| samples.recipient.public_jwk()["n"] != n));
    }
}

/// The last row, between its two ends: an authority, a status and a kind alone release nothing.
#[test]
fn the_default_policy_wants_status_and_kind_both() {
    let Some(samples) = samples() else { return };
    let tokens = samples.folder.parent().unwrap();
    let rule = ReleaseRule::parse(&read(&tokens.join("policies/cvm-default-skr-policy.json"))).unwrap();
    let claims = value(&tokens.join("maa/azurevm-cvm-claims.json")).as_object().unwrap().clone();
    let alternatives = rule.to_value()["anyOf"].as_array().unwrap().clone();
    assert_eq!(alternatives.len(), 60);
    let mut of_either_kind = 0;
    for alternative in &alternatives {
        let issuer = alternative["authority"].as_str().unwrap().trim_end_matches('/');
        let decide = |status: Option<&str>, kind: &str, issuer: &str| {
            let mut claims = claims.clone();
            claims.insert("iss".to_owned(), json!(issuer));
            claims.insert("x-ms-attestation-type".to_owned(), json!(kind));
            match status {
                Some(status) => claims.insert("x-ms-compliance-status".to_owned(), json!(status)),
                None => claims.remove("x-ms-compliance-status"),
            };
            permits(&rule, &claims, issuer)
        };
        let compliant = Some("azure-compliant-cvm");
        assert!(decide(compliant, "sevsnpvm", issuer), "{issuer}");
        // Not every region has TDX.
        let is_same = |other: &&Value| other["authority"].as_str().unwrap().trim_end_matches('/') == issuer;
        let named = alternatives.iter().filter(is_same).any(|other| other.to_string().contains("tdxvm"));
        assert_eq!(decide(compliant, "tdxvm", issuer), named, "{issuer}");
        of_either_kind += usize::from(named);
        for (status, kind) in [
            (None, "sevsnpvm"),
            (compliant, "azurevm"),
            (compliant, "SEVSNPVM"),
            (Some("azure-compliant-uvm"), "tdxvm"),
        ] {
            assert!(!decide(status, kind, issuer), "{issuer}: {status:?} {kind}");
        }
        assert!(!decide(compliant, "sevsnpvm", &format!("{issuer}.evil.example")), "{issuer}");
    }
    assert!((1..60).contains(&of_either_kind), "{of_either_kind}");
}

/// Row 5: what nobody can check is shown as it is, and marked.
#[test]
fn what_has_no_key_set_is_shown_and_no_more() {
    let Some(samples) = samples() else { return };
    let tokens = samples.folder.parent().unwrap();
    for (token, decoded) in [
        ("maa/sevsnpvm-2025.jwt", "maa/sevsnpvm-2025.decoded.json"),
        ("ita/sgx-ps384.jwt", "ita/sgx-ps384.decoded.json"),
        ("gcs/confidential-space-lookalike.jwt", "gcs/confidential-space-lookalike.decoded.json"),
        ("ear/testRealmJWT.jwt", "ear/testRealmJWT.decoded.json"),
    ] {
        let (shown, known) = (inspected(&tokens.join(token), "auto"), value(&tokens.join(decoded)));
        assert_eq!(shown["kind"], "token", "{token}");
        assert_eq!(shown["says"]["claims"], known["payload"], "{token}");
        assert_eq!(shown["says"]["header"]["alg"], known["header"]["alg"], "{token}");
    }
    for (bundle, decoded, name) in [
        ("nras/hopperClaimsv3_detached_eat.json", "nras/hopperClaimsv3_decoded.json", "GPU-0"),
        ("nras/switch_detached_eat.json", "nras/switch_decoded.json", "SWITCH-0"),
    ] {
        let (shown, known) = (inspected(&tokens.join(bundle), "auto"), value(&tokens.join(decoded)));
        let says = &shown["says"];
        assert_eq!(says["overall"]["claims"]["sub"], "NVIDIA-PLATFORM-ATTESTATION", "{bundle}");
        assert_eq!(says["devices"][name]["claims"], known[name], "{bundle}");
    }
}

#[test]
fn a_release_answer_is_shown_with_what_stands_inside() {
    let Some(samples) = samples() else { return };
    for sample in &samples.all {
        for kind in ["auto", "release"] {
            let shown = inspected(&samples.folder.join(&sample.name), kind);
            assert_eq!(shown["kind"], "release");
            let says = &shown["says"];
            assert_eq!(says["header"]["x5c"][0]["hosts"], json!([vault::HOST]));
            assert_eq!(says["answer"]["request"]["enc"], sample.enc.as_str());
            let bundle = &says["answer"]["response"]["key"];
            assert_eq!(bundle["key"]["key_hsm"], Answer::read(&sample.jws).blob);
            assert_eq!(bundle["release_policy"]["data"], vault::policy());
            assert!(!shown.to_string().contains(&hex::encode(&sample.plaintext)));
        }
    }
    // The answer of a server, and the same file as a token.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.json");
    std::fs::write(&file, json!({"value": samples.all[0].jws}).to_string()).unwrap();
    assert_eq!(inspected(&file, "auto")["kind"], "release");
    assert_eq!(inspected(&file, "token")["kind"], "token");
}

#[test]
fn what_is_no_token_is_refused_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let good = "eyJhbGciOiJub25lIn0.e30.";
    for (kind, text, code) in [
        ("token", "", "malformed.token"),
        ("token", "e30.e30", "malformed.token"),
        ("token", "e30.e30=.", "malformed.token"),
        ("token", "e30.W10.", "malformed.token"),
        ("token", r#"[["JWT","e30.e30."],{"GPU-0":7}]"#, "malformed.token"),
        ("release", good, "malformed.token"),
        ("auto", "e30.e30", "malformed.evidence"),
        ("jwt", good, "unsupported.kind"),
    ] {
        let file = folder.path().join("file");
        std::fs::write(&file, text).unwrap();
        let run =
            Command::new(env!("CARGO_BIN_EXE_keygate")).args(["inspect", "--kind", kind]).arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{kind} {text}: {told}");
        assert!(told.contains(&format!("code: {code}")), "{kind} {text}: {told}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, good).unwrap();
    assert_eq!(inspected(&file, "token")["says"]["header"], json!({"alg": "none"}));
}
