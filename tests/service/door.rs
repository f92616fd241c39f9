//! The native door over HTTP: bodies, statuses, problems. `native-api.md` section 3; `bad-inputs.md` section 13.

use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpMessage as _, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::broker::*;
use keygate::doors::native;
use keygate_forge::binding::Question;
use keygate_keystore::KeyType;
use serde_json::{Value, json};

use super::azure::Azure;
use super::broker::*;

/// Sends one request through the door as the assembly would: with a seat.
async fn send(house: &House, request: TestRequest) -> (StatusCode, Vec<(String, String)>, Value) {
    let app = init_service(
        App::new()
            .app_data(web::Data::new(house.broker.clone()))
            .app_data(web::PayloadConfig::new(1 << 20))
            .configure(native::routes),
    )
    .await;
    let request = request.to_request();
    request.extensions_mut().insert(house.seat());
    let response: ServiceResponse = call_service(&app, request).await;
    let status = response.status();
    let mut headers: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    let body = read_body(response).await;
    let value = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    (status, headers, value)
}

async fn post(house: &House, path: &str, body: impl Into<String>) -> (StatusCode, Vec<(String, String)>, Value) {
    let request = TestRequest::post().uri(path).insert_header(("content-type", "application/json"));
    send(house, request.set_payload(body.into())).await
}

async fn challenge(house: &House) -> [u8; 32] {
    let (status, _, body) = post(house, "/v1/challenges", "{}").await;
    assert_eq!(status, 200);
    assert_eq!(body["host"], HOST);
    assert_eq!(body["expires_at"], NOW + 300);
    URL_SAFE_NO_PAD.decode(body["challenge"].as_str().unwrap()).unwrap().try_into().unwrap()
}

/// A sound body for a release.
async fn release_body(house: &House, workload: &Workload, key: &str) -> Value {
    let challenge = challenge(house).await;
    let question = Question { operation: "release", key, ..Question::default() };
    json!({
        "evidence": {"kind": "software", "data": b64(&workload.evidence(house, challenge, HOST, &question))},
        "challenge": b64(&challenge),
        "recipient": workload.recipient.public_jwk(),
    })
}

fn code(body: &Value) -> &str {
    body["type"].as_str().unwrap().rsplit('/').next().unwrap()
}

#[actix_web::test]
async fn a_release_over_http() {
    let house = House::new();
    house.key("db-key", KeyType::EcP384, json!({}));
    let workload = Workload::new();
    let body = release_body(&house, &workload, "db-key").await;
    let (status, _, answer) = post(&house, "/v1/keys/db-key/release", body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["key"]["crv"], "P-384");
    let Value::Object(body) = answer else { panic!("no object") };
    check_receipt(&house, &body);
    assert_eq!(body.keys().collect::<Vec<_>>(), ["key", "wrapped", "receipt"]);
    let key = workload.unseal(&Answer { body });
    assert_eq!(openssl::pkey::PKey::private_key_from_pkcs8(&key).unwrap().bits(), 384);
}

#[actix_web::test]
async fn a_version_in_the_path_is_bound_and_used() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let body = release_body(&house, &workload, "db-key").await;
    let (_, _, answer) = post(&house, "/v1/keys/db-key/release", body.to_string()).await;
    let kid = answer["key"]["kid"].as_str().unwrap().to_owned();
    let version = kid.rsplit('/').next().unwrap();
    let path = format!("/v1/keys/{kid}/release");
    let unbound = release_body(&house, &workload, "db-key").await;
    let (status, _, problem) = post(&house, &path, unbound.to_string()).await;
    assert_eq!((status.as_u16(), code(&problem)), (400, "binding-mismatch"));
    let challenge = challenge(&house).await;
    let question = Question { operation: "release", key: "db-key", version, ..Question::default() };
    let mut body = body;
    body["challenge"] = b64(&challenge);
    body["evidence"]["data"] = b64(&workload.evidence(&house, challenge, HOST, &question));
    let (status, _, answer) = post(&house, &path, body.to_string()).await;
    assert_eq!((status.as_u16(), answer["key"]["kid"].as_str()), (200, Some(kid.as_str())));
    for odd in ["latest", "00", &version.to_uppercase()] {
        let (status, _, problem) =
            post(&house, &format!("/v1/keys/db-key/versions/{odd}/release"), body.to_string()).await;
        assert_eq!((status.as_u16(), code(&problem)), (400, "malformed"), "{odd}");
    }
}

#[actix_web::test]
async fn http_08_and_09_bodies_are_strict() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let good = release_body(&house, &workload, "db-key").await;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body.to_string()
    };
    let padded = |body: &mut Value| body["challenge"] = json!(format!("{}=", body["challenge"].as_str().unwrap()));
    let bodies: Vec<(&str, String, u16, &str)> = vec![
        ("unknown member", changed(&|b| b["wraping"] = json!("JWE")), 400, "malformed"),
        ("duplicate member", good.to_string().replacen('{', r#"{"challenge":"","#, 1), 400, "malformed"),
        ("unknown member of evidence", changed(&|b| b["evidence"]["x"] = json!(1)), 400, "malformed"),
        ("unknown member of the recipient", changed(&|b| b["recipient"]["x5c"] = json!([])), 400, "malformed"),
        ("private member", changed(&|b| b["recipient"]["d"] = json!("AA")), 400, "malformed"),
        ("padded base64", changed(&padded), 400, "malformed"),
        ("challenge of another type", changed(&|b| b["challenge"] = json!(7)), 400, "malformed"),
        ("short challenge", changed(&|b| b["challenge"] = json!("AAAA")), 400, "malformed"),
        ("no challenge", changed(&|b| drop(b.as_object_mut().unwrap().remove("challenge"))), 400, "malformed"),
        ("no recipient", changed(&|b| drop(b.as_object_mut().unwrap().remove("recipient"))), 400, "malformed"),
        ("evidence and token", changed(&|b| b["token"] = json!("a.b.c")), 400, "malformed"),
        ("unknown kind", changed(&|b| b["evidence"]["kind"] = json!("abacus")), 400, "unsupported"),
        ("kind to come", changed(&|b| b["evidence"]["kind"] = json!("cca")), 400, "unsupported"),
        ("unknown wrapping", changed(&|b| b["wrapping"] = json!("ROT13")), 400, "unsupported"),
        ("wrapping for another key", changed(&|b| b["wrapping"] = json!("RSA_AES_KEY_WRAP_256")), 400, "unsupported"),
        ("null", "null".into(), 400, "malformed"),
        ("trailing bytes", format!("{good} {{}}"), 400, "malformed"),
        ("empty", String::new(), 400, "malformed"),
        ("nothing proven", "{}".into(), 401, "auth-required"),
        ("deep", format!("{}{}", "[".repeat(33), "]".repeat(33)), 413, "too-large"),
    ];
    for (what, body, wanted, stable) in bodies {
        let (status, _, problem) = post(&house, "/v1/keys/db-key/release", body).await;
        assert_eq!((status.as_u16(), code(&problem)), (wanted, stable), "{what}: {problem}");
        assert_eq!(problem["status"], wanted);
        assert!(problem["instance"].as_str().unwrap().starts_with("urn:uuid:"), "{what}");
    }
    let (status, ..) = post(&house, "/v1/keys/db-key/release", good.to_string()).await;
    assert_eq!(status, 200);
}

#[actix_web::test]
async fn http_04_a_body_beyond_the_limit_is_too_large() {
    let house = House::new();
    let (status, _, problem) = post(&house, "/v1/challenges", " ".repeat((1 << 20) + 1)).await;
    assert_eq!((status.as_u16(), code(&problem)), (413, "too-large"));
}

#[actix_web::test]
async fn unknown_key_and_unmet_rule_are_one_answer_to_the_byte() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let mut workload = Workload::new();
    workload.evidence.measurement = [1; 48];
    let mut answers = Vec::new();
    for key in ["db-key", "unknown", "db-kez"] {
        let body = release_body(&house, &workload, key).await;
        let (status, headers, mut problem) = post(&house, &format!("/v1/keys/{key}/release"), body.to_string()).await;
        assert!(problem["instance"].take().is_string());
        answers.push((status, headers, problem));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(code(&answers[0].2), "not-released");
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

#[actix_web::test]
async fn key_09_names_with_path_tricks_are_malformed() {
    let house = House::new();
    let body = release_body(&house, &Workload::new(), "db-key").await.to_string();
    for name in ["-a", "..", "a%2fb", "%2e%2e", "a%00", &"a".repeat(128)] {
        let (status, _, problem) = post(&house, &format!("/v1/keys/{name}/release"), body.clone()).await;
        assert!(matches!(status.as_u16(), 400 | 404), "{name}: {status}");
        if status == 400 {
            assert_eq!(code(&problem), "malformed", "{name}");
        }
    }
}

#[actix_web::test]
async fn http_18_other_methods_are_not_served() {
    let house = House::new();
    for (method, path) in [
        (Method::GET, "/v1/challenges"),
        (Method::DELETE, "/v1/keys/a/release"),
        (Method::POST, "/v1/audit/head"),
        (Method::PUT, "/v1/keys/a"),
    ] {
        let (status, _, problem) = send(&house, TestRequest::default().method(method).uri(path)).await;
        assert_eq!((status.as_u16(), code(&problem)), (405, "unsupported"), "{path}");
    }
}

#[actix_web::test]
async fn a_credential_that_is_sent_must_be_valid() {
    let house = House::new();
    for value in ["Bearer kg_nothing", "Bearer ", "Basic YTpi", "bearer x"] {
        let request = TestRequest::post()
            .uri("/v1/challenges")
            .insert_header(("content-type", "application/json"))
            .insert_header(("authorization", value))
            .set_payload("{}");
        let (status, headers, problem) = send(&house, request).await;
        assert_eq!((status.as_u16(), code(&problem)), (401, "token-invalid"), "{value}");
        assert!(headers.iter().any(|(name, _)| name == "www-authenticate"));
    }
}

#[actix_web::test]
async fn key_18_idempotency_over_http() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let body = release_body(&house, &Workload::new(), "db-key").await.to_string();
    let ask = |id: &str, body: &str| {
        TestRequest::post()
            .uri("/v1/keys/db-key/release")
            .insert_header(("content-type", "application/json"))
            .insert_header(("idempotency-key", id))
            .set_payload(body.to_owned())
    };
    let (_, _, first) = send(&house, ask("one", &body)).await;
    let (status, _, again) = send(&house, ask("one", &body)).await;
    assert_eq!((status.as_u16(), &again["wrapped"]), (200, &first["wrapped"]));
    let (status, _, problem) = send(&house, ask("one", &format!("{body} "))).await;
    assert_eq!((status.as_u16(), code(&problem)), (409, "conflict"));
    let (status, _, problem) = send(&house, ask("two", &body)).await;
    assert_eq!((status.as_u16(), code(&problem)), (410, "freshness-failed"));
    let (status, ..) = send(&house, ask(&"x".repeat(65), &body)).await;
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn the_service_describes_itself() {
    let house = House::new();
    let (_, _, provider) = send(&house, TestRequest::get().uri("/.well-known/keygate")).await;
    assert_eq!(provider["issuer"], "https://kms.example");
    assert_eq!(provider["kinds"], json!(["sgx", "tdx", "snp", "nitro", "tpm", "azure-vtpm", "software", "composite"]));
    assert_eq!(provider["jwks_uri"], "https://kms.example/.well-known/keygate/jwks.json");
    let (_, _, keys) = send(&house, TestRequest::get().uri("/.well-known/keygate/jwks.json")).await;
    let purposes: Vec<&str> = keys["keys"].as_array().unwrap().iter().map(|k| k["purpose"].as_str().unwrap()).collect();
    assert_eq!(purposes, ["attestation-token", "receipt"]);
    assert!(keys["keys"].as_array().unwrap().iter().all(|k| k.get("d").is_none()));
    let (_, headers, head) = send(&house, TestRequest::get().uri("/v1/audit/head")).await;
    assert!(headers.contains(&("content-type".into(), "application/jose".into())));
    open_jws(&house, head.as_str().unwrap(), "keygate-audit-head");
    let (_, _, document) = send(&house, TestRequest::get().uri("/openapi.json")).await;
    for path in ["/v1/challenges", "/v1/attestations", "/v1/keys/{name}/release", "/v1/keys/{name}/sign"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}

#[actix_web::test]
async fn a_key_is_described_to_its_roles() {
    use keygate_keystore::Change;
    let house = House::new();
    let token = |name: &str| format!("kg_{name:_<43}");
    let rule_digest = house.key("db-key", KeyType::EcP256, json!({}));
    for (name, role) in [("user", "key-user"), ("officer", "key-officer")] {
        house.change(Change::CreateCredential {
            name: name.into(),
            roles: vec![role.into()],
            key_pattern: Some("db-*".into()),
            expires: None,
            token: token(name).into(),
        });
    }
    let ask = async |path: &str, name: Option<&str>| {
        let mut request = TestRequest::get().uri(path);
        if let Some(name) = name {
            request = request.insert_header(("authorization", format!("Bearer {}", token(name))));
        }
        send(&house, request).await
    };
    let (status, _, view) = ask("/v1/keys/db-key", Some("user")).await;
    assert_eq!(status, 200);
    assert_eq!(view["rule_digest"], b64(&rule_digest));
    assert_eq!(view["versions"][0]["key"]["crv"], "P-256");
    for (path, name, wanted, stable) in [
        ("/v1/keys/db-key", None, 401, "auth-required"),
        ("/v1/keys/db-key", Some("officer"), 403, "forbidden"),
        ("/v1/keys/web-key", Some("user"), 403, "forbidden"),
        ("/v1/keys/db-other", Some("user"), 404, "key-not-found"),
    ] {
        let (status, _, problem) = ask(path, name).await;
        assert_eq!((status.as_u16(), code(&problem)), (wanted, stable), "{path}");
    }
}

/// A composite of raw evidence and a token of the attestation door whose workload held the nonce of this request.
async fn composite_body(
    azure: &Azure,
    workload: &Workload,
    operation: &'static str,
    nonce_of: Option<[u8; 32]>,
) -> Value {
    let challenge = challenge(&azure.house).await;
    let key = if operation == "release" { "db-key" } else { "" };
    let question = Question { operation, key, ..Question::default() };
    let input = workload.recipient.recipient().thumbprint_input();
    let bind = keygate_forge::binding::bind(&nonce_of.unwrap_or(challenge), HOST, &question, &input, b"");
    let held = json!({"nonce": b64(&bind[..32])}).to_string();
    let token = azure.attest(azure.request_over(AttestationType::SgxEnclave, held.as_bytes())).await.unwrap();
    let raw = workload.evidence(&azure.house, challenge, HOST, &question);
    let parts = json!({"parts": [{"kind": "software", "data": b64(&raw)}, {"token": token}]});
    json!({
        "evidence": {"kind": "composite", "data": b64(parts.to_string().as_bytes())},
        "challenge": b64(&challenge),
        "recipient": workload.recipient.public_jwk(),
    })
}

#[actix_web::test]
async fn a_composite_over_http() {
    let azure = Azure::new();
    let workload = Workload::new();
    let leaf = |claim: &str, value: &str| json!({"claim": claim, "equals": value});
    let mut rules = rules(json!({"freshness": "session"}));
    rules["rules"]["default"]["anyOf"][0]["allOf"] = json!([
        leaf("software.measurement", &hex::encode(GOOD)),
        leaf("parts.1.x-ms-sgx-mrenclave", &"e1".repeat(32)),
        leaf("parts.1.keygate.issuer", "https://kms.example"),
    ]);
    azure.house.key_with("db-key", KeyType::Oct256, &rules);
    let release = async |body: &Value| post(&azure.house, "/v1/keys/db-key/release", body.to_string()).await;
    let body = composite_body(&azure, &workload, "release", None).await;
    let (status, _, answer) = release(&body).await;
    assert_eq!(status, 200, "{answer}");
    let Value::Object(members) = answer else { panic!("no object") };
    check_receipt(&azure.house, &members);
    assert_eq!(workload.unseal(&Answer { body: members }).len(), 32);
    // A part of another request, the evidence alone, a composite of one part.
    let body = composite_body(&azure, &workload, "release", Some([7; 32])).await;
    let (status, _, problem) = release(&body).await;
    assert_eq!((status.as_u16(), code(&problem)), (400, "binding-mismatch"));
    let (status, _, problem) = release(&release_body(&azure.house, &workload, "db-key").await).await;
    assert_eq!((status.as_u16(), code(&problem)), (403, "not-released"));
    let mut one = body.clone();
    one["evidence"]["data"] = b64(br#"{"parts":[{"token":"a.b.c"}]}"#);
    let (status, _, problem) = release(&one).await;
    assert_eq!((status.as_u16(), code(&problem)), (400, "malformed"));

    let body = composite_body(&azure, &workload, "attest", None).await;
    let (status, _, attested) = post(&azure.house, "/v1/attestations", body.to_string()).await;
    assert_eq!(status, 200, "{attested}");
    assert_eq!(attested["claims"]["parts"]["1"]["x-ms-sgx-mrenclave"], "e1".repeat(32));
    let session = json!({"token": attested["token"], "recipient": body["recipient"]});
    assert_eq!(release(&session).await.0, 200);
    let mut tokens = body;
    tokens["evidence"]["data"] = b64(br#"{"parts":[{"token":"a.b.c"},{"token":"a.b.d"}]}"#);
    let (_, _, problem) = post(&azure.house, "/v1/attestations", tokens.to_string()).await;
    assert_eq!(code(&problem), "unsupported");
}
