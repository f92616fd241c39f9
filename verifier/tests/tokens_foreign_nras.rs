//! Bundles about GPUs and switches, and the processor's evidence beside which alone they count.

mod support;
mod tokens;

use keygate_verifier::tokens::{Lead, Profile, TokenBinding, TokenFault, check_companion, peek_foreign};
use serde_json::{Value, json};
use support::{skipped, vector, vectors_root};
use tokens::NOW;
use tokens::foreign::{Family, TEE, asked, bundle, digest, recipient};
use tokens::hs256;

/// Tokens by name.
type Named<'a> = &'a [(&'a str, &'a str)];

fn nras() -> Family {
    Family::of(Profile::NvidiaNras)
}

/// Judges a bundle of these device tokens under these names, the overall token being about `meant`.
fn judge(meant: &[(&str, &str)], sent: &[(&str, &str)]) -> Result<keygate_verifier::tokens::Foreign, TokenFault> {
    let nras = nras();
    let mut claims = nras.claims();
    claims["submods"] = meant.iter().map(|(name, token)| ((*name).to_owned(), digest(token))).collect();
    let overall = nras.signer.sign(&nras.header(), &claims);
    nras.judge(&bundle(&overall, sent), &nras.keys(), &asked(&recipient(&TEE)))
}

#[test]
fn the_devices_are_those_that_the_overall_token_means() {
    let (one, two) = (nras().device(&[]), nras().device(&[("/ueid", json!("2"))]));
    let both = [("GPU-0", one.as_str()), ("GPU-1", two.as_str())];
    let found = judge(&both, &both).unwrap();
    assert_eq!(found.claims()["submods"]["GPU-1"]["ueid"], "2", "the claims stand where their digest stood");
    assert_eq!(found.claims()["keygate"]["gpu"][0]["model"], "GH100 A01 GSP BROM");
    assert_eq!(found.platforms()[1], "nvidia-gpu:2");
    let cases: [(&str, Named<'_>, Named<'_>); 6] = [
        ("one is missing", &both, &both[..1]),
        ("one is too many", &both[..1], &both),
        ("names changed places", &both, &[("GPU-0", &two), ("GPU-1", &one)]),
        ("another name", &both[..1], &[("GPU-1", &one)]),
        ("another token", &both[..1], &[("GPU-0", &two)]),
        ("one twice, one not", &both, &[("GPU-0", &one), ("GPU-2", &two)]),
    ];
    for (what, meant, sent) in cases {
        let refused = judge(meant, sent).unwrap_err();
        assert!(matches!(refused, TokenFault::Binding(_)), "{what}: {refused}");
    }
    assert_eq!(judge(&[], &[]).unwrap_err(), TokenFault::Claim("submods"), "a platform of nothing");
}

#[test]
fn every_device_is_good_by_itself() {
    for (change, value) in [
        ("/measres", json!("fail")),
        ("/measres", Value::Null),
        ("/x-nvidia-gpu-attestation-report-nonce-match", json!(false)),
        ("/x-nvidia-gpu-arch-check", json!("true")),
        ("/x-nvidia-switch-attestation-report-signature-verified", json!(false)),
        ("/x-nvidia-gpu-attestation-report-cert-chain/x-nvidia-cert-status", json!("expired")),
        ("/x-nvidia-gpu-attestation-report-cert-chain/x-nvidia-cert-ocsp-status", json!("revoked")),
        ("/eat_nonce", json!("00".repeat(32))),
        ("/iss", json!("https://nras.attestation-stg.nvidia.com")),
        ("/exp", json!(NOW.secs() - 100)),
        ("/keygate", json!({})),
    ] {
        let device = nras().device(&[(change, value.clone())]);
        let refused = judge(&[("GPU-0", &device)], &[("GPU-0", &device)]);
        assert!(refused.is_err(), "{change} = {value}");
    }
    for (word, debug) in [(json!("disabled"), false), (json!("enabled"), true), (Value::Null, true)] {
        let device = nras().device(&[("/dbgstat", word)]);
        assert_eq!(judge(&[("GPU-0", &device)], &[("GPU-0", &device)]).unwrap().is_debug(), debug);
    }
    // A device's end is the end of the whole.
    let device = nras().device(&[("/exp", json!(NOW.secs() + 30))]);
    assert_eq!(judge(&[("GPU-0", &device)], &[("GPU-0", &device)]).unwrap().expires(), NOW.plus(30));
}

#[test]
fn the_overall_token_says_good_and_of_a_platform() {
    let nras = nras();
    for changes in [
        ("/x-nvidia-overall-att-result", json!(false)),
        ("/x-nvidia-overall-att-result", json!("true")),
        ("/x-nvidia-overall-att-result", Value::Null),
        ("/sub", json!("NVIDIA-GPU-ATTESTATION")),
        ("/sub", Value::Null),
        ("/eat_nonce", Value::Null),
    ] {
        assert!(nras.changed(std::slice::from_ref(&changes)).is_err(), "{changes:?}");
    }
    for submods in [json!([]), json!({ "GPU-0": ["DIGEST", ["SHA-1", "00"]] }), json!({ "GPU-0": "x" })] {
        assert_eq!(nras.changed(&[("/submods", submods)]).unwrap_err(), TokenFault::Claim("submods"));
    }
}

/// The library's own token is signed with a secret that everybody knows: nothing in it counts, and nothing but NVIDIA's does.
#[test]
fn jwt_03_the_librarys_token_is_nobodys() {
    let nras = nras();
    let tee = recipient(&TEE);
    let judge = |text: &str| nras.judge(text, &nras.keys(), &asked(&tee));
    let good = nras.token(&nras.claims());
    let inner: Value = serde_json::from_str(&good).unwrap();
    let local = hs256(b"notasecret", &json!({"alg": "HS256", "typ": "JWT"}), &json!({"iss": "NV-Attestation-SDK"}));
    let wrapped = json!([["JWT", local], { "REMOTE_GPU_CLAIMS": inner }]);
    assert!(judge(&wrapped.to_string()).unwrap().is_companion());
    assert_eq!(peek_foreign(&wrapped.to_string()).unwrap().issuer.as_deref(), Some(nras.issuer));
    let device = hs256(b"secret", &json!({"alg": "HS256"}), &nras.claims());
    for bad in [
        json!([["JWT", local], { "LOCAL_GPU_CLAIMS": inner }]),
        json!([["JWT", local], { "REMOTE_GPU_CLAIMS": inner, "LOCAL_GPU_CLAIMS": inner }]),
        json!([["JWT", local], { "REMOTE_GPU_CLAIMS": wrapped }]),
        json!([["JWT", local], { "GPU-0": device }]),
        json!([["JWT", inner[0][1]], { "GPU-0": device }]),
        json!([["JWT", inner[0][1]]]),
        json!([inner[0], inner[1], {}]),
        json!([["JWS", inner[0][1]], inner[1]]),
        json!({ "JWT": inner[0][1] }),
        inner[0][1].clone(),
    ] {
        assert!(judge(&bad.to_string()).is_err(), "{bad}");
    }
    assert_eq!(judge(inner[0][1].as_str().unwrap()).unwrap_err().code(), "malformed");
    assert_eq!(
        judge(&good.replacen("GPU-0", "GPU-0\":\"x\",\"GPU-0", 1)).unwrap_err().code(),
        "malformed",
        "a name twice"
    );
    assert_eq!(judge(&"[".repeat(300_000)).unwrap_err().code(), "too-large");
    assert_eq!(judge(&"[".repeat(3_000)).unwrap_err().code(), "too-large");
}

#[test]
fn a_device_counts_only_beside_the_processor_of_the_same_request() {
    let tee = recipient(&TEE);
    let nras = nras();
    let device = nras.judge(&nras.token(&nras.claims()), &nras.keys(), &TokenBinding::Unbound).unwrap();
    for profile in [Profile::Maa, Profile::GoogleConfidentialSpace, Profile::IntelTrustAuthority, Profile::Ear] {
        let family = Family::of(profile);
        let lead = family.changed(&[]).unwrap();
        check_companion(&Lead::Token(&lead), &device).unwrap_or_else(|fault| panic!("{profile:?}: {fault}"));
        // The same token, taken without our challenge.
        let token = family.token(&family.claims());
        let unbound = family.judge(&token, &family.keys(), &TokenBinding::Unbound).unwrap();
        assert!(check_companion(&Lead::Token(&unbound), &device).is_err(), "{profile:?}");
        // The processor is no companion, a device no lead.
        assert!(check_companion(&Lead::Token(&lead), &lead).is_err());
    }
    let leading = nras.judge(&nras.token(&nras.claims()), &nras.keys(), &asked(&tee)).unwrap();
    assert!(leading.is_fresh());
    assert!(check_companion(&Lead::Token(&leading), &device).is_err());
    // A device for another request.
    let other = json!("5b".repeat(32));
    let gpu = nras.device(&[("/eat_nonce", other.clone())]);
    let mut claims = nras.claims_with(&[("/eat_nonce", other)]);
    claims["submods"] = json!({ "GPU-0": digest(&gpu) });
    let text = bundle(&nras.signer.sign(&nras.header(), &claims), &[("GPU-0", &gpu)]);
    let stranger = nras.judge(&text, &nras.keys(), &TokenBinding::Unbound).unwrap();
    let lead = Family::of(Profile::Maa).changed(&[]).unwrap();
    let refused = check_companion(&Lead::Token(&lead), &stranger).unwrap_err();
    assert_eq!(refused.code(), "binding-mismatch");
}

/// The digests of the recorded bundle are over the compact tokens.
#[test]
fn the_recorded_bundle_means_its_own_tokens() {
    if vectors_root().is_none() {
        return skipped("recorded bundles", 2);
    }
    for (name, device) in [("hopperClaimsv3", "GPU-0"), ("switch", "SWITCH-0")] {
        let text: Value = serde_json::from_slice(&vector(&format!("tokens/nras/{name}_detached_eat.json"))).unwrap();
        let overall = text[0][1].as_str().unwrap();
        let claims: Value = {
            use base64::Engine as _;
            let payload = overall.split('.').nth(1).unwrap();
            serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
        };
        assert_eq!(claims["submods"][device], digest(text[1][device].as_str().unwrap()), "{name}");
    }
}
