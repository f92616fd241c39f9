//! What may be asked of the service without using a key: itself, its public keys, the public part of a key.
//!
//! `native-api.md` section 3: `GET /.well-known/keygate`, `GET /v1/keys/{name}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{KeyView, KeystoreError, Wrapping};
use keygate_verifier::EvidenceKind;
use serde_json::{Map, Value, json};

use super::Broker;
use super::caller::Caller;
use super::composite::Composite;
use super::error::{BrokerError, Code, Fault};
use super::request::{KeySelector, Seat};
use crate::result::attestation_result::{INIT_TIME, RUNTIME};

/// Claims that a workload writes itself; what they were found to be is in no record.
pub(crate) const PRESENTED: [&str; 2] = [RUNTIME, INIT_TIME];

/// Largest body of a request in bytes, as told to clients.
pub const BODY_BYTES: usize = 1 << 20;

impl Broker {
    /// The provider, for anybody. `authority` is the host that was dialled, with its port: where the key set is found.
    pub fn well_known(&self, seat: &Seat, authority: &str) -> Value {
        let provider = &seat.provider;
        let setup = provider.setup();
        let kinds: Vec<&str> = EvidenceKind::ALL.iter().map(|kind| kind.as_str()).chain([Composite::KIND]).collect();
        json!({
            "issuer": setup.issuer,
            "hosts": setup.hosts.iter().map(|host| format!("{host}{}", setup.prefix)).collect::<Vec<_>>(),
            "kinds": kinds,
            "wrappings": [Wrapping::RsaAesKeyWrap256.as_str(), Wrapping::Jwe.as_str()],
            "limits": {
                "body_bytes": BODY_BYTES,
                "challenge_seconds": setup.challenge_seconds,
                "token_seconds": setup.token_seconds,
                "generate_bytes": 1_024,
                "requests_waiting": self.limits.waiting,
            },
            "jwks_uri": match authority {
                "" => format!("{}/.well-known/keygate/jwks.json", setup.issuer),
                dialled => format!("https://{dialled}{}/.well-known/keygate/jwks.json", setup.prefix),
            },
        })
    }

    /// The public keys of the provider, each with its purpose.
    pub fn jwks(&self, seat: &Seat) -> Value {
        seat.provider.signers().jwks()
    }

    /// The public part of a key, its versions and the digest of its rule, for roles `key-user` and `auditor`.
    ///
    /// # Errors
    /// `auth-required`, `forbidden`, `key-not-found`.
    pub fn describe_key(&self, seat: &Seat, key: &KeySelector, caller: &Caller) -> Result<Value, BrokerError> {
        self.public_view(seat, key, caller).map_err(|fault| self.refuse(seat, &fault))
    }

    fn public_view(&self, seat: &Seat, key: &KeySelector, caller: &Caller) -> Result<Value, Fault> {
        match caller {
            Caller::Anonymous => return Err(Fault::new(Code::AuthRequired, "")),
            known if !known.may_know(&key.name) => return Err(Fault::new(Code::Forbidden, "")),
            Caller::Known { .. } => {}
        }
        self.fit()?;
        let look = self.keystore.look(seat.provider.id(), &key.name)?;
        let view = look.key.ok_or(KeystoreError::KeyNotFound)?;
        if key.version.is_some_and(|version| view.version(Some(&version)).is_none()) {
            return Err(KeystoreError::KeyNotFound.into());
        }
        Ok(public_view(&view, key))
    }
}

fn public_view(view: &KeyView, key: &KeySelector) -> Value {
    let wanted = |id| key.version.is_none_or(|version| version == id);
    let versions = view.versions.iter().filter(|version| wanted(version.id)).map(|version| {
        let mut public: Map<String, Value> = version.public.clone();
        public.insert("kid".into(), json!(format!("{}/versions/{}", view.name, version.id)));
        json!({"version": version.id.to_string(), "created": version.created, "enabled": version.enabled, "key": public})
    });
    let operations: Vec<&str> = view.operations.iter().map(|operation| operation.as_str()).collect();
    json!({
        "name": view.name.as_str(),
        "type": view.key_type.as_str(),
        "enabled": view.enabled,
        "deleted": view.deleted_at.is_some(),
        "exportable": view.exportable,
        "operations": operations,
        "rule_digest": view.rule.as_ref().map(|rule| URL_SAFE_NO_PAD.encode(rule.digest)),
        "versions": versions.collect::<Vec<_>>(),
    })
}
