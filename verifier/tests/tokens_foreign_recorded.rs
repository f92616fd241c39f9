//! Claims that were recorded from the issuers or printed by them, signed again by a key of ours at their own time: what is read from
//! them. Relying party tokens, sections 1 to 6.

mod support;
mod tokens;

use keygate_forge::software::{Software, SoftwareEvidence};
use keygate_verifier::tokens::{
    Foreign, Issuer, Lead, Profile, TokenBinding, TokenFault, TokenRoots, check_companion, verify_foreign,
};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome, RecipientKey,
    UnixTime, Verifier,
};
use serde_json::{Value, json};
use support::{skipped, vector, vectors_root};
use tokens::foreign::{Family, TEE, bundle, digest, recipient};
use tokens::{NOW, b64};

/// The claims of a sample, or of its member `payload`.
fn sample(path: &str) -> Value {
    let value: Value = serde_json::from_slice(&vector(&format!("tokens/{path}"))).unwrap();
    value.get("payload").cloned().unwrap_or(value)
}

/// The claims under a key of ours, for the issuer configured under this name.
fn judge(profile: Profile, issuer: &str, claims: &Value) -> Result<Foreign, TokenFault> {
    let family = Family::of(profile);
    let (keys, roots) = (family.keys(), TokenRoots::none());
    let configured = Issuer {
        name: "sample",
        issuer,
        profile,
        keys: &keys,
        roots: &roots,
        audiences: &["https://some_audience"],
        max_age: Some(86_400 * 365 * 2),
        is_keygate: false,
    };
    let at = UnixTime::from_secs(claims["iat"].as_i64().unwrap());
    let token = family.signer.sign(&family.header(), claims);
    verify_foreign(&token, &configured, &TokenBinding::Unbound, at)
}

fn modulus(found: &Foreign) -> String {
    match found.bound_key() {
        BoundKey::Present(RecipientKey::Rsa { n, .. }) => b64(n),
        other => panic!("{other:?}"),
    }
}

#[test]
fn azures_samples_give_the_key_on_top() {
    if vectors_root().is_none() {
        return skipped("samples of azure", 4);
    }
    let machine = sample("maa/azurevm-cvm-claims.json");
    let found = judge(Profile::Maa, machine["iss"].as_str().unwrap(), &machine).unwrap();
    // In this sample the key of the nested platform is marked for encryption too.
    assert_eq!(machine["x-ms-isolation-tee"]["x-ms-runtime"]["keys"][0]["key_ops"], json!(["encrypt"]));
    assert_eq!(found.key_id(), Some("TpmEphemeralEncryptionKey"));
    assert_eq!(modulus(&found), machine["x-ms-runtime"]["keys"][0]["n"]);
    assert!(!found.is_debug());
    let keygate = &found.claims()["keygate"];
    assert_eq!(keygate["tee"]["kind"], "snp");
    assert_eq!(keygate["tee"]["svn"]["microcode"], 55);
    assert_eq!(keygate["instance"]["id"], "2DEDC52A-6832-46CE-9910-E8C9980BF5A7");

    let snp = sample("maa/sevsnpvm-docs-claims.json");
    let found = judge(Profile::Maa, snp["iss"].as_str().unwrap(), &snp).unwrap();
    assert_eq!((found.key_id(), found.is_debug()), (Some("HCLTransferKey"), false));
    let container = sample("maa/sevsnpvm-2025.decoded.json");
    let found = judge(Profile::Maa, container["iss"].as_str().unwrap(), &container).unwrap();
    assert_eq!(found.bound_key(), &BoundKey::Absent, "no run-time data");
    let tdx = sample("maa/tdxvm-docs-claims.json");
    let found = judge(Profile::Maa, tdx["iss"].as_str().unwrap(), &tdx).unwrap();
    assert_eq!(found.bound_key(), &BoundKey::Absent);
    assert_eq!(found.claims()["keygate"]["platform"]["tcb_status"], "UpToDate");
    assert_eq!(found.claims()["keygate"]["tee"]["measurement"]["mrtd"], tdx["tdx_mrtd"]);
}

#[test]
fn intels_sample_holds_a_key_of_3072_bits() {
    if vectors_root().is_none() {
        return skipped("samples of intel", 1);
    }
    let sgx = sample("ita/sgx-ps384.decoded.json");
    let issuer = "https://amber-poc-user1.project-amber-smas.com";
    let found = judge(Profile::IntelTrustAuthority, issuer, &sgx).unwrap();
    let BoundKey::Present(RecipientKey::Rsa { n, e }) = found.bound_key() else { panic!("no key") };
    assert_eq!((n.len(), e.as_slice()), (384, &[1, 0, 1][..]));
    assert!(!found.is_debug());
    let tcb = &found.claims()["keygate"]["tcb"];
    assert_eq!((&tcb["status"], tcb["advisories"].as_array().unwrap().len()), (&json!("OutOfDate"), 9));
    // Another portal has another page of its profile.
    let portal = "https://portal.trustauthority.intel.com";
    assert!(matches!(judge(Profile::IntelTrustAuthority, portal, &sgx), Err(TokenFault::Profile(_))));
}

#[test]
fn nvidias_samples_are_a_gpu_and_a_switch_and_open_nothing() {
    if vectors_root().is_none() {
        return skipped("samples of nvidia", 2);
    }
    for (path, name, model) in [
        ("nras/hopperClaimsv3_decoded.json", "GPU-0", "GH100 A01 GSP BROM"),
        ("nras/switch_decoded.json", "SWITCH-0", "LS_10 A01 FSP BROM"),
    ] {
        let family = Family::of(Profile::NvidiaNras);
        let device = sample(path)[name].clone();
        let issuer = device["iss"].as_str().unwrap();
        let token = family.signer.sign(&family.header(), &device);
        let mut overall = family.claims_with(&[("/iss", json!(issuer)), ("/eat_nonce", device["eat_nonce"].clone())]);
        for time in ["iat", "nbf", "exp"] {
            overall[time] = device[time].clone();
        }
        overall["submods"] = json!({ name: digest(&token) });
        let text = bundle(&family.signer.sign(&family.header(), &overall), &[(name, &token)]);
        let (keys, roots) = (family.keys(), TokenRoots::none());
        let configured = Issuer {
            name: "sample",
            issuer,
            profile: Profile::NvidiaNras,
            keys: &keys,
            roots: &roots,
            audiences: &[],
            max_age: None,
            is_keygate: false,
        };
        let at = UnixTime::from_secs(device["iat"].as_i64().unwrap());
        let found = verify_foreign(&text, &configured, &TokenBinding::Unbound, at).unwrap();
        assert_eq!((found.bound_key(), found.is_companion(), found.is_debug()), (&BoundKey::Absent, true, false));
        assert_eq!(found.claims()["keygate"]["gpu"][0]["model"], model);
        // Under the name of the true service a token of the staging instance is another's.
        let real = Issuer { issuer: "https://nras.attestation.nvidia.com", ..configured };
        let judged = verify_foreign(&text, &real, &TokenBinding::Unbound, at);
        assert_eq!(judged.is_err(), issuer != real.issuer, "{name}");
    }
}

#[test]
fn trustees_samples_are_refused_for_their_key_and_their_status() {
    if vectors_root().is_none() {
        return skipped("samples of trustee", 2);
    }
    let issuer = "https://trustee.example";
    let realm = sample("ear/testRealmJWT.decoded.json");
    let weak = judge(Profile::Ear, issuer, &realm).unwrap_err();
    assert!(matches!(weak, TokenFault::Profile(_)), "a key of 1,024 bits: {weak}");
    let mut strong = realm;
    strong["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["runtime_data_claims"]["tee-pubkey"] = TEE.jwk();
    let found = judge(Profile::Ear, issuer, &strong).unwrap();
    assert_eq!(found.bound_key(), &BoundKey::Present(recipient(&TEE)));
    assert_eq!((&found.claims()["keygate"]["tee"]["kind"], found.is_debug()), (&json!("cca"), false));
    let contraindicated = judge(Profile::Ear, issuer, &sample("ear/trustee-example.token.json")).unwrap_err();
    assert!(matches!(contraindicated, TokenFault::Profile(_)), "{contraindicated}");
}

/// All that Google would say, signed by somebody: the issuer and the key alone tell it apart.
#[test]
fn the_lookalike_would_pass_under_googles_name_and_key_alone() {
    if vectors_root().is_none() {
        return skipped("the look-alike of google", 1);
    }
    let google = "https://confidentialcomputing.googleapis.com";
    let mut claims = sample("gcs/confidential-space-lookalike.decoded.json");
    assert_eq!(judge(Profile::GoogleConfidentialSpace, google, &claims).unwrap_err(), TokenFault::Issuer);
    claims["iss"] = json!(google);
    let found = judge(Profile::GoogleConfidentialSpace, google, &claims).unwrap();
    assert_eq!((found.is_debug(), &found.claims()["keygate"]["tee"]["kind"]), (false, &json!("sev")));
    assert_eq!(found.claims()["keygate"]["workload"]["image_digest"], claims["submods"]["container"]["image_digest"]);
}

/// A device beside raw evidence: both are bound to the same request.
#[test]
fn a_device_counts_beside_raw_evidence_of_the_same_request() {
    let software = Software::new(NOW.secs());
    let mut anchors = Anchors::none();
    anchors.add("software", EvidenceKind::Software, &software.root_der()).unwrap();
    let verifier = Verifier::new(anchors);
    let native = |challenge| NativeBinding::new([challenge; 32], "kms.example", &[4; 32], recipient(&TEE), b"");
    let verified = |binding: &Binding, report_data: [u8; 64]| {
        let text = software.evidence(&SoftwareEvidence::new(report_data));
        let evidence = Evidence { kind: EvidenceKind::Software, bytes: text.as_bytes() };
        match verifier.verify(&evidence, binding, &Endorsements::default(), &Options::strict(), NOW).unwrap() {
            Outcome::Verified(verified) => verified,
            other => panic!("{other:?}"),
        }
    };
    let (ours, other) = (native(3), native(5));
    let bound = verified(&Binding::Native(Box::new(ours.clone())), *ours.report_data());
    let unbound = verified(&Binding::Unbound, *ours.report_data());

    let family = Family::of(Profile::NvidiaNras);
    let nonce = json!(hex::encode(&ours.report_data()[..32]));
    let gpu = family.device(&[("/eat_nonce", nonce.clone())]);
    let claims = family.claims_with(&[("/eat_nonce", nonce), ("/submods", json!({ "GPU-0": digest(&gpu) }))]);
    let text = bundle(&family.signer.sign(&family.header(), &claims), &[("GPU-0", &gpu)]);
    let device = family.judge(&text, &family.keys(), &TokenBinding::Unbound).unwrap();

    assert!(check_companion(&Lead::Evidence(&bound, &ours), &device).is_ok());
    for (what, lead) in
        [("another request", Lead::Evidence(&bound, &other)), ("unbound", Lead::Evidence(&unbound, &ours))]
    {
        assert_eq!(check_companion(&lead, &device).unwrap_err().code(), "binding-mismatch", "{what}");
    }
}
