//! The key that signs released keys: RSA, under the provider's CA, named by every host of the vault.
//!
//! `secure-key-release.md` section 6 (*What clients verify*): RS256 by `x5c[0]`, which chains to the CA that a workload trusts and names
//! the host that it dialled. Made when it is first asked for; renewed before its certificate ends, and when the hosts change.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use keygate_keystore::{KeyMaterial, KeyType, Keystore, ServicePurpose};

use crate::audit::{Event, Field, kind};
use crate::broker::challenge::draw;
use crate::broker::error::Fault;
use crate::broker::providers::ProviderSetup;
use crate::result::{ReleaseKey, SigningKey, certificate};

const PURPOSE: ServicePurpose = ServicePurpose::KeyVaultRelease;
/// Seconds before the end of its certificate that a key gets a successor.
const RENEW: i64 = 30 * 86_400;

/// The newest key of a provider, opened when it is first asked for.
#[derive(Default)]
pub(crate) struct ReleaseSigner {
    known: RwLock<Option<Arc<ReleaseKey>>>,
    /// Held by whoever opens or makes one.
    tending: Mutex<()>,
}

impl ReleaseSigner {
    /// The key that signs at `now`.
    pub(crate) fn key(
        &self,
        keystore: &Keystore,
        setup: &ProviderSetup,
        ca: &SigningKey,
        now: i64,
    ) -> Result<Arc<ReleaseKey>, Fault> {
        if let Some(key) = self.fit(setup, now) {
            return Ok(key);
        }
        let _held = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.fit(setup, now) {
            return Ok(key);
        }
        let stored = keystore.service_keys(&setup.id, PURPOSE)?;
        if let Some(view) = stored.last() {
            let material = keystore.open_service_key(&setup.id, PURPOSE, &view.kid)?;
            let key = ReleaseKey::from_pkcs1(&material.sealed_form(), view.certificates.clone())?;
            if serves(&key, setup, now) {
                return Ok(self.keep(key));
            }
        }
        let key = make(keystore, setup, ca, now)?;
        // What an earlier one signed carries its own certificates: nobody asks for the key again.
        for view in stored {
            let record = event(setup, now, "retire", &view.kid).record();
            keystore.retire_service_key(&setup.id, PURPOSE, &view.kid, record, now)?;
        }
        Ok(self.keep(key))
    }

    fn fit(&self, setup: &ProviderSetup, now: i64) -> Option<Arc<ReleaseKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|key| serves(key, setup, now))
    }

    fn keep(&self, key: ReleaseKey) -> Arc<ReleaseKey> {
        let key = Arc::new(key);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&key));
        key
    }
}

fn serves(key: &ReleaseKey, setup: &ProviderSetup, now: i64) -> bool {
    key.until() - RENEW > now && setup.hosts.iter().all(|host| key.names(host))
}

fn make(keystore: &Keystore, setup: &ProviderSetup, ca: &SigningKey, now: i64) -> Result<ReleaseKey, Fault> {
    let material = KeyMaterial::generate(KeyType::Rsa2048)?;
    let pkcs1 = material.sealed_form();
    let certificates = certificate::release(ca, &pkcs1, &setup.hosts, draw::<16>()?, now)?;
    let key = ReleaseKey::from_pkcs1(&pkcs1, certificates)?;
    let record = event(setup, now, "make", key.kid()).record();
    keystore.put_service_key(&setup.id, PURPOSE, key.kid(), key.certificates(), &material, record, now)?;
    Ok(key)
}

fn event(setup: &ProviderSetup, now: i64, why: &str, kid: &str) -> Event {
    Event::new(kind::SERVICE_KEY, &setup.id, now)
        .word(Field::Purpose, PURPOSE.as_str())
        .word(Field::Op, why)
        .word(Field::Kid, kid)
}
