//! The machine cases and the policies met in the field.
//! Secure key release, sections 7 and 8; relying party tokens, section 9. Skipped, and said so, where the folder of
//! vectors is absent; a failure where `CI` is set.

use std::path::PathBuf;

use keygate_policies::release::{Asked, Authority, FreshnessShown, KeyRules, ReleaseRule};
use keygate_policies::{Diagnostic, Limits, canonical, json};
use serde_json::{Map, Value};

fn tokens() -> Option<PathBuf> {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from)
        .join("tokens");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "vectors are absent, and CI is set");
    let line = "SKIPPED 1 test: no vectors, set KEYGATE_VECTORS\n";
    // Not by a macro, whose words are kept back where a test succeeds.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    None
}

fn bytes(folder: &std::path::Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn value(folder: &std::path::Path, name: &str) -> Value {
    json::parse(&bytes(folder, name), &Limits::CLAIMS).unwrap_or_else(|fault| panic!("{name}: {fault}")).to_value()
}

fn claims(folder: &std::path::Path, name: &str) -> Map<String, Value> {
    value(folder, name).as_object().unwrap().clone()
}

fn foreign(claims: &Map<String, Value>) -> Authority<'_> {
    Authority { issuer: claims["iss"].as_str().unwrap(), own: false }
}

#[test]
fn sixteen_machine_cases() {
    let Some(folder) = tokens() else { return };
    let file = value(&folder, "generated/policy-cases.json");
    let claims = file["claims"].as_object().unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 16);
    for case in cases {
        let text = canonical::text(&case["policy"]);
        let rule = ReleaseRule::parse(text.as_bytes()).unwrap();
        let decision = rule.evaluate(&foreign(claims), claims);
        assert_eq!(Value::Bool(decision.permit), case["expect"], "{}: {decision:#?}", case["name"]);
        assert_eq!(canonical::text(&rule.to_value()), text, "{}", case["name"]);
    }
}

#[test]
fn policies_in_the_field_parse() {
    let Some(folder) = tokens() else { return };
    for (name, authorities) in
        [("policies/cvm-default-skr-policy.json", 60), ("policies/cvm-datadisk-all-regions.json", 26)]
    {
        let rule = ReleaseRule::parse(&bytes(&folder, name)).unwrap_or_else(|found| panic!("{name}: {found:#?}"));
        assert_eq!(rule.to_value()["anyOf"].as_array().unwrap().len(), authorities, "{name}");
    }
    let template = value(&folder, "policies/aci-hostdata-template.json");
    let text = canonical::text(&template["policy"]);
    ReleaseRule::parse(text.as_bytes()).unwrap();
}

#[test]
fn templates_and_other_languages_are_refused() {
    let Some(folder) = tokens() else { return };
    let refused = |name: &str| -> Vec<Diagnostic> { KeyRules::parse(&bytes(&folder, name)).expect_err(name) };
    for template in ["policies/cvm-single-authority.json", "policies/cvm-minimal-template.json"] {
        let found = refused(template);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].message.contains("no URL of an issuer"), "{found:#?}");
    }
    for other in [
        "policies/aci-hostdata-template.json",
        "policies/aci-importkey-config.json",
        "policies/ccf-kms-gte-gt-policy.json",
    ] {
        assert!(refused(other).iter().all(|found| found.code == "rule-invalid"), "{other}");
    }
}

#[test]
fn the_data_disk_policy_releases_under_each_of_its_authorities_alone() {
    let Some(folder) = tokens() else { return };
    let rule = ReleaseRule::parse(&bytes(&folder, "policies/cvm-datadisk-all-regions.json")).unwrap();
    let mut claims = claims(&folder, "maa/azurevm-cvm-claims.json");
    assert!(!rule.evaluate(&foreign(&claims), &claims).permit, "a test instance is none of the authorities");
    for alternative in rule.to_value()["anyOf"].as_array().unwrap() {
        let issuer = alternative["authority"].as_str().unwrap().trim_end_matches('/');
        claims.insert("iss".to_owned(), issuer.into());
        assert!(rule.evaluate(&foreign(&claims), &claims).permit, "{issuer}");
    }
}

#[test]
fn the_default_policy_tests_the_top_level() {
    let Some(folder) = tokens() else { return };
    let rule = ReleaseRule::parse(&bytes(&folder, "policies/cvm-default-skr-policy.json")).unwrap();
    let mut claims = claims(&folder, "maa/azurevm-cvm-claims.json");
    for alternative in rule.to_value()["anyOf"].as_array().unwrap() {
        let issuer = alternative["authority"].as_str().unwrap().trim_end_matches('/');
        claims.insert("iss".to_owned(), issuer.into());
        claims.insert("x-ms-attestation-type".to_owned(), "azurevm".into());
        claims.remove("x-ms-compliance-status");
        assert!(!rule.evaluate(&foreign(&claims), &claims).permit, "{issuer}");
        claims.insert("x-ms-attestation-type".to_owned(), "sevsnpvm".into());
        claims.insert("x-ms-compliance-status".to_owned(), "azure-compliant-cvm".into());
        assert!(rule.evaluate(&foreign(&claims), &claims).permit, "{issuer}");
    }
}

#[test]
fn key_02_the_default_policy_names_no_workload() {
    let Some(folder) = tokens() else { return };
    let rules = KeyRules::parse(&bytes(&folder, "policies/cvm-default-skr-policy.json")).unwrap();
    let refusals = rules.lint().iter().filter(|found| found.code == "rule-invalid.no-workload").count();
    assert_eq!(refusals, 60);
}

#[test]
fn tokens_of_the_field_pass_the_guards_once_they_are_known_to_be_no_debug() {
    let Some(folder) = tokens() else { return };
    for (name, claim, operand) in [
        ("generated/target-aci.claims.json", "x-ms-sevsnpvm-is-debuggable", "false"),
        ("generated/target-cvm.claims.json", "x-ms-isolation-tee.x-ms-sevsnpvm-vmpl", "0"),
    ] {
        let mut claims = claims(&folder, name);
        let rule = serde_json::json!({"version": "1.0.0", "anyOf": [
            {"authority": claims["iss"], "allOf": [{"claim": claim, "equals": operand}]}]});
        let document = serde_json::json!({"rules": {"default": rule}, "options": {"freshness": "issuer"}});
        let rules = KeyRules::parse(document.to_string().as_bytes()).unwrap();
        let decide = |claims: &Map<String, Value>| {
            let asked = Asked {
                authority: foreign(claims),
                claims,
                wrapping: "CKM_RSA_AES_KEY_WRAP",
                freshness: FreshnessShown::IssuerOnly,
                references: keygate_policies::reference::References::none(),
            };
            rules.decide("release", &asked)
        };
        assert_eq!(decide(&claims).code, Some("debug-rejected"), "{name}");
        claims.insert("keygate".to_owned(), serde_json::json!({"debug": false}));
        assert!(decide(&claims).permit, "{name}: {:#?}", decide(&claims));
    }
}

/// All that Google would say, and a rule that names Google: whose word it is decides, then the list of what the image is.
#[test]
fn jwt_44_a_look_alike_meets_the_claims_and_not_the_authority() {
    let Some(folder) = tokens() else { return };
    let mut claims =
        value(&folder, "gcs/confidential-space-lookalike.decoded.json")["payload"].as_object().unwrap().clone();
    let document = |needed: &str| {
        serde_json::json!({"rules": {"default": {"version": "1.0.0", "anyOf": [
            {"authority": "https://confidentialcomputing.googleapis.com", "allOf": [
                {"claim": "submods.container.image_digest",
                    "equals": "sha256:a76fd40d851d895f6eee2b047ceaf84fcb06812ef1707dbc9a22e4e74f4cfd1f"},
                {"claimPointer": "/submods/confidential_space/support_attributes", "contains": needed},
                {"claimPointer": "/google_service_accounts",
                    "contains": "operator-svc-account@vegas-codelab-5.iam.gserviceaccount.com"}]}]}}})
    };
    claims.insert("keygate".to_owned(), serde_json::json!({"debug": false, "tee": {"kind": "sev"}}));
    let decide = |claims: &Map<String, Value>, needed: &str, freshness| {
        let rules = KeyRules::parse(document(needed).to_string().as_bytes()).unwrap();
        rules.decide(
            "release",
            &Asked {
                authority: foreign(claims),
                claims,
                wrapping: "JWE",
                freshness,
                references: keygate_policies::reference::References::none(),
            },
        )
    };
    assert_eq!(decide(&claims, "STABLE", FreshnessShown::Once).code, Some("rule-not-satisfied"));
    claims.insert("iss".to_owned(), "https://confidentialcomputing.googleapis.com".into());
    assert!(decide(&claims, "STABLE", FreshnessShown::Once).permit);
    assert_eq!(decide(&claims, "EXPERIMENTAL", FreshnessShown::Once).code, Some("rule-not-satisfied"));
    assert_eq!(decide(&claims, "STABLE", FreshnessShown::IssuerOnly).code, Some("freshness-failed"));
    claims.insert("keygate".to_owned(), serde_json::json!({"debug": true}));
    assert_eq!(decide(&claims, "STABLE", FreshnessShown::Once).code, Some("debug-rejected"));
}

/// What a token says of its platform is held against the key's options, like our own appraisal.
#[test]
fn sgx_17_a_foreign_status_of_the_platform_is_guarded() {
    let rule = serde_json::json!({"version": "1.0.0", "anyOf": [
        {"authority": "https://portal.trustauthority.intel.com", "allOf": [{"claim": "tdx.tdx_mrtd", "equals": "ab"}]}]});
    let rules = serde_json::json!({"rules": {"default": rule}, "options": {"tcb": {
        "accept": ["UpToDate", "SWHardeningNeeded"], "advisories": ["INTEL-SA-1"]}}});
    let rules = KeyRules::parse(rules.to_string().as_bytes()).unwrap();
    let code = |tcb: Value, status: &str| {
        let claims = serde_json::json!({"iss": "Intel Trust Authority", "tdx": {"tdx_mrtd": "ab"},
            "keygate": {"debug": false, "tcb": tcb, "platform": {"tcb_status": status}}});
        // The authority is the issuer as configured, whatever product stands in the token.
        let authority = Authority { issuer: "https://portal.trustauthority.intel.com", own: false };
        let claims = claims.as_object().unwrap();
        rules
            .decide(
                "release",
                &Asked {
                    authority,
                    claims,
                    wrapping: "JWE",
                    freshness: FreshnessShown::Once,
                    references: keygate_policies::reference::References::none(),
                },
            )
            .code
    };
    let tcb = |status: &str, advisories: &[&str]| serde_json::json!({"status": status, "advisories": advisories});
    assert_eq!(code(tcb("UpToDate", &[]), "UpToDate"), None);
    assert_eq!(code(tcb("SWHardeningNeeded", &["INTEL-SA-1"]), "SWHardeningNeeded"), None);
    assert_eq!(code(tcb("SWHardeningNeeded", &["INTEL-SA-2"]), "SWHardeningNeeded"), Some("tcb-rejected"));
    let untold = serde_json::json!({"status": "SWHardeningNeeded"});
    assert_eq!(code(untold, "SWHardeningNeeded"), Some("tcb-rejected"), "advisories that are not told");
    for status in ["OutOfDate", "Revoked", "OK", ""] {
        assert_eq!(code(tcb(status, &[]), status), Some("tcb-rejected"), "{status}");
    }
}
