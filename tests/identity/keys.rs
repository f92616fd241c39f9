//! How keys of an issuer are held: renewed, prompted by strangers' tokens, used while the issuer is silent.
//!
//! `bad-inputs.md` DISC-01, DISC-10 to DISC-13, DISC-15; threat model P7, P53.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{BoxFuture, join_all};
use keygate::identity::{EgressError, Identity, IssuerSetup, KeyFile, KeySource, NoPerson, Renewal};
use keygate_verifier::UnixTime;
use serde_json::{Value, json};

use super::broker::NOW;
use super::issuer::{Issuer, SigningKey, key_set};

pub const ISSUER: &str = "https://idp.example";

/// A source whose answer is a test's, and that counts.
#[derive(Clone)]
pub struct Played {
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    fetched: Arc<AtomicUsize>,
    slow: Duration,
}

impl Played {
    pub fn of(keys: &[&SigningKey]) -> Self {
        let played = Self { answer: Arc::default(), fetched: Arc::default(), slow: Duration::ZERO };
        played.says(&key_set(keys));
        played
    }
    pub fn says(&self, set: &Value) {
        *self.answer.lock().unwrap() = Some(set.to_string().into_bytes());
    }
    pub fn silent(&self) {
        *self.answer.lock().unwrap() = None;
    }
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

impl KeySource for Played {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::time::sleep(self.slow).await;
            let answer = self.answer.lock().unwrap().clone();
            match answer {
                Some(answer) => Ok(answer),
                None => KeyFile("/nonexistent".into()).fetch().await,
            }
        })
    }
}

pub fn setup(name: &str, issuer: &str, keys: impl KeySource + 'static) -> IssuerSetup {
    let roles = BTreeMap::from([("Reader".to_owned(), vec!["attestation-reader".to_owned()])]);
    IssuerSetup {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audiences: vec!["https://attest.azure.net".to_owned()],
        provider: None,
        role_claim: vec!["roles".to_owned()],
        roles,
        subject_claim: "sub".to_owned(),
        max_age: 86_400,
        keys: Box::new(keys),
    }
}

fn token(key: &SigningKey, at: i64) -> String {
    key.token(&json!({
        "iss": ISSUER, "aud": "https://attest.azure.net", "sub": "ann", "iat": at, "exp": at + 3_600, "roles": ["Reader"],
    }))
}

struct Stand {
    identity: Identity,
    source: Played,
}

impl Stand {
    fn new(source: Played) -> Self {
        Self { identity: Identity::new(vec![setup("idp", ISSUER, source.clone())], Vec::new()), source }
    }
    async fn renewed(&self, at: i64) -> Renewal {
        self.identity.renew(UnixTime::from_secs(at)).await.remove(0).1
    }
    async fn prepared(&self, token: &str, at: i64) -> Option<Renewal> {
        self.identity.prepare("default", token, UnixTime::from_secs(at)).await.map(|(_, renewal)| renewal)
    }
    fn knows(&self, key: &SigningKey, at: i64) -> Result<(), NoPerson> {
        self.identity.bearer("default", &token(key, at), UnixTime::from_secs(at)).map(drop)
    }
    fn is_stranger(&self, key: &SigningKey, at: i64) -> bool {
        matches!(self.knows(key, at), Err(NoPerson::Invalid(_)))
    }
}

#[tokio::test]
async fn keys_are_renewed_when_they_are_due_and_not_before() {
    let key = SigningKey::new("a");
    let stand = Stand::new(Played::of(&[&key]));
    assert!(matches!(stand.knows(&key, NOW), Err(NoPerson::Unavailable(_))), "nothing was fetched yet");
    assert_eq!(stand.renewed(NOW).await, Renewal::Renewed);
    assert_eq!(stand.knows(&key, NOW), Ok(()));
    assert_eq!(stand.renewed(NOW + 179).await, Renewal::NotDue);
    assert_eq!(stand.renewed(NOW + 180).await, Renewal::Renewed);
    assert_eq!(stand.source.fetched(), 2);
}

#[tokio::test]
async fn disc_13_a_rotated_key_is_found_and_a_key_that_was_taken_away_is_gone_within_five_minutes() {
    let (old, both, new) = (SigningKey::new("old"), SigningKey::new("both"), SigningKey::new("new"));
    let stand = Stand::new(Played::of(&[&old, &both]));
    stand.renewed(NOW).await;
    stand.source.says(&key_set(&[&both, &new]));
    assert!(stand.is_stranger(&new, NOW + 179));
    assert_eq!(stand.knows(&old, NOW + 179), Ok(()));
    assert_eq!(stand.renewed(NOW + 190).await, Renewal::Renewed);
    assert_eq!(stand.knows(&new, NOW + 190), Ok(()));
    assert_eq!(stand.knows(&both, NOW + 190), Ok(()));
    assert!(stand.is_stranger(&old, NOW + 190));
}

#[tokio::test]
async fn disc_10_a_set_without_keys_changes_nothing_and_a_set_without_known_keys_must_be_seen_twice() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let stand = Stand::new(Played::of(&[&old]));
    stand.renewed(NOW).await;
    stand.source.says(&json!({"keys": []}));
    assert!(matches!(stand.renewed(NOW + 180).await, Renewal::Failed(_)));
    assert_eq!(stand.knows(&old, NOW + 180), Ok(()));

    stand.source.says(&key_set(&[&new]));
    assert_eq!(stand.renewed(NOW + 240).await, Renewal::Replaced);
    assert_eq!(stand.knows(&new, NOW + 240), Ok(()));
    assert_eq!(stand.knows(&old, NOW + 240), Ok(()), "a slip of the issuer locks nobody out");
    assert_eq!(stand.renewed(NOW + 300).await, Renewal::Renewed);
    assert!(stand.is_stranger(&old, NOW + 300));
    assert_eq!(stand.knows(&new, NOW + 300), Ok(()));
}

#[tokio::test]
async fn disc_11_a_set_that_says_two_things_is_refused_whole() {
    let key = SigningKey::new("a");
    let stand = Stand::new(Played::of(&[&key]));
    stand.renewed(NOW).await;
    let twin = SigningKey::new("a");
    let symmetric = json!({"kty": "oct", "k": "AAAA", "kid": "s"});
    for odd in [
        key_set(&[&key, &twin]),
        json!({"keys": [key.jwk(), symmetric]}),
        json!({"keys": {}}),
        json!("keys"),
        json!({"keys": [{"kty": "RSA", "kid": "a", "use": "enc", "n": "AQAB", "e": "AQAB"}]}),
    ] {
        stand.source.says(&odd);
        let due = NOW + 180 * i64::try_from(stand.source.fetched()).unwrap();
        assert!(matches!(stand.renewed(due).await, Renewal::Failed(_)), "{odd}");
        assert_eq!(stand.knows(&key, due), Ok(()));
        assert!(stand.is_stranger(&twin, due));
    }
}

#[tokio::test]
async fn disc_12_ten_thousand_unknown_keys_cause_one_fetch_and_nobody_waits_for_another() {
    let key = SigningKey::new("a");
    let stand = Stand::new(Played { slow: Duration::from_millis(50), ..Played::of(&[&key]) });
    stand.renewed(NOW).await;
    let signed = token(&key, NOW);
    let (_, rest) = signed.split_once('.').unwrap();
    let header = |n: usize| URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": format!("unknown-{n}")}).to_string());
    let strange: Vec<String> = (0..10_000).map(|n| format!("{}.{rest}", header(n))).collect();
    let began = Instant::now();
    let outcomes = join_all(strange.iter().map(|token| stand.prepared(token, NOW + 1))).await;
    assert_eq!(stand.source.fetched(), 2, "the first, and one for all of them");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(Renewal::Renewed)).count(), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for token in strange.iter().take(10) {
        let refused = stand.identity.bearer("default", token, UnixTime::from_secs(NOW + 1));
        assert!(matches!(refused, Err(NoPerson::Invalid(_))));
    }
    assert_eq!(stand.knows(&key, NOW + 1), Ok(()), "the others go on");
    assert_eq!(stand.prepared(&strange[0], NOW + 60).await, Some(Renewal::NotDue));
    assert_eq!(stand.prepared(&strange[0], NOW + 61).await, Some(Renewal::Renewed));
    assert_eq!(stand.source.fetched(), 3);
}

#[tokio::test]
async fn disc_12_a_key_that_just_came_is_found_by_the_first_token_that_names_it() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let stand = Stand::new(Played::of(&[&old]));
    stand.renewed(NOW).await;
    stand.source.says(&key_set(&[&old, &new]));
    assert_eq!(stand.prepared(&token(&old, NOW), NOW + 1).await, None, "a key that is there needs no fetch");
    assert_eq!(stand.prepared(&token(&new, NOW), NOW + 1).await, Some(Renewal::Renewed));
    assert_eq!(stand.knows(&new, NOW + 1), Ok(()));
}

#[tokio::test]
async fn disc_12_who_hangs_up_does_not_spend_the_minute() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let stand = Stand::new(Played { slow: Duration::from_millis(100), ..Played::of(&[&old]) });
    stand.renewed(NOW).await;
    stand.source.says(&key_set(&[&old, &new]));
    let wanted = token(&new, NOW);
    let hung_up = tokio::time::timeout(Duration::from_millis(10), stand.prepared(&wanted, NOW + 1)).await;
    assert!(hung_up.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stand.knows(&new, NOW + 1), Ok(()));
}

#[tokio::test]
async fn disc_15_a_silent_issuer_is_bridged_for_a_day_and_no_longer() {
    let key = SigningKey::new("a");
    let stand = Stand::new(Played::of(&[&key]));
    stand.renewed(NOW).await;
    stand.source.silent();
    for hour in 1..24 {
        assert!(matches!(stand.renewed(NOW + hour * 3_600).await, Renewal::Failed(_)));
        assert_eq!(stand.knows(&key, NOW + hour * 3_600), Ok(()));
    }
    assert_eq!(stand.knows(&key, NOW + 86_399), Ok(()));
    assert!(matches!(stand.knows(&key, NOW + 86_400), Err(NoPerson::Unavailable(_))));
    stand.source.says(&key_set(&[&key]));
    assert_eq!(stand.renewed(NOW + 86_460).await, Renewal::Renewed);
    assert_eq!(stand.knows(&key, NOW + 86_460), Ok(()));
}

#[tokio::test]
async fn disc_01_an_issuer_that_only_a_token_names_is_never_asked() {
    let key = SigningKey::new("a");
    let elsewhere = Issuer::start(&[&key]);
    let stand = Stand::new(Played::of(&[&key]));
    stand.renewed(NOW).await;
    let foreign = key.token(&json!({
        "iss": elsewhere.url, "aud": "https://attest.azure.net", "sub": "ann", "iat": NOW, "exp": NOW + 60, "roles": ["Reader"],
    }));
    assert_eq!(stand.prepared(&foreign, NOW).await, None);
    let refused = stand.identity.bearer("default", &foreign, UnixTime::from_secs(NOW));
    assert!(matches!(refused, Err(NoPerson::Invalid(_))));
    assert!(elsewhere.asked().is_empty());
    assert_eq!(stand.source.fetched(), 1);
}

#[tokio::test]
async fn keys_of_a_file_are_read_again_when_they_are_due() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, key_set(&[&old]).to_string()).unwrap();
    let file = KeyFile(path.clone());
    file.check().unwrap();
    let identity = Identity::new(vec![setup("idp", ISSUER, file)], Vec::new());
    let knows =
        |key: &SigningKey, at: i64| identity.bearer("default", &token(key, at), UnixTime::from_secs(at)).is_ok();
    identity.renew(UnixTime::from_secs(NOW)).await;
    assert!(knows(&old, NOW) && !knows(&new, NOW));
    std::fs::write(&path, key_set(&[&old, &new]).to_string()).unwrap();
    identity.renew(UnixTime::from_secs(NOW + 180)).await;
    assert!(knows(&new, NOW + 180));
    std::fs::write(&path, "{\"keys\": []}").unwrap();
    assert!(KeyFile(path).check().is_err());
}
