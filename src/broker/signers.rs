//! The service keys of a provider: made once, opened at start, one for each purpose.
//!
//! `native-api.md` sections 3 *Receipt* and 5; threat model P18. They rest in the store like any other key; the signing keys stay
//! parsed while the node runs (`performance-floor.md` section 3, trap 2).

use keygate_keystore::{KeyMaterial, KeyType, Keystore, ServicePurpose};
use serde_json::{Value, json};

use super::azure::AzureKeys;
use super::challenge::draw;
use super::error::{Code, Fault};
use super::providers::ProviderSetup;
use super::vault::ReleaseSigner;
use crate::audit::{Event, Field, kind};
use crate::result::certificate::{self, ServerCertificate};
use crate::result::{ReleaseKey, SigningKey, receipt};

/// The keys in use.
pub(crate) struct Signers {
    ca: SigningKey,
    receipts: Vec<SigningKey>,
    tokens: Vec<SigningKey>,
    receipt_header: String,
    head_header: String,
    azure: AzureKeys,
    release: ReleaseSigner,
}

impl Signers {
    /// Opens the service keys of a provider and makes those that are missing.
    ///
    /// The CA is that of `house`, the node's first provider: one `ca.pem` is the only pin for whatever the node serves.
    pub(crate) fn ensure(
        keystore: &Keystore,
        setup: &ProviderSetup,
        house: &ProviderSetup,
        now: i64,
    ) -> Result<Self, Fault> {
        let keys = Keys { keystore, setup, now };
        let of_the_house = Keys { keystore, setup: house, now };
        let mut authorities = of_the_house.all(ServicePurpose::Ca)?;
        if authorities.is_empty() {
            authorities = of_the_house.make(ServicePurpose::Ca, |sec1, serial| {
                Ok(vec![certificate::authority(sec1, house.id.as_str(), serial, now)?])
            })?;
        }
        let missing = || Fault::new(Code::StoreCorrupt, "").because("a service key is missing");
        let ca = authorities.pop().ok_or_else(missing)?;
        let mut receipts = keys.all(ServicePurpose::Receipt)?;
        if receipts.is_empty() {
            receipts = keys.make(ServicePurpose::Receipt, |sec1, serial| {
                Ok(certificate::receipt(&ca, sec1, setup.id.as_str(), serial, now)?)
            })?;
        }
        let mut tokens = keys.all(ServicePurpose::AttestationToken)?;
        if tokens.is_empty() {
            tokens = keys.make(ServicePurpose::AttestationToken, |_, _| Ok(Vec::new()))?;
        }
        let newest = receipts.last().ok_or_else(missing)?;
        let receipt_header = newest.header(receipt::TYPE, true);
        let head_header = newest.header(receipt::HEAD_TYPE, true);
        if tokens.is_empty() {
            return Err(missing());
        }
        let azure = AzureKeys::open(keystore, setup)?;
        let release = ReleaseSigner::default();
        Ok(Self { ca, receipts, tokens, receipt_header, head_header, azure, release })
    }

    /// The key that signs receipts now, and its header.
    pub(crate) fn receipt(&self) -> Option<(&SigningKey, &str)> {
        Some((self.receipts.last()?, &self.receipt_header))
    }
    /// The same key with the header of an audit head.
    pub(crate) fn head(&self) -> Option<(&SigningKey, &str)> {
        Some((self.receipts.last()?, &self.head_header))
    }
    /// Every token key; the last one signs.
    pub(crate) fn tokens(&self) -> &[SigningKey] {
        &self.tokens
    }
    /// The keys of the attestation door.
    pub(crate) fn azure(&self) -> &AzureKeys {
        &self.azure
    }
    /// The key that signs released keys now.
    pub(crate) fn release(
        &self,
        keystore: &Keystore,
        setup: &ProviderSetup,
        now: i64,
    ) -> Result<std::sync::Arc<ReleaseKey>, Fault> {
        self.release.key(keystore, setup, &self.ca, now)
    }
    /// The provider's CA in PEM.
    pub(crate) fn ca_pem(&self) -> Result<String, Fault> {
        Ok(certificate::pem(self.ca.certificates().first().map_or(&[], Vec::as_slice))?)
    }
    /// A fresh TLS key with its certificate under the CA.
    pub(crate) fn server(&self, hosts: &[String], now: i64) -> Result<ServerCertificate, Fault> {
        Ok(certificate::server(&self.ca, hosts, draw::<16>()?, now)?)
    }
    /// The public keys, each with its purpose. RFC 7517 section 5.
    pub(crate) fn jwks(&self) -> Value {
        let tokens = self.tokens.iter().map(|key| key.jwk("attestation-token"));
        let receipts = self.receipts.iter().map(|key| key.jwk("receipt"));
        json!({"keys": tokens.chain(receipts).collect::<Vec<_>>()})
    }
}

struct Keys<'a> {
    keystore: &'a Keystore,
    setup: &'a ProviderSetup,
    now: i64,
}

impl Keys<'_> {
    fn all(&self, purpose: ServicePurpose) -> Result<Vec<SigningKey>, Fault> {
        let views = self.keystore.service_keys(&self.setup.id, purpose)?;
        let opened = views.into_iter().map(|view| {
            let material = self.keystore.open_service_key(&self.setup.id, purpose, &view.kid)?;
            Ok(SigningKey::from_sec1(&material.sealed_form(), view.certificates)?)
        });
        opened.collect()
    }

    fn make(
        &self,
        purpose: ServicePurpose,
        certify: impl FnOnce(&[u8], [u8; 16]) -> Result<Vec<Vec<u8>>, Fault>,
    ) -> Result<Vec<SigningKey>, Fault> {
        let material = KeyMaterial::generate(KeyType::EcP256)?;
        let sec1 = material.sealed_form();
        let certificates = certify(&sec1, draw::<16>()?)?;
        let key = SigningKey::from_sec1(&sec1, certificates)?;
        let record = Event::new(kind::SERVICE_KEY, &self.setup.id, self.now)
            .word(Field::Purpose, purpose.as_str())
            .word(Field::Kid, key.kid())
            .record();
        let id = &self.setup.id;
        self.keystore.put_service_key(id, purpose, key.kid(), key.certificates(), &material, record, self.now)?;
        Ok(vec![key])
    }
}
