//! The doors as a client sees them: challenges, attestations, posts. Loopback only.
//!
//! `native-api.md` section 3. Connections are kept; the CA is the only pin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::Value;

use crate::Fallible;

/// Challenges asked for at once.
const AT_ONCE: usize = 16;

/// One address under one CA.
#[derive(Clone)]
pub struct Door {
    http: reqwest::Client,
    base: Arc<str>,
    /// The host that evidence binds.
    pub host: Arc<str>,
}

/// What came back.
pub struct Answer {
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Nothing for an answer that was given, else the stable code or that of an Azure dialect, else the status.
    pub fn code(&self) -> String {
        if self.status == 200 {
            return String::new();
        }
        if self.status == 0 {
            return "no-answer".to_owned();
        }
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = problem.get("type").and_then(Value::as_str).and_then(|t| t.rsplit('/').next());
        let inner = || problem.pointer("/error/innererror/keygate").and_then(Value::as_str);
        let kind = kind.or_else(inner).or_else(|| problem.get("error")?.get("code")?.as_str());
        kind.map_or_else(|| format!("http-{}", self.status), str::to_owned)
    }
}

impl Door {
    /// A door at `address` whose certificate names `host`.
    pub fn new(address: SocketAddr, host: &str, ca_pem: &[u8]) -> Fallible<Self> {
        if !address.ip().is_loopback() {
            return Err(format!("`{address}` is not a loopback address: load is for one's own machine").into());
        }
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(ca_pem)?])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .resolve(host, address)
            .pool_max_idle_per_host(4_096)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { http, base: format!("https://{host}:{}", address.port()).into(), host: host.into() })
    }

    /// A POST, with a bearer or without; what goes wrong on the way is an answer of status 0.
    pub async fn post(&self, path: &str, bearer: Option<&str>, body: Vec<u8>) -> Answer {
        self.send(Method::POST, path, bearer, body).await
    }

    async fn send(&self, method: Method, path: &str, bearer: Option<&str>, body: Vec<u8>) -> Answer {
        let request =
            self.http.request(method, format!("{}{path}", self.base)).header("Content-Type", "application/json");
        let request = match bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        };
        let request = request.body(body);
        let Ok(response) = request.send().await else { return Answer { status: 0, body: Vec::new() } };
        let status = response.status().as_u16();
        match response.bytes().await {
            Ok(body) => Answer { status, body: body.to_vec() },
            Err(_) => Answer { status: 0, body: Vec::new() },
        }
    }

    /// A POST that must be answered with 200.
    pub async fn ask(&self, path: &str, body: String) -> Fallible<Value> {
        given(path, &self.post(path, None, body.into_bytes()).await)
    }

    /// A PUT with a bearer that must be answered with 200.
    pub async fn put(&self, path: &str, bearer: &str, body: String) -> Fallible<Value> {
        given(path, &self.send(Method::PUT, path, Some(bearer), body.into_bytes()).await)
    }

    /// `count` fresh challenges: text and bytes.
    pub async fn challenges(&self, count: usize) -> Fallible<Vec<(String, [u8; 32])>> {
        let mut tasks = Vec::new();
        for share in 0..AT_ONCE {
            let (door, mine) = (self.clone(), count / AT_ONCE + usize::from(share < count % AT_ONCE));
            tasks.push(tokio::spawn(async move {
                let mut got = Vec::with_capacity(mine);
                for _ in 0..mine {
                    got.push(door.challenge().await?);
                }
                Fallible::Ok(got)
            }));
        }
        let mut all = Vec::with_capacity(count);
        for task in tasks {
            all.extend(task.await??);
        }
        Ok(all)
    }

    async fn challenge(&self) -> Fallible<(String, [u8; 32])> {
        let answer = self.ask("/v1/challenges", "{}".to_owned()).await?;
        let text = answer.get("challenge").and_then(Value::as_str).ok_or("the answer holds no challenge")?;
        let bytes = URL_SAFE_NO_PAD.decode(text)?.try_into().map_err(|_| "the challenge is not 32 bytes")?;
        Ok((text.to_owned(), bytes))
    }
}

/// The body of an answer of 200.
fn given(path: &str, answer: &Answer) -> Fallible<Value> {
    if answer.status != 200 {
        let (code, body) = (answer.code(), String::from_utf8_lossy(&answer.body));
        return Err(format!("{path}: {} {code}: {body}", answer.status).into());
    }
    Ok(serde_json::from_slice(&answer.body)?)
}
