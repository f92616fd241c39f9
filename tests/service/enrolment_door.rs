//! Enrolment over HTTP: bodies, statuses, problems. Threat model P14; `bad-inputs.md` TPM-16, TPM-18.

use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpMessage as _, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::doors::native;
use keygate_keystore::Change;
use serde_json::{Value, json};

use super::broker::*;
use super::enrolment::Fleet;
use super::machine::Machine;

const TOKEN: &str = "kg_enroller___________________________________";

fn fleet() -> Fleet {
    let fleet = Fleet::new();
    fleet.house.change(Change::CreateCredential {
        name: "enroller".to_owned(),
        roles: vec!["machine-enroller".to_owned()],
        key_pattern: None,
        expires: None,
        token: TOKEN.to_owned().into(),
    });
    fleet
}

async fn post(fleet: &Fleet, token: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let broker = web::Data::new(fleet.house.broker.clone());
    let app = App::new().app_data(broker).app_data(web::PayloadConfig::new(1 << 20)).configure(native::routes);
    let app = init_service(app).await;
    let mut request = TestRequest::post().uri(path).insert_header(("content-type", "application/json"));
    if !token.is_empty() {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let request = request.set_payload(body.to_owned()).to_request();
    request.extensions_mut().insert(fleet.house.seat());
    let response = call_service(&app, request).await;
    let status = response.status();
    (status, serde_json::from_slice(&read_body(response).await).unwrap())
}

fn body(fleet: &Fleet, machine: &Machine) -> Value {
    json!({
        "machine": "web-1",
        "ek_certificate": b64(&fleet.maker.certificate(machine, |_| ())),
        "ek_public": b64(&machine.ek_public()),
        "ak_public": b64(&machine.ak_public()),
    })
}

fn code(body: &Value) -> &str {
    body["type"].as_str().unwrap().rsplit('/').next().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

#[actix_web::test]
async fn an_enrolment_over_http() {
    let (fleet, machine) = (fleet(), Machine::new());
    let (status, begun) = post(&fleet, TOKEN, "/v1/enrolments", &body(&fleet, &machine).to_string()).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!(begun.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "credential_blob", "secret", "expires"]);
    assert_eq!(begun["expires"], NOW + 300);
    let secret =
        machine.activate(&bytes(&begun["credential_blob"]), &bytes(&begun["secret"]), &machine.ak_name()).unwrap();
    let path = format!("/v1/enrolments/{}/activation", begun["id"].as_str().unwrap());
    let secret = json!({"secret": b64(&secret)}).to_string();
    let (status, done) = post(&fleet, TOKEN, &path, &secret).await;
    assert_eq!(status, 200, "{done}");
    let (ak_name, expires) = (hex::encode(machine.ak_name()), NOW + 365 * 86_400);
    assert_eq!(done, json!({"machine": "web-1", "ak_name": ak_name, "anchor": "fleet", "expires": expires}));
    assert_eq!(fleet.ask(&machine).await, None);
    // Once, and with one word for whatever is wrong.
    let (status, again) = post(&fleet, TOKEN, &path, &secret).await;
    assert_eq!((status.as_u16(), code(&again)), (400, "binding-mismatch"));
    let (status, nothing) = post(&fleet, TOKEN, "/v1/enrolments/AAAAAAAAAAAAAAAAAAAAAA/activation", &secret).await;
    assert_eq!((status.as_u16(), &nothing["detail"]), (400, &again["detail"]));
    // The name is taken.
    let (status, taken) = post(&fleet, TOKEN, "/v1/enrolments", &body(&fleet, &Machine::new()).to_string()).await;
    assert_eq!((status.as_u16(), code(&taken)), (409, "conflict"));
}

#[actix_web::test]
async fn tpm_18_without_a_credential_of_the_role_nothing_is_enrolled() {
    let (fleet, machine) = (fleet(), Machine::new());
    let sound = body(&fleet, &machine).to_string();
    let path = "/v1/enrolments/AAAAAAAAAAAAAAAAAAAAAA/activation";
    for (path, body) in [("/v1/enrolments", sound.as_str()), (path, r#"{"secret":"AAAA"}"#)] {
        for (token, wanted) in [
            ("", (401, "auth-required")),
            ("kg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", (401, "token-invalid")),
            (&format!("kg_{:_<43}", "ops"), (403, "forbidden")),
        ] {
            let (status, told) = post(&fleet, token, path, body).await;
            assert_eq!((status.as_u16(), code(&told)), wanted, "{path}");
        }
    }
    let (status, _) = post(&fleet, TOKEN, "/v1/enrolments", &sound).await;
    assert_eq!(status, 201);
}

#[actix_web::test]
async fn bodies_are_strict() {
    let (fleet, machine) = (fleet(), Machine::new());
    let with = async |change: &dyn Fn(&mut Value)| {
        let mut body = body(&fleet, &machine);
        change(&mut body);
        let (status, told) = post(&fleet, TOKEN, "/v1/enrolments", &body.to_string()).await;
        (status.as_u16(), told.get("type").map(|_| code(&told).to_owned()))
    };
    let malformed = (400, Some("malformed".to_owned()));
    assert_eq!(with(&|_| ()).await, (201, None));
    assert_eq!(with(&|body| body["ek_chain"] = json!([])).await, (201, None));
    for name in ["machine", "ek_public", "ak_public"] {
        assert_eq!(with(&|body| drop(body.as_object_mut().unwrap().remove(name))).await, malformed, "{name}");
        assert_eq!(with(&|body| body[name] = json!(7)).await, malformed, "{name}");
    }
    assert_eq!(with(&|body| body["more"] = json!(1)).await, malformed);
    assert_eq!(with(&|body| body["ak_public"] = json!("YR")).await, malformed, "base64url has one spelling");
    assert_eq!(with(&|body| body["ek_chain"] = json!("AAAA")).await, malformed);
    assert_eq!(with(&|body| body["ek_chain"] = json!(vec!["AAAA"; 33])).await, (413, Some("too-large".to_owned())));
    let path = "/v1/enrolments/AAAAAAAAAAAAAAAAAAAAAA/activation";
    for body in ["{}", "[]", r#"{"secret":7}"#, r#"{"secret":"AAAA","secret":"AAAA"}"#, r#"{"secret":"AAAA","x":1}"#] {
        let (status, told) = post(&fleet, TOKEN, path, body).await;
        assert_eq!((status.as_u16(), code(&told)), (400, "malformed"), "{body}");
    }
}
