//! Every issuer in a black hole: what was fetched and what is pinned goes on, and nobody waits for the network.
//!
//! `bad-inputs.md` DISC-12, DISC-15, ENV-08; threat model P53. What is asserted is who was asked how often, and that no answer was
//! waited for; never how long something took.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate::identity::{Discovery, Egress, EgressError, Identity, KeyFile, KeySource, Renewal, Resolve};
use keygate_keystore::KeyType;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::Profile;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::authority::Wanted;
use super::broker::{House, NOW, Workload, request};
use super::evidence::{IMAGE, named, rules, verifier};
use super::issuer::{Issuer, SigningKey, key_set};
use super::keys::setup;

const PINNED: &str = "https://pinned.example";

/// How the world is.
#[derive(Clone, Copy)]
enum Weather {
    Fair,
    /// Names resolve, connections stand, nobody says a word.
    Silent,
    /// Names never resolve.
    Lost,
    /// Names are refused at once.
    Refused,
}

/// A resolver that counts who is asked for.
struct Network {
    weather: Mutex<Weather>,
    asked: AtomicUsize,
    /// No fetch ends while this holds, whatever its own patience: a slow machine changes nothing.
    holds: watch::Sender<bool>,
}

impl Network {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            weather: Mutex::new(Weather::Fair),
            asked: AtomicUsize::new(0),
            holds: watch::Sender::new(false),
        })
    }
    fn turns(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Where those are who never say a word.
const DEAF: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

impl Resolve for Network {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let weather = *self.weather.lock().unwrap();
        Box::pin(async move {
            match weather {
                Weather::Fair => Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]),
                Weather::Silent => Ok(vec![SocketAddr::from((DEAF, port))]),
                Weather::Lost => std::future::pending().await,
                Weather::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

/// The way to an issuer's keys, which ends when the network lets it.
struct Way {
    discovery: Discovery,
    network: Arc<Network>,
}

impl KeySource for Way {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>> {
        Box::pin(async {
            let brought = self.discovery.fetch().await;
            let _ = self.network.holds.subscribe().wait_for(|holds| !holds).await;
            brought
        })
    }
}

/// An issuer on this machine that is known under a name of its own, what it is reached through, and its key.
struct Known {
    url: String,
    key: SigningKey,
    network: Arc<Network>,
    egress: Mutex<Option<Egress>>,
    _deaf: TcpListener,
}

impl Known {
    fn new(host: &str, kid: &str) -> Self {
        let key = SigningKey::new(kid);
        let issuer = Issuer::start_as(host, &Wanted::server(host), &[&key]);
        let network = Network::new();
        let resolver = Arc::clone(&network);
        let egress = Egress::new(resolver, Some(&issuer.root.pem()), vec![host.to_owned()]).unwrap();
        let deaf = TcpListener::bind((DEAF, issuer.port())).unwrap();
        Self { url: issuer.url, key, network, egress: Mutex::new(Some(egress)), _deaf: deaf }
    }

    fn way(&self) -> Way {
        let egress = self.egress.lock().unwrap().take().unwrap();
        Way { discovery: Discovery::new(self.url.clone(), Vec::new(), egress), network: Arc::clone(&self.network) }
    }
}

/// A house with an issuer of evidence of each way to its keys, and one of people.
struct Stage {
    house: House,
    identity: Arc<Identity>,
    workload: Workload,
    first: Known,
    second: Known,
    people: Known,
    pinned: SigningKey,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let (first, second) = (Known::new("first.invalid", "1"), Known::new("second.invalid", "2"));
        let (people, pinned) = (Known::new("people.invalid", "3"), SigningKey::new("4"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        std::fs::write(&file, key_set(&[&pinned]).to_string()).unwrap();
        let identity = Identity::new(vec![setup("people", &people.url, people.way())], Vec::new());
        let identity = Arc::new(identity.with_verifiers(vec![
            verifier("first", &first.url, Profile::Oidc, first.way()),
            verifier("second", &second.url, Profile::Oidc, second.way()),
            verifier("pinned", PINNED, Profile::Oidc, KeyFile(file)),
        ]));
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), Arc::clone(&identity), |_| ());
        for (name, issuer) in [("first", &*first.url), ("second", &second.url), ("pinned", PINNED)] {
            house.key_with(name, KeyType::Oct256, &rules(issuer, json!({"freshness": "issuer"})));
        }
        house.broker.renew_issuers().await;
        Self { house, identity, workload: Workload::new(), first, second, people, pinned, _folder: folder }
    }

    fn networks(&self) -> [&Arc<Network>; 3] {
        [&self.first.network, &self.second.network, &self.people.network]
    }

    fn all_turn(&self, weather: Weather) {
        self.networks().into_iter().for_each(|network| network.turns(weather));
    }

    fn asked(&self) -> [usize; 3] {
        self.networks().map(|network| network.asked())
    }

    /// A token about the workload, for the key of that name.
    fn evidence(&self, name: &str, key: &SigningKey, at: i64) -> String {
        let issuer = match name {
            "first" => &*self.first.url,
            "second" => &self.second.url,
            _ => PINNED,
        };
        let jwk: Value = serde_json::from_str(&self.workload.public().thumbprint_input()).unwrap();
        key.token(&json!({
            "iss": issuer, "aud": "https://kms.example", "iat": at, "exp": at + 600, "cnf": {"jwk": jwk},
            "dbgstat": "disabled-since-boot", "submods": {"container": {"image_digest": IMAGE}},
        }))
    }

    fn bearer(&self, key: &SigningKey, at: i64) -> String {
        key.token(&json!({
            "iss": self.people.url, "aud": "https://attest.azure.net", "sub": "ann", "iat": at, "exp": at + 600, "roles": ["Reader"],
        }))
    }

    async fn released(&self, name: &str, key: &SigningKey, at: i64) -> Result<(), Code> {
        let token = self.evidence(name, key, at).into();
        let proof = TokenProof { token, recipient: self.workload.public(), challenge: None };
        let asked = request(&self.house, name, Usage::Release, Proof::Token(Box::new(proof)));
        let answer = self.house.broker.use_key(asked).await.map_err(|refused| refused.code)?;
        assert_eq!(self.workload.unseal(&answer).len(), 32);
        Ok(())
    }

    fn known(&self, at: i64) -> Result<(), Code> {
        let token = self.bearer(&self.people.key, at);
        self.house.broker.caller(&self.house.seat(), Some(&token)).map(drop).map_err(|refused| refused.code)
    }

    /// Whether looking for the keys of these tokens ends at once, and what becomes of it: they are there, or are not looked for.
    fn prepared_at_once(&self, evidence: &str, bearer: &str, at: i64) -> Vec<Renewal> {
        let now = UnixTime::from_secs(at);
        let evidence = self.identity.prepare_evidence("default", evidence, now).now_or_never();
        let people = self.identity.prepare("default", bearer, now).now_or_never();
        let (evidence, people) = (evidence.expect("nobody waits"), people.expect("nobody waits"));
        evidence.into_iter().chain(people).map(|(_, renewal)| renewal).collect()
    }
}

#[tokio::test]
async fn disc_15_env_08_with_every_issuer_in_a_black_hole_all_that_is_held_goes_on_and_nobody_waits() {
    let stage = Stage::new().await;
    assert_eq!(stage.asked(), [2, 2, 2], "a document and a key set each");
    let keys = [("first", &stage.first.key), ("second", &stage.second.key), ("pinned", &stage.pinned)];
    for (name, key) in keys {
        stage.released(name, key, NOW).await.unwrap();
    }
    stage.known(NOW).unwrap();
    assert_eq!(stage.asked(), [2, 2, 2], "what is held is not asked for");

    // The renewals that are due hang, each in its own way, while everybody is served.
    for (network, weather) in stage.networks().into_iter().zip([Weather::Silent, Weather::Lost, Weather::Lost]) {
        network.turns(weather);
        network.holds.send_replace(true);
    }
    let at = NOW + 200;
    stage.house.clock.set(at);
    let identity = Arc::clone(&stage.identity);
    let renewing = tokio::spawn(async move {
        let became = identity.renew(UnixTime::from_secs(at)).await;
        became.into_iter().map(|(name, renewal)| (name.to_owned(), renewal)).collect::<Vec<_>>()
    });
    while stage.asked() != [3, 3, 3] {
        tokio::task::yield_now().await;
    }
    for round in 0..20 {
        for (name, key) in keys {
            let (evidence, bearer) = (stage.evidence(name, key, at), stage.bearer(&stage.people.key, at));
            assert_eq!(stage.prepared_at_once(&evidence, &bearer, at), [], "round {round}, {name}");
            stage.released(name, key, at).await.unwrap();
            stage.known(at).unwrap();
        }
        // Who names a key that is not there is told so at once: somebody is looking already.
        let (odd, bad) = (named(&stage.pinned, "odd"), named(&stage.people.key, "odd"));
        let (evidence, bearer) = (stage.evidence("second", &odd, at), stage.bearer(&bad, at));
        assert_eq!(stage.prepared_at_once(&evidence, &bearer, at), [Renewal::NotDue, Renewal::NotDue]);
        assert_eq!(stage.released("second", &odd, at).await, Err(Code::TokenInvalid));
    }
    assert_eq!(stage.asked(), [3, 3, 3], "no request went out");
    assert!(!renewing.is_finished());
    for network in stage.networks() {
        network.holds.send_replace(false);
    }
    let became = renewing.await.unwrap();
    for name in ["first", "second", "people"] {
        let renewal = &became.iter().find(|(known, _)| known == name).unwrap().1;
        assert!(matches!(renewal, Renewal::Failed(_)), "{name}: {renewal:?}");
    }
    assert!(became.contains(&("pinned".to_owned(), Renewal::Renewed)));

    // For a day, and the pinned ones for ever.
    let last = NOW + 86_399;
    stage.house.clock.set(last);
    for (name, key) in keys {
        stage.released(name, key, last).await.unwrap();
    }
    stage.known(last).unwrap();
    assert_eq!(stage.asked(), [3, 3, 3]);
    stage.all_turn(Weather::Refused);
    let after = NOW + 86_400;
    stage.house.clock.set(after);
    stage.house.broker.renew_issuers().await;
    stage.released("pinned", &stage.pinned, after).await.unwrap();
    for (name, key) in &keys[..2] {
        assert_eq!(stage.released(name, key, after).await, Err(Code::CollateralUnavailable), "{name}");
    }
    assert_eq!(stage.known(after), Err(Code::CollateralUnavailable));
    stage.all_turn(Weather::Fair);
    let back = after + 60;
    stage.house.clock.set(back);
    stage.house.broker.renew_issuers().await;
    for (name, key) in keys {
        stage.released(name, key, back).await.unwrap();
    }
    stage.known(back).unwrap();
}

#[tokio::test]
async fn disc_12_a_flood_of_unknown_keys_in_an_outage_is_one_attempt_a_minute_and_issuer() {
    let stage = Stage::new().await;
    stage.all_turn(Weather::Refused);
    let odd = |key: &SigningKey, n: i64| named(key, &format!("odd-{n}"));
    let strangers: Vec<(String, String, String)> = (0..50)
        .map(|n| {
            (
                stage.evidence("first", &odd(&stage.first.key, n), NOW),
                stage.evidence("second", &odd(&stage.second.key, n), NOW),
                stage.bearer(&odd(&stage.people.key, n), NOW),
            )
        })
        .collect();
    // Ten minutes, every six seconds.
    for turn in 0..100 {
        let now = UnixTime::from_secs(NOW + 1 + 6 * turn);
        for (first, second, bearer) in &strangers {
            stage.identity.prepare_evidence("default", first, now).await;
            stage.identity.prepare_evidence("default", second, now).await;
            stage.identity.prepare("default", bearer, now).await;
        }
        let minutes = usize::try_from(6 * turn / 60).unwrap() + 1;
        assert_eq!(stage.asked(), [2 + minutes; 3], "after {} s", 6 * turn);
    }
    let last = NOW + 600;
    stage.house.clock.set(last);
    stage.released("first", &stage.first.key, last).await.unwrap();
    stage.known(last).unwrap();
    let refused = stage.released("second", &odd(&stage.second.key, 0), last).await;
    assert_eq!(refused, Err(Code::TokenInvalid), "and what they named is still nobody's");
    assert_eq!(stage.asked(), [12, 12, 12]);
}
