//! A house with an officer for each role, and the admin door to it.

use std::collections::BTreeMap;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpMessage as _, web};
use keygate::broker::admin::Role;
use keygate::doors::admin;
use serde_json::{Value, json};

use super::broker::{HOST, House};

/// A rule that pins a workload.
pub fn good_rule() -> Value {
    let tests = json!([
        {"claim": "software.measurement", "equals": "5a".repeat(48)},
        {"claim": "x-ms-sevsnpvm-hostdata", "equals": "a1b2".repeat(16)},
    ]);
    json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": tests}]})
}

/// One request.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub host: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
}

impl Ask {
    pub fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), host: HOST, headers: Vec::new(), body: None }
    }
    pub fn post(path: &str, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body.to_string()), ..Self::get(path) }
    }
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
    pub fn on(self, etag: &str) -> Self {
        self.with("if-match", etag)
    }
    pub fn at(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub etag: Option<String>,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["type"].as_str().and_then(|text| text.rsplit('/').next()).unwrap_or("")
    }
    #[track_caller]
    pub fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
    }
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self
    }
}

pub struct Office {
    pub house: House,
    /// The token that the store began with; worthless once there is another admin.
    pub first: String,
    tokens: BTreeMap<Role, String>,
}

impl Office {
    /// Only the first admin.
    pub fn bare() -> Self {
        let house = House::new();
        let first = house.broker.first_admin(&house.provider, 7 * 86_400).unwrap().to_string();
        Self { house, first, tokens: BTreeMap::new() }
    }

    /// An officer for each role; the admin is made last, and ends the first one.
    pub async fn staffed() -> Self {
        let mut office = Self::bare();
        for role in Role::ALL {
            let body = json!({"roles": [role.as_str()], "reason": "staff"});
            let path = format!("/admin/v1/credentials/{}/create", role.as_str());
            let reply = office.send(&office.first, Ask::post(&path, body)).await.ok();
            let token = reply.body["credential"]["token"].as_str().unwrap().to_owned();
            office.tokens.insert(*role, token);
        }
        office
    }

    pub fn token(&self, role: Role) -> &str {
        &self.tokens[&role]
    }

    /// Sends as the officer with this role.
    pub async fn by(&self, role: Role, ask: Ask) -> Reply {
        self.send(self.token(role), ask).await
    }

    /// Sends through the door as the assembly would: with a seat.
    pub async fn send(&self, token: &str, ask: Ask) -> Reply {
        let broker = web::Data::new(self.house.broker.clone());
        let app = App::new().app_data(broker).app_data(web::PayloadConfig::new(256 * 1_024)).configure(admin::routes);
        let app = init_service(app).await;
        let mut request = TestRequest::default().method(ask.method).uri(&ask.path);
        if !token.is_empty() {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        for (name, value) in ask.headers {
            request = request.append_header((name, value));
        }
        if let Some(body) = ask.body {
            request = request.insert_header(("content-type", "application/json")).set_payload(body);
        }
        let request = request.to_request();
        request.extensions_mut().insert(self.house.seat_at(ask.host));
        let response: ServiceResponse = call_service(&app, request).await;
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (status, etag, retry_after) = (response.status().as_u16(), header("etag"), header("retry-after"));
        let bytes = read_body(response).await;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Reply { status, etag, retry_after, body }
    }

    /// A key with a rule, made by the two officers who may.
    pub async fn key(&self, name: &str) -> String {
        let body = json!({"type": "oct-256", "exportable": true, "reason": "made for a test"});
        let made = self.by(Role::KeyOfficer, Ask::post(&format!("/admin/v1/keys/{name}/create"), body)).await.ok();
        let body = json!({"rules": good_rule(), "reason": "made for a test"});
        let ask = Ask::post(&format!("/admin/v1/keys/{name}/rules/set"), body).on(&made.etag.unwrap());
        self.by(Role::RuleOfficer, ask).await.ok().etag.unwrap()
    }

    /// What somebody with access to the disk may do.
    pub fn tamper(&self, sql: &str) {
        let store = rusqlite::Connection::open(self.house.dir.path().join("store.db")).unwrap();
        store.execute_batch(sql).unwrap();
    }

    /// How many records the journal has.
    pub fn entries(&self) -> u64 {
        self.house.keystore.status().entries
    }
}
