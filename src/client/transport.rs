//! A connection to one provider: its URL, the CA that is its only pin, and how its refusals read.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::x509::X509;
use serde_json::{Value, json};

/// The longest that a download may take.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(6 * 3_600);

/// Why a request came to nothing.
#[derive(Debug, Clone)]
pub struct ClientError {
    /// The stable code: the server's, or `answer-not-authentic`, `attester`, `unreachable` of our own.
    pub code: String,
    /// A sentence.
    pub what: String,
    /// The correlation id, for the server's audit.
    pub instance: Option<String>,
    /// Why, where the server tells.
    pub reasons: Vec<Value>,
    /// Whether the server was not reached, or cannot serve now.
    pub unavailable: bool,
}

impl ClientError {
    pub(super) fn local(code: &str, what: impl Into<String>) -> Self {
        Self { code: code.to_owned(), what: what.into(), instance: None, reasons: Vec::new(), unavailable: false }
    }
    pub(super) fn not_authentic(what: impl Into<String>) -> Self {
        Self::local("answer-not-authentic", what)
    }
    /// The clock of this machine cannot be believed.
    pub fn clock(what: &str) -> Self {
        Self::local("clock-untrusted", what)
    }
    fn unreachable(what: impl fmt::Display) -> Self {
        Self { unavailable: true, ..Self::local("unreachable", what.to_string()) }
    }
    fn problem(status: u16, body: &Value) -> Self {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = text("type")
            .and_then(|t| t.rsplit('/').next().map(str::to_owned))
            .unwrap_or_else(|| format!("http-{status}"));
        let what = match (text("title"), text("detail")) {
            // A detail of one word is the part at fault.
            (Some(title), Some(part)) if !part.contains(' ') => match title.contains(&part) {
                true => title,
                false => format!("{title}: {part}"),
            },
            (title, detail) => detail.or(title).unwrap_or_else(|| format!("the server answered {status}")),
        };
        let reasons = body.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default();
        Self { code, what, instance: text("instance"), reasons, unavailable: status >= 500 || status == 429 }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.instance {
            Some(id) => write!(f, " (correlation id {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ClientError {}

/// A provider, as the client's own configuration names it.
pub struct Connection {
    base: String,
    host: String,
    authority: X509,
    http: reqwest::Client,
    credential: Option<String>,
}

impl Connection {
    /// A connection to `url` (`https://host[:port][/prefix]`) under the CA in `ca_pem`; `credential` is a bearer token or none.
    ///
    /// # Errors
    /// `usage`: a URL that is not https, or a file that is no certificate.
    pub fn new(url: &str, ca_pem: &[u8], credential: Option<String>) -> Result<Self, ClientError> {
        let usage = |what: String| ClientError::local("usage", what);
        let parsed = reqwest::Url::parse(url).map_err(|e| usage(format!("`{url}` is no URL: {e}")))?;
        let name = parsed
            .host_str()
            .filter(|_| parsed.scheme() == "https")
            .ok_or_else(|| usage(format!("`{url}` is no https URL")))?;
        let prefix = parsed.path().trim_end_matches('/');
        let host = format!("{}{prefix}", name.to_ascii_lowercase());
        let authority = X509::from_pem(ca_pem).map_err(|_| usage("the CA file holds no certificate".to_owned()))?;
        let pinned =
            reqwest::Certificate::from_pem(ca_pem).map_err(|_| usage("the CA file holds no certificate".to_owned()))?;
        let http = reqwest::Client::builder()
            .tls_certs_only([pinned])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|e| usage(format!("TLS cannot be set up: {e}")))?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), host, authority, http, credential })
    }

    /// H of the binding: the host dialled, lower case, no port, with the prefix.
    pub fn host(&self) -> &str {
        &self.host
    }
    pub(super) fn authority(&self) -> &X509 {
        &self.authority
    }

    /// A fresh challenge: its text and its 32 bytes.
    pub(super) async fn challenge(&self) -> Result<(String, [u8; 32]), ClientError> {
        let answer = self.post("/v1/challenges", &json!({}), None).await?;
        let text = answer.get("challenge").and_then(Value::as_str).unwrap_or_default().to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(&text).ok().and_then(|b| b.try_into().ok());
        let bytes = bytes.ok_or_else(|| ClientError::not_authentic("the challenge is not 32 bytes of base64url"))?;
        Ok((text, bytes))
    }

    /// A POST of JSON.
    ///
    /// # Errors
    /// The server's problem, or a connection that failed.
    pub async fn post(&self, path: &str, body: &Value, idempotency: Option<&str>) -> Result<Value, ClientError> {
        let mut headers = Vec::new();
        if let Some(id) = idempotency {
            headers.push(("Idempotency-Key", id.to_owned()));
        }
        let body = serde_json::to_vec(body).unwrap_or_default();
        Ok(self.send(reqwest::Method::POST, path, &headers, Some(body)).await?.1)
    }

    /// A POST that is sent again when the answer was lost on the way: same bytes, same idempotency key.
    pub(super) async fn post_again(&self, path: &str, body: &Value, id: &str) -> Result<Value, ClientError> {
        let first = self.post(path, body, Some(id)).await;
        match first {
            Err(lost) if lost.code == "unreachable" => self.post(path, body, Some(id)).await,
            other => other,
        }
    }

    /// Any request with JSON in and out; answers the `ETag` too.
    ///
    /// # Errors
    /// The server's problem, or a connection that failed.
    pub async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<(Option<String>, Value), ClientError> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|e| ClientError::unreachable(story(&e)))?;
        let status = response.status();
        let etag = response.headers().get("ETag").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let bytes = response.bytes().await.map_err(|e| ClientError::unreachable(story(&e)))?;
        let value: Value =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or(Value::Null) };
        if status.is_success() { Ok((etag, value)) } else { Err(ClientError::problem(status.as_u16(), &value)) }
    }
}

impl Connection {
    /// A POST whose answer is bytes, written to `out` as they come; how many there were.
    ///
    /// # Errors
    /// The server's problem, a connection that failed or ended too soon, or `out` that takes no more.
    pub async fn download(&self, path: &str, body: &Value, out: &mut impl std::io::Write) -> Result<u64, ClientError> {
        let mut request = self.http.post(format!("{}{path}", self.base)).timeout(LONGEST_DOWNLOAD);
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential);
        }
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        let mut response = request.send().await.map_err(|e| ClientError::unreachable(story(&e)))?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.bytes().await.unwrap_or_default();
            return Err(ClientError::problem(status.as_u16(), &serde_json::from_slice(&bytes).unwrap_or(Value::Null)));
        }
        let promised = response.content_length();
        let mut written = 0;
        while let Some(piece) = response.chunk().await.map_err(|e| ClientError::unreachable(story(&e)))? {
            out.write_all(&piece)
                .map_err(|e| ClientError::local("usage", format!("the file cannot be written: {e}")))?;
            written += piece.len() as u64;
        }
        match promised == Some(written) {
            true => Ok(written),
            false => Err(ClientError::unreachable("the answer ended too soon")),
        }
    }
}

/// An error in a line: which server, and the innermost cause, which says why.
fn story(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    let why = innermost.to_string();
    let server = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    match (error.is_timeout(), why.contains("certificate verify failed")) {
        (true, _) => format!("{server} did not answer in time"),
        (_, true) => format!("the TLS certificate of {server} is not under the pinned CA"),
        _ if error.is_connect() => format!("no connection to {server}: {why}"),
        _ => format!("the connection to {server} broke: {why}"),
    }
}
