//! An issuer of tokens: RSA keys, tokens with any claims, and a TLS server that answers well or badly.

use std::cell::Cell;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::unfold;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::ssl::{SslAcceptor, SslMethod};
use serde_json::{Value, json};

use super::authority::{Papers, Wanted};

/// Keys are dear to make, so tests have the same ones.
static KEYS: [OnceLock<PKey<Private>>; 8] = [const { OnceLock::new() }; 8];

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    key: PKey<Private>,
}

impl SigningKey {
    /// Another key than any that this test has had.
    pub fn new(kid: &str) -> Self {
        let next = TAKEN.with(|taken| taken.replace(taken.get() + 1));
        let key = KEYS[next].get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
        Self { kid: kid.to_owned(), key: key.clone() }
    }

    pub fn jwk(&self) -> Value {
        let rsa = self.key.rsa().unwrap();
        let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
        json!({"kty": "RSA", "use": "sig", "kid": self.kid, "n": number(rsa.n()), "e": number(rsa.e())})
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "RS256", "typ": "JWT", "kid": self.kid}), claims)
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        signer.update(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer.sign_to_vec().unwrap()))
    }
}

pub fn key_set(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// What is answered to one path.
#[derive(Clone)]
pub enum Said {
    Body(Vec<u8>),
    With(&'static str, String, Vec<u8>),
    Status(u16),
    Redirect(String),
    /// Bytes without end, and without a length.
    Endless,
    /// One byte a second.
    Drip,
}

impl Said {
    pub fn json(value: &Value) -> Self {
        Self::Body(value.to_string().into_bytes())
    }

    fn response(self) -> HttpResponse {
        let mut ok = HttpResponse::Ok();
        match self {
            Self::Body(body) => ok.content_type("application/json").body(body),
            Self::With(name, value, body) => ok.insert_header((name, value)).body(body),
            Self::Status(status) => HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish(),
            Self::Redirect(place) => HttpResponse::Found().insert_header(("location", place)).finish(),
            Self::Endless => ok.streaming(Box::pin(unfold((), |()| async {
                Some((Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65_536])), ()))
            }))),
            Self::Drip => ok.streaming(Box::pin(unfold((), |()| async {
                actix_web::rt::time::sleep(Duration::from_secs(1)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
            }))),
        }
    }
}

/// What an issuer says, and what it was asked.
pub struct Script {
    pub document: Said,
    pub keys: Said,
    pub asked: Vec<String>,
    pub headers: Vec<(String, String)>,
}

/// An issuer on a port of this machine.
pub struct Issuer {
    /// `https://<host>:<port>`.
    pub url: String,
    pub root: Papers,
    script: Arc<Mutex<Script>>,
}

impl Issuer {
    /// An issuer at `localhost` that says what it should about these keys.
    pub fn start(keys: &[&SigningKey]) -> Self {
        Self::start_as("localhost", &Wanted::server("localhost"), keys)
    }

    /// One that is dialled as `host` and shows this certificate.
    pub fn start_as(host: &str, wanted: &Wanted<'_>, keys: &[&SigningKey]) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{host}:{}", socket.local_addr().unwrap().port());
        let root = Papers::root(&url);
        let papers = root.issue(wanted);
        let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        tls.set_private_key(&papers.key).unwrap();
        tls.set_certificate(&papers.certificate).unwrap();
        let document = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let script = Script {
            document: Said::json(&document),
            keys: Said::json(&key_set(keys)),
            asked: Vec::new(),
            headers: Vec::new(),
        };
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        std::thread::spawn(move || {
            let server = HttpServer::new(move || {
                let script = Arc::clone(&shared);
                App::new().default_service(web::to(move |request: HttpRequest| {
                    let said = answer(&script, &request);
                    async move { said.response() }
                }))
            });
            let server = server.workers(1).disable_signals().listen_openssl(socket, tls).unwrap();
            actix_web::rt::System::new().block_on(server.run()).unwrap();
        });
        Self { url, root, script }
    }

    pub fn says(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let script = self.script.lock().unwrap();
        script.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }
}

fn answer(script: &Mutex<Script>, request: &HttpRequest) -> Said {
    let mut script = script.lock().unwrap();
    script.asked.push(request.path().to_owned());
    let headers = request.headers().iter();
    script.headers = headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned())).collect();
    match request.path() {
        "/.well-known/openid-configuration" => script.document.clone(),
        "/keys" | "/certs" => script.keys.clone(),
        _ => Said::Status(404),
    }
}
