//! Azure Attestation's dialect from evidence to token and from policy to policy, with forged hardware. `maa-rest-api.md` sections 3 to 5
//! and 9; each answer of 200 has a twin that is refused.

use std::sync::Arc;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate::broker::*;
use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::intel::{Intel, SgxQuote, TdxQuote, Tee};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::broker::*;
use super::hardware::Shelf;
use super::maa_door::{Told, employ, request, send, with_bearer};

const V: &str = "?api-version=2025-06-01";
const HELD: &[u8] = br#"{"jwk":{"kty":"EC"}}"#;
const DENY: &str = "version=1.0; authorizationrules{=> deny();}; issuancerules{};";
const PERMIT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";

/// A house, and machines whose roots it trusts.
struct Ward {
    house: House,
    intel: Intel,
    amd: Amd,
}

impl Ward {
    fn new() -> Self {
        let (intel, amd) = (Intel::new(NOW), Amd::new(Product::Milan, NOW));
        let shelf = Arc::new(Shelf::default());
        let (sgx, tdx) = (intel.collateral(&intel.describe(Tee::Sgx)), intel.collateral(&intel.describe(Tee::Tdx)));
        shelf.put(&[sgx.as_bytes(), tdx.as_bytes()]);
        let house = House::with(Limits::default(), shelf, |anchors| {
            anchors.add("forge", EvidenceKind::Sgx, &intel.root_der()).unwrap();
            anchors.add("forge", EvidenceKind::Tdx, &intel.root_der()).unwrap();
            anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).unwrap();
        });
        Self { house, intel, amd }
    }

    /// A quote that binds `held`.
    fn quote(&self, held: &[u8]) -> Vec<u8> {
        self.intel.sgx_quote(&SgxQuote::new(report_data(held)))
    }

    async fn post(&self, path: &str, body: &Value) -> Told {
        send(&self.house, request(&Method::POST, path, body.to_string())).await
    }

    async fn attest(&self, kind: &str, body: &Value) -> Told {
        self.post(&format!("/attest/{kind}{V}"), body).await
    }
}

fn report_data(held: &[u8]) -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].copy_from_slice(&sha256(held));
    data
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn held(bytes: &[u8], data_type: &str) -> Value {
    json!({"data": text(bytes), "dataType": data_type})
}

/// Header and payload of a token in an answer of 200.
fn token(told: &Told) -> (Value, Value) {
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(told.header("content-type"), Some("application/json; charset=utf-8"));
    told.has_heads("token");
    let mut parts = told.body["token"].as_str().unwrap().split('.');
    let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
    (part(), part())
}

/// The trace id in the answer is the record's correlation id.
fn stands_in(record: &Value, told: &Told) {
    let correlation = record["correlation"].as_str().unwrap().replace('-', "");
    assert_eq!(told.header("x-ms-request-id").unwrap().split('-').nth(1), Some(correlation.as_str()), "{record}");
}

fn unsecured(policy: &str) -> String {
    let payload = json!({"AttestationPolicy": text(policy.as_bytes())}).to_string();
    format!("{}.{}.", text(br#"{"alg":"none"}"#), text(payload.as_bytes()))
}

#[actix_web::test]
async fn every_kind_is_attested_and_bound_to_what_was_held() {
    let ward = Ward::new();
    let mut report = SgxQuote::new(report_data(HELD));
    report.with_oe_header = true;
    let tdx = ward.intel.tdx_quote(&TdxQuote::new(report_data(HELD)));
    let snp = ward.amd.evidence(&SnpReport::new(report_data(HELD)));
    let document = snp.azure_document(&[]);
    for (kind, member, evidence, named) in [
        ("SgxEnclave", "quote", ward.quote(HELD), "sgx"),
        ("OpenEnclave", "report", ward.intel.sgx_quote(&report), "sgx"),
        ("TdxVm", "quote", tdx, "tdxvm"),
        ("sevsnpVM", "report", document.into_bytes(), "sevsnpvm"),
    ] {
        let body = |data: Value| json!({member: text(&evidence), "runtimeData": data, "nonce": 7, "unknown": [1]});
        let told = ward.attest(kind, &body(held(HELD, "Json"))).await;
        let (header, payload) = token(&told);
        assert_eq!(header["alg"], "RS256", "{kind}");
        assert_eq!(payload["x-ms-attestation-type"], named, "{kind}");
        assert_eq!(payload["x-ms-runtime"], json!({"jwk": {"kty": "EC"}}), "{kind}");
        assert_eq!((&payload["iss"], &payload["nonce"]), (&json!("https://kms.example"), &json!("7")), "{kind}");
        stands_in(&ward.house.newest("attestation"), &told);
        ward.attest(kind, &body(held(b"{}", "JSON"))).await.is(400, "InvalidParameter", kind);
        token(&ward.attest(kind, &body(json!(null))).await);
        let padded = json!({member: STANDARD.encode(&evidence)});
        token(&ward.attest(kind, &padded).await);
        let mut damaged = evidence.clone();
        damaged[100] ^= 1;
        ward.attest(kind, &json!({member: text(&damaged)})).await.is(400, "InvalidParameter", kind);
    }
}

#[actix_web::test]
async fn bytes_that_were_held_are_a_claim_as_they_are() {
    let ward = Ward::new();
    let quote = text(&ward.quote(b"\xffkey"));
    let (_, payload) =
        token(&ward.attest("SgxEnclave", &json!({"quote": quote, "runtimeData": {"data": "_2tleQ=="}})).await);
    assert_eq!((&payload["x-ms-sgx-ehd"], &payload["x-ms-runtime"]), (&json!("_2tleQ"), &Value::Null));
    let other = json!({"quote": quote, "runtimeData": {"data": "_2tleR"}});
    ward.attest("SgxEnclave", &other).await.is(400, "InvalidParameter", "no canonical base64");
    let json = json!({"quote": quote, "runtimeData": {"data": "_2tleQ", "dataType": "JSON"}});
    ward.attest("SgxEnclave", &json).await.is(400, "InvalidParameter", "no object");
}

#[actix_web::test]
async fn a_bearer_of_somebody_else_does_no_harm() {
    let ward = Ward::new();
    let body = json!({"quote": text(&ward.quote(HELD))}).to_string();
    let asked = || request(&Method::POST, &format!("/attest/SgxEnclave{V}"), body.clone());
    token(&send(&ward.house, with_bearer(asked(), "test-token")).await);
    let traced = with_bearer(asked(), "test-token").insert_header(("x-ms-keygate-trace", "true"));
    send(&ward.house, traced).await.is(401, "Unauthorized", "where it matters it must be good");
}

#[actix_web::test]
async fn the_trace_stands_beside_token_and_error_for_those_who_may_read() {
    let ward = Ward::new();
    let reader = employ(&ward.house, "attestation-reader");
    let asked = |draft: &str| {
        let body = json!({"quote": text(&ward.quote(HELD)), "draftPolicyForAttestation": draft});
        with_bearer(request(&Method::POST, &format!("/attest/SgxEnclave{V}"), body.to_string()), &reader)
    };
    let traced = |draft: &str| asked(draft).insert_header(("x-ms-keygate-trace", "true"));
    let told = send(&ward.house, traced(PERMIT)).await;
    let (header, _) = token(&told);
    assert_eq!(header["alg"], "none", "a draft is not signed");
    assert!(told.body["trace"].as_array().is_some_and(|rules| !rules.is_empty()), "{}", told.body);
    let told = send(&ward.house, traced(DENY)).await;
    told.is(400, "PolicyEvaluationError", "denied");
    assert!(told.body["trace"].as_array().is_some_and(|rules| !rules.is_empty()), "{}", told.body);
    stands_in(&ward.house.newest("attestation"), &told);
    for draft in [PERMIT, DENY] {
        let told = send(&ward.house, asked(draft)).await;
        assert!(told.body.get("trace").is_none(), "nobody asked for it: {}", told.body);
    }
    let told = send(&ward.house, traced("version=1.0; authorizationrules{")).await;
    told.is(400, "PolicyParsingError", "no policy");
}

#[actix_web::test]
async fn the_first_version_wants_a_reader_and_has_its_own_body() {
    let ward = Ward::new();
    let reader = employ(&ward.house, "attestation-reader");
    let mut report = SgxQuote::new(report_data(HELD));
    report.with_oe_header = true;
    let path = "/attest/SgxEnclave?api-version=2018-09-01-preview";
    for quote in [ward.quote(HELD), ward.intel.sgx_quote(&report)] {
        let body = |data: &[u8]| json!({"Quote": text(&quote), "EnclaveHeldData": text(data)}).to_string();
        let asked = |data: &[u8]| request(&Method::POST, path, body(data));
        let (_, payload) = token(&send(&ward.house, with_bearer(asked(HELD), &reader)).await);
        assert_eq!(payload["maa-ehd"], text(HELD));
        send(&ward.house, asked(HELD)).await.is(401, "Unauthorized", "nobody");
        send(&ward.house, with_bearer(asked(HELD), "test-token")).await.is(401, "Unauthorized", "a stranger");
        send(&ward.house, with_bearer(asked(b"x"), &reader)).await.is(400, "InvalidParameter", "other data");
    }
}

#[actix_web::test]
async fn a_policy_is_set_read_and_taken_away_in_every_form_of_body() {
    let ward = Ward::new();
    let (reader, writer) = (employ(&ward.house, "attestation-reader"), employ(&ward.house, "attestation-contributor"));
    let path = format!("/policies/sgxEnclave{V}");
    let get = || with_bearer(request(&Method::GET, &path, ""), &reader);
    let put = |body: String, kind: &str| {
        let request = request(&Method::PUT, &path, body).insert_header(("content-type", kind));
        with_bearer(request, &writer)
    };
    let jws = unsecured(DENY);
    for (body, kind) in [
        (jws.clone(), "text/plain"),
        (format!("{jws}\n"), "text/plain; charset=utf-8"),
        (format!("\"{jws}\""), "application/json"),
    ] {
        let told = send(&ward.house, put(body, kind)).await;
        let (_, payload) = token(&told);
        assert_eq!(payload["x-ms-policy-result"], "Updated", "{kind}");
        assert_eq!(payload["x-ms-policy-token-hash"], text(&sha256(jws.as_bytes())), "{kind}");
        stands_in(&ward.house.newest("admin"), &told);
    }
    let told = send(&ward.house, get()).await;
    let (_, payload) = token(&told);
    assert_eq!(payload["x-ms-policy"], jws.as_str());
    stands_in(&ward.house.newest("admin"), &told);
    let quote = json!({"quote": text(&ward.quote(HELD))});
    ward.attest("SgxEnclave", &quote).await.is(400, "PolicyEvaluationError", "the very next call");

    send(&ward.house, put(unsecured("version=1.0; x"), "text/plain")).await.is(400, "PolicyParsingError", "no policy");
    send(&ward.house, put("abc".into(), "text/plain")).await.is(400, "InvalidOperation", "no jws");
    send(&ward.house, put(json!({"policy": jws}).to_string(), "application/json")).await.is(
        400,
        "InvalidParameter",
        "an object",
    );
    let by_reader = with_bearer(request(&Method::PUT, &path, jws.as_str()), &reader);
    send(&ward.house, by_reader).await.is(401, "Unauthorized", "a reader writes nothing");
    let (_, payload) = token(&send(&ward.house, get()).await);
    assert_eq!(payload["x-ms-policy"], jws.as_str(), "nothing changed");

    let reset =
        |body: &str| with_bearer(request(&Method::POST, &format!("/policies/SGXENCLAVE:reset{V}"), body), &writer);
    send(&ward.house, reset("")).await.is(400, "InvalidOperation", "nothing was sent");
    send(&ward.house, reset(&jws)).await.is(400, "InvalidOperation", "a payload");
    let (_, payload) = token(&send(&ward.house, reset("eyJhbGciOiJub25lIn0..")).await);
    assert_eq!((&payload["x-ms-policy-result"], &payload["x-ms-policy-token-hash"]), (&json!("Removed"), &Value::Null));
    token(&ward.attest("SgxEnclave", &quote).await);
}

#[actix_web::test]
async fn certificates_come_as_json_strings_or_in_an_object() {
    let ward = Ward::new();
    let (reader, writer) = (employ(&ward.house, "attestation-reader"), employ(&ward.house, "attestation-contributor"));
    let listed = with_bearer(request(&Method::GET, &format!("/certificates{V}"), ""), &reader);
    let (_, payload) = token(&send(&ward.house, listed).await);
    assert_eq!(payload["x-ms-policy-certificates"], json!({"keys": []}));
    for (path, member, other) in [
        ("/certificates:add", "policyCertificateToAdd", "policyCertificateToRemove"),
        ("/certificates:remove", "policyCertificateToRemove", "policyCertificateToAdd"),
    ] {
        let asked = |body: String| with_bearer(request(&Method::POST, &format!("{path}{V}"), body), &writer);
        let jws = unsecured(PERMIT);
        for body in [json!(jws).to_string(), jws.clone(), json!({member: jws}).to_string()] {
            send(&ward.house, asked(body)).await.is(400, "InvalidOperation", "not under this trust model");
        }
        send(&ward.house, asked(json!({other: jws}).to_string())).await.is(
            400,
            "InvalidParameter",
            "the other's member",
        );
    }
}
