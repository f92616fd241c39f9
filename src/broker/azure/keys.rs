//! The signing keys of the attestation door: made, published, used, and retired when nothing they signed is alive.
//!
//! `maa-tokens-and-claims.md` section 2; `maa-rest-api.md` section 7: whatever signed a token that is still valid stands in the key
//! set, and a key stands there for a while before it signs. All of it follows from the times at which keys were made, so that every
//! process that opens the store concludes the same.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use keygate_keystore::{KeyMaterial, KeyType, Keystore, ServicePurpose};
use keygate_verifier::tokens::KeySet;
use openssl::sha::sha256;
use serde_json::{Value, json};

use crate::audit::{Event, Field, kind};
use crate::broker::AttestationType;
use crate::broker::challenge::draw;
use crate::broker::error::{Code, Fault};
use crate::broker::providers::{ProviderSetup, Schedule};
use crate::result::{AzureSigningKey, certificate};

/// Life of a token about evidence, in seconds: eight hours.
pub(crate) const TOKEN_LIFE: i64 = 28_800;
/// Longest life of a report on a TPM, in seconds: 525,600 minutes.
const TPM_REPORT_LIFE: i64 = 31_536_000;
/// What a key stays published beyond the last token's end, for clocks that go wrong.
const GRACE: i64 = 300;

/// Keys in the order they were made.
#[derive(Clone)]
pub(crate) struct KeyLine {
    keys: Vec<Arc<AzureSigningKey>>,
    schedule: Schedule,
    /// The longest life of anything that the keys may have signed.
    longest: i64,
    /// The public halves, read once.
    set: OnceLock<KeySet>,
}

/// What is to be done with the keys of a provider.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// A successor.
    Make,
    /// The end of this one.
    Retire(String),
}

impl KeyLine {
    fn of(keys: Vec<Arc<AzureSigningKey>>, schedule: Schedule, longest: i64) -> Self {
        Self { keys, schedule, longest, set: OnceLock::new() }
    }

    /// The keys that tokens are checked with: all that are not retired, and none without one.
    pub(crate) fn set(&self) -> &KeySet {
        self.set.get_or_init(|| {
            let published = json!({"keys": self.keys.iter().flat_map(|key| key.jwks()).collect::<Vec<_>>()});
            KeySet::parse(published.to_string().as_bytes()).unwrap_or_default()
        })
    }

    /// When the key at `index` begins to sign: the first at once, any other after it was published for a while.
    fn signs_from(&self, index: usize) -> i64 {
        match (index, self.keys.get(index)) {
            (0, _) | (_, None) => i64::MIN,
            (_, Some(key)) => key.created().saturating_add(self.schedule.publish),
        }
    }

    /// The place of the key that signs at `now`.
    fn active(&self, now: i64) -> usize {
        (0..self.keys.len()).rev().find(|index| self.signs_from(*index) <= now).unwrap_or(0)
    }

    /// The key that signs at `now`.
    pub(crate) fn signer(&self, now: i64) -> Option<&Arc<AzureSigningKey>> {
        self.keys.get(self.active(now))
    }

    /// Whether nothing that the key at `index` signed is alive at `now`.
    fn is_over(&self, index: usize, now: i64) -> bool {
        let next = index.saturating_add(1);
        next < self.keys.len() && self.signs_from(next).saturating_add(self.longest).saturating_add(GRACE) < now
    }

    /// The key set at `now`: what will sign, what signs, and what signed tokens that are alive.
    pub(crate) fn jwks(&self, now: i64) -> Value {
        let kept = self.keys.iter().enumerate().filter(|(index, _)| !self.is_over(*index, now));
        json!({"keys": kept.flat_map(|(_, key)| key.jwks()).collect::<Vec<_>>()})
    }

    /// What is to be done at `now`.
    pub(crate) fn due(&self, now: i64) -> Due {
        if let Some(key) = self.keys.first()
            && self.is_over(0, now)
        {
            return Due::Retire(key.kid().to_owned());
        }
        match self.keys.last() {
            Some(key) if now.saturating_sub(key.created()) < self.schedule.rotate => Due::Nothing,
            _ => Due::Make,
        }
    }

    /// Whether a successor may be made.
    ///
    /// # Errors
    /// `conflict` while one waits: a second would only put off the first.
    pub(crate) fn may_rotate(&self, now: i64) -> Result<(), Fault> {
        match self.active(now).saturating_add(1) < self.keys.len() {
            true => Err(Fault::new(Code::Conflict, "a successor is published already and will sign soon")),
            false => Ok(()),
        }
    }

    /// What operators are told: each key with its state.
    pub(crate) fn described(&self, now: i64) -> Value {
        let active = self.active(now);
        let keys = self.keys.iter().enumerate().map(|(index, key)| {
            let state = match index.cmp(&active) {
                std::cmp::Ordering::Less => "retiring",
                std::cmp::Ordering::Equal => "signing",
                std::cmp::Ordering::Greater => "published",
            };
            let signs_from = if index == 0 { key.created() } else { self.signs_from(index) };
            json!({"kid": key.kid(), "created": key.created(), "signs_from": signs_from, "state": state})
        });
        json!({"keys": keys.collect::<Vec<_>>(), "rotate_seconds": self.schedule.rotate, "publish_seconds": self.schedule.publish})
    }
}

/// The keys of one provider, exchanged whole when they change.
pub(crate) struct AzureKeys {
    line: RwLock<Arc<KeyLine>>,
    /// Held by whoever makes or retires keys.
    tending: Mutex<()>,
}

impl AzureKeys {
    /// Opens the keys of a provider. The first one is made when it is due, or asked for: a start waits for none.
    pub(crate) fn open(keystore: &Keystore, setup: &ProviderSetup) -> Result<Self, Fault> {
        Ok(Self { line: RwLock::new(Arc::new(read(keystore, setup)?)), tending: Mutex::default() })
    }

    /// The keys now; never none.
    pub(crate) fn line(&self, keystore: &Keystore, setup: &ProviderSetup, now: i64) -> Result<Arc<KeyLine>, Fault> {
        if self.known().keys.is_empty() {
            self.tend(keystore, setup, now)?;
        }
        Ok(self.known())
    }

    /// The keys that are there, without making any.
    pub(crate) fn known(&self) -> Arc<KeyLine> {
        Arc::clone(&self.line.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes successors and retires what is over, as the schedule says.
    pub(crate) fn tend(&self, keystore: &Keystore, setup: &ProviderSetup, now: i64) -> Result<(), Fault> {
        let _held = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        if self.known().longest != longest(keystore, setup)? {
            self.reread(keystore, setup)?;
        }
        // At most a handful: each round makes or retires one.
        for _ in 0..8 {
            match self.known().due(now) {
                Due::Nothing => break,
                Due::Make => make(keystore, setup, now, "schedule")?,
                Due::Retire(kid) => {
                    let record = event(setup, now, "retire", &kid).record();
                    keystore.retire_service_key(&setup.id, ServicePurpose::AzureToken, &kid, record, now)?;
                }
            }
            self.reread(keystore, setup)?;
        }
        Ok(())
    }

    /// Makes a successor now; it signs once it was published for a while. One that waits already is enough.
    ///
    /// # Errors
    /// `conflict` while a successor waits.
    pub(crate) fn rotate(&self, keystore: &Keystore, setup: &ProviderSetup, now: i64) -> Result<(), Fault> {
        let _held = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        self.known().may_rotate(now)?;
        make(keystore, setup, now, "rotate")?;
        self.reread(keystore, setup)
    }

    fn reread(&self, keystore: &Keystore, setup: &ProviderSetup) -> Result<(), Fault> {
        // Read while nobody else writes: who read before another key was made must not put its older line over the newer one.
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        *line = Arc::new(read(keystore, setup)?);
        Ok(())
    }
}

fn read(keystore: &Keystore, setup: &ProviderSetup) -> Result<KeyLine, Fault> {
    let purpose = ServicePurpose::AzureToken;
    let views = keystore.service_keys(&setup.id, purpose)?;
    let opened = views.into_iter().map(|view| {
        let material = keystore.open_service_key(&setup.id, purpose, &view.kid)?;
        let pkcs1 = material.sealed_form();
        let certificates = certified(&pkcs1, view.certificates, &setup.issuer, view.created)?;
        let key = AzureSigningKey::from_pkcs1(&pkcs1, certificates, view.created)?;
        Ok::<_, Fault>(Arc::new(key))
    });
    Ok(KeyLine::of(opened.collect::<Result<_, _>>()?, setup.schedule, longest(keystore, setup)?))
}

/// Reports on TPMs may live for a year, and a provider that never had a policy for them made none.
fn longest(keystore: &Keystore, setup: &ProviderSetup) -> Result<i64, Fault> {
    let policy = keystore.policy(&setup.id, AttestationType::Tpm.as_str())?;
    Ok(if policy.is_some() { TPM_REPORT_LIFE } else { TOKEN_LIFE })
}

/// The certificates of a key. Their subject is the issuer, which the settings may have changed since: then the key gets another
/// one, always the same.
fn certified(pkcs1: &[u8], stored: Vec<Vec<u8>>, issuer: &str, created: i64) -> Result<Vec<Vec<u8>>, Fault> {
    if stored.first().is_some_and(|der| certificate::is_of(der, issuer)) {
        return Ok(stored);
    }
    let digest = sha256(&[issuer.as_bytes(), AzureSigningKey::kid_of(pkcs1)?.as_bytes()].concat());
    let mut serial = [0; 16];
    serial.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    Ok(vec![certificate::azure_token(pkcs1, issuer, serial, created)?])
}

fn make(keystore: &Keystore, setup: &ProviderSetup, now: i64, why: &str) -> Result<(), Fault> {
    let material = KeyMaterial::generate(KeyType::Rsa2048)?;
    let pkcs1 = material.sealed_form();
    let kid = AzureSigningKey::kid_of(&pkcs1)?;
    let certificate = certificate::azure_token(&pkcs1, &setup.issuer, draw::<16>()?, now)?;
    let record = event(setup, now, why, &kid).record();
    keystore.put_service_key(&setup.id, ServicePurpose::AzureToken, &kid, &[certificate], &material, record, now)?;
    Ok(())
}

fn event(setup: &ProviderSetup, now: i64, why: &str, kid: &str) -> Event {
    Event::new(kind::SERVICE_KEY, &setup.id, now)
        .word(Field::Purpose, ServicePurpose::AzureToken.as_str())
        .word(Field::Op, why)
        .word(Field::Kid, kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn line(created: &[i64]) -> KeyLine {
        line_of(created, TOKEN_LIFE)
    }

    fn line_of(created: &[i64], longest: i64) -> KeyLine {
        let key = |at: &i64| {
            let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
            Arc::new(AzureSigningKey::from_pkcs1(&rsa.private_key_to_der().unwrap(), Vec::new(), *at).unwrap())
        };
        KeyLine::of(created.iter().map(key).collect(), Schedule::default(), longest)
    }

    fn published(line: &KeyLine, now: i64) -> usize {
        line.jwks(now)["keys"].as_array().unwrap().len()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_last_token_ends() {
        let line = line(&[0, 90 * DAY]);
        let made = 90 * DAY;
        let kid = |now| line.signer(now).unwrap().kid().to_owned();
        let (old, new) = (line.keys[0].kid().to_owned(), line.keys[1].kid().to_owned());
        assert_eq!((kid(made), published(&line, made)), (old.clone(), 2));
        assert_eq!(kid(made + 3_599), old);
        assert_eq!((kid(made + 3_600), published(&line, made + 3_600)), (new.clone(), 2));
        // The last token of the old key was issued a second before the new one took over.
        let last_end = made + 3_599 + TOKEN_LIFE;
        assert_eq!(published(&line, last_end + GRACE), 2);
        assert_eq!(published(&line, last_end + GRACE + 2), 1);
        assert_eq!(line.due(last_end), Due::Nothing);
        assert_eq!(line.due(last_end + GRACE + 2), Due::Retire(old));
    }

    #[test]
    fn where_reports_on_tpms_are_made_a_key_stays_for_a_year() {
        let line = line_of(&[0, 90 * DAY], TPM_REPORT_LIFE);
        let last_end = 90 * DAY + 3_599 + TPM_REPORT_LIFE;
        assert_eq!((published(&line, last_end + GRACE), published(&line, last_end + GRACE + 2)), (2, 1));
        // Another successor is made meanwhile, and nothing is retired before its time.
        assert_eq!(line.due(last_end + GRACE), Due::Make);
        assert_eq!(line.due(last_end + GRACE + 2), Due::Retire(line.keys[0].kid().to_owned()));
    }

    #[test]
    fn a_certificate_follows_the_issuer_and_is_always_the_same() {
        let pkcs1 = openssl::rsa::Rsa::generate(2048).unwrap().private_key_to_der().unwrap();
        let made = certificate::azure_token(&pkcs1, "https://localhost", [7; 16], DAY).unwrap();
        let of = |issuer: &str| certified(&pkcs1, vec![made.clone()], issuer, DAY).unwrap();
        assert_eq!(of("https://localhost"), std::slice::from_ref(&made));
        let moved = of("https://kms.example");
        assert!(certificate::is_of(&moved[0], "https://kms.example") && moved[0] != made);
        assert_eq!(moved, of("https://kms.example"));
        assert_ne!(moved, of("https://kms.example/iso"));
    }

    #[test]
    fn a_successor_is_due_by_age() {
        let line = line(&[0]);
        assert_eq!(line.due(90 * DAY - 1), Due::Nothing);
        assert_eq!(line.due(90 * DAY), Due::Make);
        assert!(line.signer(-5).is_some(), "the first key signs at once, whatever the clock says");
    }
}
