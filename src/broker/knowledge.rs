//! What the broker remembers between requests: parsed rules, sessions, deny lists, high-water marks. Facts, never verdicts.
//!
//! Threat model P7 and P10; `performance-floor.md` section 3, trap 7. Rules are kept under the digest of their text, deny lists under
//! the epoch they were read at, so that neither can be served after it changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use keygate_keystore::{Epoch, KeyName, KeyView, Keystore, ProviderId, RuleVersion};
use keygate_policies::KeyRules;
use moka::sync::Cache;

use super::error::{Code, Fault};
use crate::result::attestation_result::identity;

/// Rules kept parsed.
const RULES: u64 = 10_000;
/// Sessions remembered; about 200 bytes each.
const SESSIONS: u64 = 16_384;

/// Parsed rules by digest.
pub(crate) struct Rules {
    parsed: Cache<[u8; 32], Arc<KeyRules>>,
    none: Arc<KeyRules>,
}

impl Rules {
    pub(crate) fn new() -> Self {
        Self { parsed: Cache::new(RULES), none: Arc::new(KeyRules::none()) }
    }

    /// The rules that a key holds.
    pub(crate) fn of(&self, version: Option<&RuleVersion>) -> Result<Arc<KeyRules>, Fault> {
        let Some(version) = version else { return Ok(Arc::clone(&self.none)) };
        if let Some(known) = self.parsed.get(&version.digest) {
            return Ok(known);
        }
        let damaged = |inner: &str| Fault::new(Code::StoreCorrupt, "").because(inner);
        let rules =
            KeyRules::parse(version.document.as_bytes()).map_err(|_| damaged("a stored rule does not parse"))?;
        if rules.digest() != version.digest {
            return Err(damaged("a stored rule is not the one of its digest"));
        }
        let rules = Arc::new(rules);
        self.parsed.insert(version.digest, Arc::clone(&rules));
        Ok(rules)
    }
}

/// A key of each provider that was found lately: it is read and judged in the place of one that is not there, so that the work
/// is the same. Nothing of it is told or recorded. Threat model P27.
#[derive(Default)]
pub(crate) struct StandIns(Mutex<HashMap<ProviderId, KeyName>>);

impl StandIns {
    /// Remembers a key that was found.
    pub(crate) fn found(&self, key: &KeyView) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&key.provider) != Some(&key.name) {
            known.insert(key.provider.clone(), key.name.clone());
        }
    }

    /// Reads a key that is there, if the provider has any.
    pub(crate) fn look(&self, keystore: &Keystore, provider: &ProviderId) -> Result<Option<KeyView>, Fault> {
        let name = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(provider).cloned();
        Ok(match name {
            Some(name) => keystore.look_newest(provider, &name)?.key,
            None => keystore.list(provider, None, 1)?.pop(),
        })
    }
}

/// Attestations that commits of ours recorded, by the identifier of their token: when. A row of the store says so; it never
/// changes, and goes when the token is over.
pub(crate) struct Sessions(Cache<String, i64>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(Cache::new(SESSIONS))
    }

    /// When the attestation behind a token of ours was recorded; none: never. Asked of tokens that are genuine and not over.
    pub(crate) fn recorded(&self, keystore: &Keystore, jti: &str) -> Result<Option<i64>, Fault> {
        if let Some(at) = self.0.get(jti) {
            return Ok(Some(at));
        }
        let at = keystore.session(jti)?;
        if let Some(at) = at {
            self.0.insert(jti.to_owned(), at);
        }
        Ok(at)
    }
}

type Listed = (Epoch, Arc<HashSet<[u8; 32]>>);

/// Deny lists by provider and epoch.
#[derive(Default)]
pub(crate) struct Denied(Mutex<HashMap<ProviderId, Listed>>);

impl Denied {
    /// Whether one of these names is denied at `epoch`. The list is read after the epoch was: it is never older.
    pub(crate) fn holds(
        &self,
        keystore: &Keystore,
        provider: &ProviderId,
        epoch: Epoch,
        names: &[[u8; 32]],
    ) -> Result<bool, Fault> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(provider).cloned();
        let list = match known {
            Some((at, list)) if at == epoch => list,
            _ => {
                let entries = keystore.denied(provider)?;
                let list: HashSet<_> = entries.iter().map(|entry| identity(&entry.kind, &entry.value)).collect();
                let list = Arc::new(list);
                let kept = (epoch, Arc::clone(&list));
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(provider.clone(), kept);
                list
            }
        };
        Ok(names.iter().any(|name| list.contains(name)))
    }
}

/// High-water marks of collateral, read once and raised through the store.
#[derive(Default)]
pub(crate) struct Marks(Mutex<HashMap<String, Option<u64>>>);

impl Marks {
    /// The newest version ever seen of a piece.
    pub(crate) fn newest(&self, keystore: &Keystore, id: &str) -> Result<Option<u64>, Fault> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(*known);
        }
        let stored = keystore.mark(id)?;
        // Another request may have raised it meanwhile: the higher one stays.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = known.entry(id.to_owned()).or_insert(stored);
        *mark = (*mark).max(stored);
        Ok(*mark)
    }

    /// Raises marks, in the store first.
    pub(crate) fn raise(&self, keystore: &Keystore, higher: &[(String, u64)]) -> Result<(), Fault> {
        if higher.is_empty() {
            return Ok(());
        }
        keystore.raise_marks(higher)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, version) in higher {
            let mark = known.entry(id.clone()).or_insert(None);
            *mark = (*mark).max(Some(*version));
        }
        Ok(())
    }
}
