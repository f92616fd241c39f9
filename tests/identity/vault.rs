//! The Key Vault door: a vault, its officer, its users, and workloads that show the tokens of a verifier.
//!
//! `keyvault-api.md`, `secure-key-release.md` sections 3 to 6; `bad-inputs.md` section 11. The published clients run in `tests/clients.rs`.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpMessage as _, web};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate::broker::*;
use keygate::doors::keyvault;
use keygate::identity::{CertificateSetup, Identity, PeerCertificate, Subject, VerifierSetup, stack};
use keygate_keystore::{Change, KeyType, Wrapped, unwrap_with};
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Profile, TokenRoots};
use openssl::hash::MessageDigest;
use openssl::sign::Verifier;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::authority::{Papers, Wanted};
use super::broker::{HOST, House, NOW, Workload};
use super::issuer::SigningKey;
use super::keys::Played;

pub const ISSUER: &str = "https://shared.test.attest.example";
pub const MEASUREMENT: &str = "ab01ab01ab01ab01ab01ab01ab01ab01";

/// What came back.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub body: Value,
    pub challenge: Option<String>,
}

impl Told {
    pub fn inner(&self) -> &str {
        self.body["error"]["innererror"]["code"].as_str().unwrap_or_default()
    }
    pub fn word(&self) -> &str {
        self.body["error"]["innererror"]["keygate"].as_str().unwrap_or_default()
    }
    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
    #[track_caller]
    pub fn is(&self, status: u16, inner: &str) {
        assert_eq!((self.status, self.inner()), (status, inner), "{}", self.body);
    }
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
    /// The nonce that a 401 asks for.
    #[track_caller]
    pub fn nonce(&self) -> String {
        self.is(401, "AttestationNonceRequired");
        let header = self.challenge.as_deref().unwrap_or_default();
        let claims = header.split("claims=\"").nth(1).and_then(|rest| rest.strip_suffix('"')).expect(header);
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["access_token"]["nonce"]["value"].as_str().unwrap().to_owned()
    }
}

/// A vault with everybody who has to do with it.
pub struct Vault {
    pub house: House,
    pub signer: SigningKey,
    pub stranger: SigningKey,
    pub workload: Workload,
    /// The certificate of the connection.
    pub peer: Option<Arc<PeerCertificate>>,
    /// One that is known here.
    pub known: Arc<PeerCertificate>,
}

pub const ROLES: [&str; 6] = ["key-user", "key-officer", "rule-officer", "purge-officer", "auditor", "all"];

/// The credential of a role.
pub fn credential(role: &str) -> String {
    format!("kg_{:_<43}", role.replace('-', ""))
}

impl Vault {
    pub async fn new() -> Self {
        let (signer, stranger) = (SigningKey::new("m"), SigningKey::new("m"));
        let verifier = VerifierSetup {
            name: "shared".to_owned(),
            issuer: ISSUER.to_owned(),
            profile: Profile::Maa,
            provider: None,
            audiences: Vec::new(),
            roots: TokenRoots::none(),
            max_age: None,
            is_keygate: false,
            keys: Some(Box::new(Played::of(&[&signer]))),
        };
        let root = Papers::root("clients");
        let client = CertificateSetup {
            name: "pod".to_owned(),
            provider: None,
            authorities: vec![root.certificate.clone()],
            crl: None,
            subject: Subject::parse("CN=pod").unwrap(),
            roles: vec!["key-user".to_owned()],
        };
        let identity = Identity::new(Vec::new(), vec![client]).with_verifiers(vec![verifier]);
        let (leaf, now) = (root.issue(&Wanted::client("pod")).certificate, UnixTime::from_secs(NOW));
        let known = Arc::new(identity.examine(&leaf, &stack(&[]).unwrap(), now).unwrap());
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), Arc::new(identity), |_| ());
        house.broker.renew_issuers().await;
        for role in ROLES {
            let roles = match role {
                "all" => ROLES[..5].iter().map(ToString::to_string).collect(),
                one => vec![one.to_owned()],
            };
            house.change(Change::CreateCredential {
                name: role.to_owned(),
                roles,
                key_pattern: None,
                expires: None,
                token: credential(role).into(),
            });
        }
        Self { house, signer, stranger, workload: Workload::with_key(KeyType::Rsa2048), peer: None, known }
    }

    /// One request through the door as the assembly would make it: with a seat.
    pub async fn send(&self, method: Method, path: &str, bearer: Option<&str>, body: Option<Value>) -> Told {
        let separator = if path.contains('?') { "" } else { "?api-version=2025-07-01" };
        let mut request = TestRequest::default().method(method).uri(&format!("{path}{separator}"));
        request = request.insert_header(("host", format!("{HOST}:8443")));
        if let Some(bearer) = bearer {
            request = request.insert_header(("authorization", format!("Bearer {bearer}")));
        }
        if let Some(body) = body {
            request = request.insert_header(("content-type", "application/json")).set_payload(body.to_string());
        }
        let app = init_service(
            App::new()
                .app_data(web::Data::new(self.house.broker.clone()))
                .app_data(web::PayloadConfig::new(1 << 20))
                .configure(keyvault::routes),
        )
        .await;
        let request = request.to_request();
        request.extensions_mut().insert(Seat { peer: self.peer.clone(), ..self.house.seat() });
        let response = call_service(&app, request).await;
        let status = response.status().as_u16();
        let head = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(head("x-ms-request-id").is_some() && head("strict-transport-security").is_some());
        let challenge = head("www-authenticate");
        let body = read_body(response).await;
        Told { status, challenge, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    pub async fn post(&self, path: &str, role: &str, body: Value) -> Told {
        self.send(Method::POST, path, Some(&credential(role)), Some(body)).await
    }

    pub async fn get(&self, path: &str, role: &str) -> Told {
        self.send(Method::GET, path, Some(&credential(role)), None).await
    }

    pub async fn delete(&self, path: &str, role: &str) -> Told {
        self.send(Method::DELETE, path, Some(&credential(role)), None).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Told {
        self.send(Method::PATCH, path, Some(&credential("all")), Some(body)).await
    }

    pub async fn create(&self, name: &str, body: Value) -> Value {
        self.post(&format!("/keys/{name}/create"), "all", body).await.ok()
    }

    pub async fn import(&self, name: &str, key: Value, policy: Value) -> Told {
        let body = json!({"key": key, "Hsm": true, "attributes": {"exportable": true}, "release_policy": policy});
        self.send(Method::PUT, &format!("/keys/{name}"), Some(&credential("all")), Some(body)).await
    }

    /// The workload's key as its token names it.
    pub fn wrap_key(&self) -> Value {
        let mut jwk = Value::Object(self.workload.recipient.public_jwk());
        jwk["kid"] = json!("TeeWrapKey");
        jwk["key_ops"] = json!(["encrypt"]);
        jwk
    }

    /// Sound claims of the good workload.
    pub fn claims(&self) -> Value {
        json!({
            "iss": ISSUER, "iat": NOW - 1, "nbf": NOW - 1, "exp": NOW + 28_799, "jti": "a1", "x-ms-ver": "1.0",
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-launchmeasurement": MEASUREMENT,
            "x-ms-runtime": {"keys": [self.wrap_key()]},
        })
    }

    pub fn token_with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.signer.token(&claims)
    }

    pub fn token(&self) -> String {
        self.token_with(|_| ())
    }

    pub async fn release(&self, name: &str, token: &str, enc: Option<&str>) -> Told {
        let mut body = json!({"target": token, "nonce": "n0"});
        if let Some(enc) = enc {
            body["enc"] = json!(enc);
        }
        self.post(&format!("/keys/{name}//release"), "key-user", body).await
    }

    /// Opens the answer as a careful client does, and gives payload and key.
    pub fn open(&self, told: &Value) -> (Value, Vec<u8>) {
        let jws = told["value"].as_str().unwrap();
        let parts: Vec<&str> = jws.split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        assert_eq!(header["alg"], "RS256");
        let chain: Vec<X509> = header["x5c"]
            .as_array()
            .unwrap()
            .iter()
            .map(|der| X509::from_der(&STANDARD.decode(der.as_str().unwrap()).unwrap()).unwrap())
            .collect();
        let pinned = X509::from_pem(self.house.broker.ca_pem(&self.house.provider).unwrap().as_bytes()).unwrap();
        assert_eq!(chain.last().unwrap().to_der().unwrap(), pinned.to_der().unwrap());
        assert!(chain[0].verify(&pinned.public_key().unwrap()).unwrap());
        let names = chain[0].subject_alt_names().unwrap();
        assert!(names.iter().any(|name| name.dnsname() == Some(HOST)));
        let thumbprint = URL_SAFE_NO_PAD.encode(openssl::sha::sha256(&chain[0].to_der().unwrap()));
        assert_eq!((&header["kid"], &header["x5t#S256"]), (&json!(thumbprint), &json!(thumbprint)));
        let leaf = chain[0].public_key().unwrap();
        let mut check = Verifier::new(MessageDigest::sha256(), &leaf).unwrap();
        check.update(format!("{}.{}", parts[0], parts[1]).as_bytes()).unwrap();
        assert!(check.verify(&decode(parts[2])).unwrap());
        let payload: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
        let sealed: Value =
            serde_json::from_slice(&decode(payload["response"]["key"]["key"]["key_hsm"].as_str().unwrap())).unwrap();
        assert_eq!(sealed["header"]["kid"], "TeeWrapKey");
        assert_eq!(sealed["header"]["enc"], payload["request"]["enc"]);
        let wrapped = json!({"wrapping": sealed["header"]["enc"], "ciphertext": sealed["ciphertext"]});
        let wrapped: Wrapped = serde_json::from_value(wrapped).unwrap();
        let key = unwrap_with(&self.workload.recipient, &wrapped).unwrap().to_vec();
        (payload, key)
    }

    /// The newest record of a use.
    pub fn record(&self) -> Value {
        self.house.newest("key.use")
    }
}

/// A release policy in standard base64 with padding, as one real client sends it.
pub fn policy_of(document: &Value, immutable: bool) -> Value {
    json!({"data": STANDARD.encode(document.to_string()), "immutable": immutable})
}

/// The rule that the good workload meets.
pub fn rule() -> Value {
    json!({"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [
        {"claim": "x-ms-sevsnpvm-launchmeasurement", "equals": MEASUREMENT},
        {"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "false"},
    ]}]})
}

pub fn policy() -> Value {
    policy_of(&rule(), false)
}

pub const SECRET: [u8; 32] = [7; 32];

pub fn secret() -> Value {
    json!({"kty": "oct-HSM", "k": STANDARD.encode(SECRET)})
}
