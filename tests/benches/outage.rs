//! Releases to tokens of another verifier while its keys can be fetched, and while every fetch hangs: the rate of both, by turns.
//! `performance-floor.md` section 9; threat model P53.
//!
//! The clock is the one on the wall, since waiting is what is looked for; `TMPDIR` chooses the disk. The ratio is printed and not
//! asserted.

#![allow(missing_docs)]

#[path = "../service/broker.rs"]
#[allow(dead_code)] // of the house, only what releases is of use here
mod broker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker::{House, NOW, Workload, request};
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate::identity::{EgressError, Identity, KeySource, VerifierSetup};
use keygate_keystore::KeyType;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Profile, TokenRoots};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

const ISSUER: &str = "https://verifier.example";
const ROUNDS: usize = 13;
/// Releases of a turn.
const TURN: usize = 150;

/// Brings the keys, or never ends.
#[derive(Clone)]
struct Source {
    keys: String,
    hangs: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl KeySource for Source {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(self.keys.clone().into_bytes())
        })
    }
}

struct Scene {
    house: House,
    identity: Arc<Identity>,
    source: Source,
    token: String,
    workload: Workload,
    runtime: tokio::runtime::Runtime,
}

fn token(key: &PKey<Private>, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "a"})), part(claims));
    let mut signer = Signer::new(MessageDigest::sha256(), key).expect("openssl");
    let signature = signer.sign_oneshot_to_vec(message.as_bytes()).expect("openssl");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Scene {
    fn new() -> Self {
        let key = Rsa::generate(2048).and_then(PKey::from_rsa).expect("openssl");
        let rsa = key.rsa().expect("openssl");
        let (n, e) = (URL_SAFE_NO_PAD.encode(rsa.n().to_vec()), URL_SAFE_NO_PAD.encode(rsa.e().to_vec()));
        let keys = json!({"keys": [{"kty": "RSA", "kid": "a", "n": n, "e": e}]}).to_string();
        let source = Source { keys, hangs: Arc::default(), asked: Arc::default() };
        let identity = Arc::new(Identity::default().with_verifiers(vec![VerifierSetup {
            name: "verifier".to_owned(),
            issuer: ISSUER.to_owned(),
            profile: Profile::Oidc,
            provider: None,
            audiences: Vec::new(),
            roots: TokenRoots::none(),
            max_age: None,
            is_keygate: false,
            keys: Some(Box::new(source.clone())),
        }]));
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), Arc::clone(&identity), |_| ());
        let condition = json!({"claim": "workload", "equals": "good"});
        let rules = json!({
            "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [condition]}]}},
            "options": {"freshness": "issuer"},
        });
        house.key_with("db", KeyType::Oct256, &rules);
        let workload = Workload::new();
        let jwk: Value = serde_json::from_str(&workload.public().thumbprint_input()).expect("json");
        let claims = json!({
            "iss": ISSUER, "aud": "https://kms.example", "iat": NOW - 1, "exp": NOW + 3_000, "cnf": {"jwk": jwk},
            "dbgstat": "disabled-since-boot", "workload": "good",
        });
        let token = token(&key, &claims);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        runtime.block_on(house.broker.renew_issuers());
        Self { house, identity, source, token, workload, runtime }
    }

    /// Releases a second, one after the other.
    fn rate(&self) -> f64 {
        let start = Instant::now();
        for _ in 0..TURN {
            let proof =
                TokenProof { token: self.token.clone().into(), recipient: self.workload.public(), challenge: None };
            let asked = request(&self.house, "db", Usage::Release, Proof::Token(Box::new(proof)));
            self.runtime.block_on(self.house.broker.use_key(asked)).expect("a release");
        }
        TURN as f64 / start.elapsed().as_secs_f64()
    }

    /// The same while a renewal that is due hangs.
    fn rate_in_an_outage(&self, round: usize) -> f64 {
        self.source.hangs.store(true, Ordering::SeqCst);
        let before = self.source.asked.load(Ordering::SeqCst);
        let at = UnixTime::from_secs(NOW + 200 * i64::try_from(round + 1).expect("few"));
        let identity = Arc::clone(&self.identity);
        let renewing = self.runtime.spawn(async move { identity.renew(at).await.len() });
        while self.source.asked.load(Ordering::SeqCst) == before {
            std::thread::yield_now();
        }
        let rate = self.rate();
        assert!(!renewing.is_finished() && self.source.asked.load(Ordering::SeqCst) == before + 1);
        renewing.abort();
        let _ = self.runtime.block_on(renewing);
        self.source.hangs.store(false, Ordering::SeqCst);
        rate
    }
}

/// Both rates of a round. Rounds begin with the one and with the other by turns, for the disk remembers what was before.
fn both(scene: &Scene, round: usize) -> (f64, f64) {
    if round.is_multiple_of(2) {
        let fetched = scene.rate();
        return (fetched, scene.rate_in_an_outage(round));
    }
    let hanging = scene.rate_in_an_outage(round);
    (scene.rate(), hanging)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let scene = Scene::new();
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    scene.rate();
    let rates: Vec<(f64, f64)> = (0..rounds).map(|round| both(&scene, round)).collect();
    let column = |of: fn(&(f64, f64)) -> f64| median(rates.iter().map(of).collect());
    println!("releases to tokens a second, one after the other, store in {}", scene.house.dir.path().display());
    println!("keys can be fetched   {:>10.0}", column(|rates| rates.0));
    println!("every fetch hangs     {:>10.0}", column(|rates| rates.1));
    println!("ratio, median of {rounds:>2}   {:>10.3}", column(|rates| rates.1 / rates.0));
}
