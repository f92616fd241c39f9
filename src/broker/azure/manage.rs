//! Policies and policy signers, as clients of Azure Attestation manage them. Every call is recorded with its caller.
//!
//! `maa-rest-api.md` sections 2, 4 and 5; `maa-tokens-and-claims.md` sections 5 to 8; `bad-inputs.md` POL-12, POL-17.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_keystore::{IfMatch, KeystoreError, PolicyVersion};
use keygate_policies::attestation::{AttestationPolicy, default_text};
use keygate_policies::{Limits, json as strict};
use keygate_verifier::tokens::{EmbeddedFault, EmbeddedJws, EmbeddedSigner, read_embedded};
use keygate_verifier::{AZURE_DEFAULT, Baseline};
use openssl::sha::sha256;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::attest::not_parsed;
use super::fault::{AzureFault, AzureFaultKind, Refused};
use super::payload::{management, upload_hash};
use super::signers::{self, Signers};
use crate::broker::admin::{Action, Ask, Desk, Plan, Precondition, Reason, Refusal};
use crate::broker::error::{Code, Fault};
use crate::broker::policy_book::{policy_text, signer_claim};
use crate::broker::{AttestationType, Broker, Seat, TrustModel};

/// An unsecured policy with nothing in it: what a type without policy and without default shows.
const NOTHING: &str = "eyJhbGciOiJub25lIn0..";
/// Claim names under which a certificate is sent, the preferred one first.
const CERTIFICATE_CLAIMS: [&str; 4] =
    ["policyCertificate", "maa-policyCertificate", "aas-policyCertificate", "x-ms-policyCertificate"];
/// Times a change of the signers is tried, where another came between.
const TRIES: usize = 3;
/// Largest payload of an upload that is read as JSON, in bytes.
const LARGEST_PAYLOAD: usize = 256 * 1_024;

/// A token about a policy or a certificate.
#[derive(Debug, Clone)]
pub struct AzureToken {
    /// The token.
    pub token: String,
    /// Under which the audit has its record, where one is made: what anybody may read makes none.
    pub correlation: String,
}

type Told = Result<AzureToken, AzureFault>;

/// A policy that was uploaded and may be set.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Its text; none: the policy is taken away.
    pub(crate) text: Option<String>,
    /// Who signed it.
    pub(crate) signer: Option<Value>,
    /// What its author is warned of.
    pub(crate) warnings: Vec<keygate_policies::Diagnostic>,
}

impl Broker {
    /// The policy of a type: the uploaded text as it came, or the default.
    ///
    /// # Errors
    /// [`AzureFault`].
    pub fn azure_policy(&self, seat: &Seat, bearer: Option<&str>, attestation_type: AttestationType) -> Told {
        let read = |desk: &Desk<'_>| {
            let kind = known(attestation_type)?.as_str();
            let stored = desk.broker.keystore.policy(&desk.provider, kind).map_err(Fault::from)?;
            let shown = shown(kind, stored.as_ref());
            desk.token([("x-ms-policy", json!(shown))])
        };
        // Clients send a bearer with every call; what anybody may read asks for none.
        if seat.provider.setup().trust_model == TrustModel::Shared {
            return self.anonymously(seat, attestation_type);
        }
        self.azure_manage(seat, bearer, Action::PolicyShow, attestation_type.as_str(), read)
    }

    /// Sets the policy of a type. `jws` is kept as it is.
    ///
    /// # Errors
    /// [`AzureFault`]; nothing changed then.
    pub fn azure_set_policy(&self, seat: &Seat, bearer: Option<&str>, kind: AttestationType, jws: &str) -> Told {
        self.azure_manage(seat, bearer, Action::PolicySet, kind.as_str(), |desk| {
            let _alone = desk.broker.pace.signed();
            let upload = desk.may_change(kind, jws)?;
            let Some(text) = &upload.text else {
                return Err(operation("the policy has no claim AttestationPolicy; to take a policy away, reset it"));
            };
            let digest = sha256(text.as_bytes());
            desk.put_policy(kind.as_str(), jws, digest, "set at the attestation door")?;
            let hash = json!(upload_hash(jws));
            let result = ("x-ms-policy-result", json!("Updated"));
            match upload.signer {
                None => desk.token([result, ("x-ms-policy-token-hash", hash)]),
                Some(signer) => desk.token([result, ("x-ms-policy-signer", signer), ("x-ms-policy-token-hash", hash)]),
            }
        })
    }

    /// Takes the policy of a type away: the default counts again.
    ///
    /// # Errors
    /// [`AzureFault`]; nothing changed then.
    pub fn azure_reset_policy(&self, seat: &Seat, bearer: Option<&str>, kind: AttestationType, jws: &str) -> Told {
        self.azure_manage(seat, bearer, Action::PolicyReset, kind.as_str(), |desk| {
            let _alone = desk.broker.pace.signed();
            if desk.may_change(kind, jws)?.text.is_some() {
                return Err(operation("a reset has an empty payload"));
            }
            let digest = default_text(kind.as_str()).map_or([0; 32], |text| sha256(text.as_bytes()));
            desk.put_policy(kind.as_str(), "", digest, "reset at the attestation door")?;
            desk.token([("x-ms-policy-result", json!("Removed"))])
        })
    }

    /// The certificates that may sign policies; none where the provider is not isolated.
    ///
    /// # Errors
    /// [`AzureFault`].
    pub fn azure_certificates(&self, seat: &Seat, bearer: Option<&str>) -> Told {
        if seat.provider.setup().trust_model == TrustModel::Shared {
            return self.listed(seat, Vec::new());
        }
        self.azure_manage(seat, bearer, Action::SignerList, "", |desk| {
            let keys: Vec<Value> = match desk.trust_model() {
                TrustModel::Isolated => {
                    let signers = Signers::of(&desk.broker.keystore, &desk.provider)?;
                    signers.certificates.iter().filter_map(|der| signers::jwk(der)).collect()
                }
                TrustModel::Aad | TrustModel::Shared => Vec::new(),
            };
            desk.token([("x-ms-policy-certificates", json!({"keys": keys}))])
        })
    }

    /// Adds a certificate, by a text that a registered one signed.
    ///
    /// # Errors
    /// [`AzureFault`]; nothing changed then.
    pub fn azure_add_certificate(&self, seat: &Seat, bearer: Option<&str>, jws: &str) -> Told {
        self.azure_manage(seat, bearer, Action::SignerAdd, "", |desk| {
            desk.change_signers(jws, Signers::with, "added at the attestation door", "IsPresent")
        })
    }

    /// Removes a certificate, by a text that a registered one signed. The last one stays.
    ///
    /// # Errors
    /// [`AzureFault`]; nothing changed then.
    pub fn azure_remove_certificate(&self, seat: &Seat, bearer: Option<&str>, jws: &str) -> Told {
        self.azure_manage(seat, bearer, Action::SignerRemove, "", |desk| {
            desk.change_signers(jws, Signers::without, "removed at the attestation door", "IsAbsent")
        })
    }

    /// One call of a manager: by a role, recorded whatever comes of it.
    fn azure_manage(
        &self,
        seat: &Seat,
        bearer: Option<&str>,
        action: Action,
        object: &str,
        work: impl FnOnce(&Desk<'_>) -> Result<AzureToken, Refused>,
    ) -> Told {
        let ask = Ask {
            seat: seat.clone(),
            bearer: bearer.map(|token| Zeroizing::new(token.to_owned())),
            action,
            object: object.to_owned(),
            precondition: Precondition::Any,
            dry_run: false,
            idempotency: None,
            flaw: None,
        };
        let mut own_words = None;
        let done = self.administer(&ask, |desk| {
            work(desk).map_err(|refused| {
                let fault = refused.fault.clone();
                own_words = Some(refused);
                Refusal::from(fault)
            })
        });
        done.map_err(|told| match own_words {
            Some(refused) => refused.outward(told),
            None => told.into(),
        })
    }

    /// What a shared provider shows to anybody.
    fn anonymously(&self, seat: &Seat, attestation_type: AttestationType) -> Told {
        let token = known(attestation_type).and_then(|kind| {
            let stored = self.keystore.policy(seat.provider.id(), kind.as_str()).map_err(Fault::from)?;
            signed(self, seat, [("x-ms-policy", json!(shown(kind.as_str(), stored.as_ref())))])
        });
        self.to_anybody(seat, token)
    }

    fn listed(&self, seat: &Seat, keys: Vec<Value>) -> Told {
        self.to_anybody(seat, signed(self, seat, [("x-ms-policy-certificates", json!({"keys": keys}))]))
    }

    fn to_anybody(&self, seat: &Seat, token: Result<String, Refused>) -> Told {
        let correlation = crate::broker::correlation();
        match token {
            Ok(token) => Ok(AzureToken { token, correlation }),
            Err(refused) => Err(self.stranger(seat, refused, &correlation)),
        }
    }
}

impl Desk<'_> {
    fn trust_model(&self) -> TrustModel {
        self.ask.seat.provider.setup().trust_model
    }

    fn token<const N: usize>(&self, members: [(&str, Value); N]) -> Result<AzureToken, Refused> {
        let token = signed(self.broker, &self.ask.seat, members)?;
        Ok(AzureToken { token, correlation: self.correlation().to_owned() })
    }

    /// Reads an uploaded policy and sees that it may be set here.
    fn may_change(&self, kind: AttestationType, jws: &str) -> Result<Upload, Refused> {
        known(kind)?;
        let signers = match self.trust_model() {
            TrustModel::Shared => return Err(operation("the policies of a shared provider cannot be changed")),
            TrustModel::Aad => None,
            TrustModel::Isolated => Some(Signers::of(&self.broker.keystore, &self.provider)?),
        };
        read_upload(jws, signers.as_ref())
    }

    fn put_policy(&self, kind: &str, jws: &str, digest: [u8; 32], why: &str) -> Result<(), Refused> {
        let before = self.broker.keystore.policy(&self.provider, kind).map_err(Fault::from)?;
        let before = before.map_or(Value::Null, |version| json!(version.document));
        let change = keygate_keystore::Change::SetPolicy { kind: kind.to_owned(), document: jws.to_owned(), digest };
        self.put(change, IfMatch::Any, why, before, json!(jws))
    }

    fn put(
        &self,
        change: keygate_keystore::Change,
        if_match: IfMatch,
        why: &str,
        before: Value,
        after: Value,
    ) -> Result<(), Refused> {
        let reason = Reason::parse(why)?;
        let plan = Plan { change, if_match, reason, before, after, forced: None };
        self.change(plan).map(drop).map_err(|refusal| refusal.into_fault().into())
    }

    /// Adds or removes a certificate. What is so already is well.
    fn change_signers(
        &self,
        jws: &str,
        changed: impl Fn(&Signers, &[u8]) -> Result<Option<Vec<Vec<u8>>>, Refused>,
        why: &str,
        result: &str,
    ) -> Result<AzureToken, Refused> {
        if self.trust_model() != TrustModel::Isolated {
            return Err(operation("policy signers belong to isolated providers alone"));
        }
        let embedded = read_embedded(jws).map_err(unreadable)?;
        let der = certificate_in(&embedded)?;
        let thumbprint = signers::thumbprint(&der);
        let thumbprint = thumbprint.ok_or_else(|| parameter("the policy certificate is no certificate"))?;
        let _alone = self.broker.pace.signed();
        for _ in 0..TRIES {
            let signers = Signers::of(&self.broker.keystore, &self.provider)?;
            registered(embedded.signer.as_ref(), &signers)?;
            if let Some(list) = changed(&signers, &der)? {
                let before = signers::document(&signers.certificates);
                let if_match = IfMatch::Version(signers.number.to_string());
                match self.put(signers::change(&list), if_match, why, before, signers::document(&list)) {
                    Err(refused) if refused.fault.code == Code::PreconditionFailed => continue,
                    done => done?,
                }
            }
            return self.token([
                ("x-ms-certificate-thumbprint", json!(thumbprint)),
                ("x-ms-policycertificates-result", json!(result)),
            ]);
        }
        Err(Fault::from(KeystoreError::Overloaded).into())
    }
}

/// Reads an uploaded policy: its signature, its signer where one is demanded, its text, and whether that compiles. A payload that
/// is empty takes the policy away.
pub(crate) fn read_upload(jws: &str, signers: Option<&Signers>) -> Result<Upload, Refused> {
    let embedded = read_embedded(jws).map_err(unreadable)?;
    if let Some(signers) = signers {
        registered(embedded.signer.as_ref(), signers)?;
    }
    let signer = embedded.signer.as_ref().map(signer_claim);
    if embedded.payload.is_empty() {
        return Ok(Upload { text: None, signer, warnings: Vec::new() });
    }
    let text = policy_text(&embedded.payload);
    let text = text.ok_or_else(|| operation("the required claim AttestationPolicy was not found in the policy"))?;
    let policy = AttestationPolicy::parse(&text).map_err(|found| not_parsed(&found))?;
    if let Some(wanted) = policy.configuration().sgx_tcb_identifier()
        && wanted != AZURE_DEFAULT
        && Baseline::find(wanted).is_none()
    {
        return Err(parameter("the policy names an unknown TCB baseline"));
    }
    Ok(Upload { text: Some(text), signer, warnings: policy.warnings().to_vec() })
}

fn registered(signer: Option<&EmbeddedSigner>, signers: &Signers) -> Result<(), Refused> {
    match signer {
        None => Err(operation("this provider is isolated: sign it with a registered policy signer certificate")),
        Some(signer) if signers.hold(signer) => Ok(()),
        Some(_) => Err(operation("it is not signed by a registered policy signer certificate")),
    }
}

/// The certificate in the payload of an upload, DER.
fn certificate_in(embedded: &EmbeddedJws) -> Result<Vec<u8>, Refused> {
    let missing = || operation("the required claim maa-policyCertificate was not found");
    let limits = Limits::request(LARGEST_PAYLOAD);
    let payload = strict::parse(&embedded.payload, &limits).map_err(|_| operation("the payload is no JSON object"))?;
    let jwk = CERTIFICATE_CLAIMS.iter().find_map(|name| payload.get(name)).ok_or_else(missing)?;
    let chain = jwk.get("x5c").and_then(|x5c| x5c.as_list()).ok_or_else(missing)?;
    let [text] = chain else { return Err(parameter("the policy certificate is one certificate")) };
    let text = text.as_text().ok_or_else(missing)?;
    STANDARD.decode(text).map_err(|_| parameter("the policy certificate is not base64"))
}

/// The uploaded text as it came; where there is none, one made around the default.
fn shown(kind: &str, stored: Option<&PolicyVersion>) -> String {
    let document = stored.map(|version| version.document.as_str()).filter(|document| !document.is_empty());
    match (document, default_text(kind)) {
        (Some(jws), _) => jws.to_owned(),
        (None, Some(text)) => unsecured(text),
        (None, None) => NOTHING.to_owned(),
    }
}

/// A policy text as an unsecured upload.
pub(crate) fn unsecured(text: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload =
        Value::Object(Map::from_iter([("AttestationPolicy".to_owned(), json!(URL_SAFE_NO_PAD.encode(text)))]));
    format!("eyJhbGciOiJub25lIn0.{}.", URL_SAFE_NO_PAD.encode(payload.to_string()))
}

fn signed<const N: usize>(broker: &Broker, seat: &Seat, members: [(&str, Value); N]) -> Result<String, Refused> {
    let now = broker.fit()?.secs();
    let issuer = seat.provider.issuer();
    let line = broker.azure_keys(&seat.provider, now)?;
    let key = line.signer(now).ok_or_else(|| Fault::new(Code::StoreCorrupt, "").because("no token key"))?;
    Ok(key.token(issuer, management(issuer, now, members)).map_err(Fault::from)?)
}

fn known(kind: AttestationType) -> Result<AttestationType, Refused> {
    match kind.has_policy() {
        true => Ok(kind),
        false => Err(parameter("this attestation type has no policy here")),
    }
}

fn operation(message: &'static str) -> Refused {
    Refused::new(AzureFaultKind::InvalidOperation, Code::PolicyInvalid, message, message)
}

fn parameter(message: &'static str) -> Refused {
    Refused::new(AzureFaultKind::InvalidParameter, Code::PolicyInvalid, message, message)
}

fn unreadable(fault: EmbeddedFault) -> Refused {
    let kind = match fault {
        EmbeddedFault::Certificate { .. } | EmbeddedFault::NoIssuerCertificate { .. } => {
            AzureFaultKind::InvalidParameter
        }
        EmbeddedFault::TooLarge => AzureFaultKind::TooLarge,
        _ => AzureFaultKind::InvalidOperation,
    };
    Refused::new(kind, Code::PolicyInvalid, "the signed text cannot be accepted", fault.to_string())
}
