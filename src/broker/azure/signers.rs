//! Certificates that may sign the policies of an isolated provider: an append-only list, its last member never removed.
//!
//! `maa-rest-api.md` section 5, `maa-tokens-and-claims.md` sections 6 to 8. Kept as versions of a policy document of a kind of its own,
//! so that every list that ever counted can be shown, with who changed it, when and why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_keystore::{Change, ChangeOrder, IfMatch, Keystore, PolicyVersion, ProviderId};
use keygate_policies::canonical;
use keygate_verifier::tokens::EmbeddedSigner;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::fault::{AzureFaultKind, Refused};
use crate::audit::{Event, Field, kind};
use crate::broker::error::{Code, Fault};
use crate::broker::providers::{ProviderSetup, TrustModel};

/// The kind of document under which the list is kept.
pub(crate) const KIND: &str = "PolicySigners";
/// Shortest modulus of a signer, in bits.
const SHORTEST: u32 = 2048;
/// Most certificates of one provider.
const MOST: usize = 64;

/// The list as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signers {
    /// Names the state: the number of the version.
    pub(crate) number: u64,
    /// DER, in the order they were added.
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl Signers {
    /// The list in force.
    pub(crate) fn of(keystore: &Keystore, provider: &ProviderId) -> Result<Self, Fault> {
        let Some(version) = keystore.policy(provider, KIND)? else {
            return Ok(Self { number: 0, certificates: Vec::new() });
        };
        let damaged = || Fault::new(Code::StoreCorrupt, "").because("a stored list of policy signers does not parse");
        let certificates = read(&version).ok_or_else(damaged)?;
        Ok(Self { number: version.number, certificates })
    }

    /// Whether a signature by this signer counts: the very certificate, or its key.
    pub(crate) fn hold(&self, signer: &EmbeddedSigner) -> bool {
        let same_key = |der: &Vec<u8>| spki(der).is_some_and(|spki| spki == signer.spki);
        self.certificates.iter().any(|der| signer.certificates.first() == Some(der) || same_key(der))
    }

    /// The list with one certificate more; none where it is there already.
    pub(super) fn with(&self, der: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Refused> {
        if self.certificates.iter().any(|known| known == der) {
            return Ok(None);
        }
        if !may_sign(der) {
            let why = "the policy certificate has no key that signs policies: RSA of 2048 bits or more, or P-256";
            return Err(Refused::new(AzureFaultKind::InvalidParameter, Code::PolicyInvalid, "policy-signers", why));
        }
        if self.certificates.len() >= MOST {
            return Err(Fault::new(Code::TooLarge, "too many policy signers").into());
        }
        let mut longer = self.certificates.clone();
        longer.push(der.to_vec());
        Ok(Some(longer))
    }

    /// The list without a certificate; none where it is not there.
    pub(super) fn without(&self, der: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Refused> {
        let rest: Vec<_> = self.certificates.iter().filter(|known| *known != der).cloned().collect();
        match (rest.len() == self.certificates.len(), rest.is_empty()) {
            (true, _) => Ok(None),
            (false, true) => Err(Refused::new(
                AzureFaultKind::InvalidOperation,
                Code::Conflict,
                "policy-signers",
                "the last policy signer certificate cannot be removed",
            )),
            (false, false) => Ok(Some(rest)),
        }
    }
}

/// The list as a change of the store.
pub(super) fn change(certificates: &[Vec<u8>]) -> Change {
    let listed = document(certificates);
    Change::SetPolicy { kind: KIND.to_owned(), digest: canonical::digest(&listed), document: canonical::text(&listed) }
}

/// The list as a document.
pub(super) fn document(certificates: &[Vec<u8>]) -> Value {
    json!(certificates.iter().map(|der| STANDARD.encode(der)).collect::<Vec<_>>())
}

fn read(version: &PolicyVersion) -> Option<Vec<Vec<u8>>> {
    let listed: Vec<String> = serde_json::from_str(&version.document).ok()?;
    listed.iter().map(|text| STANDARD.decode(text).ok()).collect()
}

/// An isolated provider begins with the signers that its settings name. What is in the store counts from then on.
pub(crate) fn seed(keystore: &Keystore, setup: &ProviderSetup, now: i64) -> Result<(), Fault> {
    if setup.trust_model != TrustModel::Isolated || keystore.policy(&setup.id, KIND)?.is_some() {
        return Ok(());
    }
    if setup.policy_signers.is_empty() {
        return Err(Fault::new(Code::ConfigInvalid, "an isolated provider needs a policy signer to begin with"));
    }
    if !setup.policy_signers.iter().all(|der| may_sign(der)) {
        let what = "a policy signer has no key that signs policies: RSA of 2048 bits or more, or P-256";
        return Err(Fault::new(Code::ConfigInvalid, what));
    }
    let record = Event::new(kind::ADMIN, &setup.id, now)
        .word(Field::Op, "signer.seed")
        .word(Field::Decision, "permit")
        .number(Field::Count, setup.policy_signers.len() as u64)
        .record();
    keystore.change(ChangeOrder {
        provider: setup.id.clone(),
        change: change(&setup.policy_signers),
        author: "settings".to_owned(),
        reason: "the first policy signers of an isolated provider".to_owned(),
        if_match: IfMatch::Absent,
        record,
        repeat: None,
        dry_run: false,
        now,
    })?;
    Ok(())
}

/// The public key of a certificate, DER.
fn spki(der: &[u8]) -> Option<Vec<u8>> {
    X509::from_der(der).ok()?.public_key().ok()?.public_key_to_der().ok()
}

/// Whether a certificate, whole and nothing behind it, has a key whose signatures are read: where none of those listed has one, nobody
/// changes a policy any more, nor the list.
fn may_sign(der: &[u8]) -> bool {
    let Ok(certificate) = X509::from_der(der) else { return false };
    let whole = certificate.to_der().is_ok_and(|again| again == der);
    let Ok(key) = certificate.public_key() else { return false };
    let fits = match key.id() {
        openssl::pkey::Id::RSA => key.bits() >= SHORTEST,
        openssl::pkey::Id::EC => key.ec_key().is_ok_and(|key| key.group().curve_name() == Some(Nid::X9_62_PRIME256V1)),
        _ => false,
    };
    whole && fits
}

/// Upper-case hex of SHA-1 over the DER, as Azure names certificates.
pub(super) fn thumbprint(der: &[u8]) -> Option<String> {
    let digest = X509::from_der(der).ok()?.digest(MessageDigest::sha1()).ok()?;
    Some(hex::encode_upper(&*digest))
}

/// A certificate as answers list it.
pub(super) fn jwk(der: &[u8]) -> Option<Value> {
    let key = X509::from_der(der).ok()?.public_key().ok()?;
    let (kty, alg) = match key.id() {
        openssl::pkey::Id::RSA => ("RSA", "RS256"),
        openssl::pkey::Id::EC => {
            let curve = key.ec_key().ok()?.group().curve_name();
            ("EC", if curve == Some(Nid::SECP384R1) { "ES384" } else { "ES256" })
        }
        _ => return None,
    };
    Some(json!({"alg": alg, "kty": kty, "use": "sig", "x5c": [STANDARD.encode(der)]}))
}
