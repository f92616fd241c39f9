//! What stands behind a quote when it is used: the record of its key, read anew each time, and the clock of its TPM.
//!
//! Threat model P6 and P7; `bad-inputs.md` TPM-09, TPM-19, TPM-20. A record that was taken back, replaced or is over, or whose anchor is gone, counts no more with
//! the next decision, for tokens of ours that rest on it too. Nothing is moved before the commit of a use that was permitted.

use std::sync::Arc;

use keygate_keystore::{ALLOWED_EK, ClockReading, Enrolment, Machine, ProviderId};
use keygate_verifier::tpm::PublicArea;
use keygate_verifier::{AnchorScope, Endorsements, EnrolledKey, EvidenceKind, Genuine, UnixTime};
use serde_json::{Map, Value};

use crate::broker::Broker;
use crate::broker::error::{Code, Fault};
use crate::result::AttestationResult;
use crate::result::Source;

/// The claim that says who vouches for an attestation key, where it is a record.
const BY_ENROLMENT: &str = "enrolment";

/// The machine behind evidence that was found genuine.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// Name of its attestation key where a record vouches for it; else the SHA-256 of its SubjectPublicKeyInfo, since a sender may write
    /// other public areas, and so other names, around the same key.
    ak_name: Vec<u8>,
    /// The state of the record that vouched for the key; none where something else did.
    enrolment: Option<String>,
    /// What its TPM said.
    clock: ClockReading,
}

/// The record that a key had while its evidence was judged.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    ak_name: Vec<u8>,
    etag: String,
}

fn gone(inner: &str) -> Fault {
    Fault::new(Code::ChainUntrusted, "enrolment").because(inner)
}

impl Broker {
    /// The record of the key in this evidence as the verifier wants it, where there is one that counts at `now`.
    pub(crate) fn enrolled(
        &self,
        provider: &ProviderId,
        kind: EvidenceKind,
        data: &[u8],
        now: UnixTime,
    ) -> Result<Option<(Endorsements, Recorded)>, Fault> {
        if kind != EvidenceKind::Tpm {
            return Ok(None);
        }
        let Some(ak_name) = keygate_verifier::tpm::attestation_key_name(data)? else { return Ok(None) };
        let Some(record) = self.keystore.attestation_key(provider, &ak_name)?.enrolment else { return Ok(None) };
        if !self.counts(&record, now.secs()) {
            return Ok(None);
        }
        let damaged = |_| Fault::new(Code::StoreCorrupt, "").because("an enrolled key does not parse");
        let mut found = Endorsements::default();
        found.add_enrolled(Arc::new(EnrolledKey {
            public: PublicArea::parse(&record.ak_public).map_err(damaged)?,
            anchor: record.anchor,
            endorsement_key: record.ek,
            // It ends with the second in which it expires.
            not_after: UnixTime::from_secs(record.expires.saturating_sub(1)),
        }));
        Ok(Some((found, Recorded { ak_name, etag: record.etag })))
    }

    /// Whether a record is not over, and what vouched for its endorsement key is trusted still: an anchor that is taken out of the
    /// settings takes its records along. Those of keys that an operator allowed end with his word, in the store.
    fn counts(&self, record: &Enrolment, now: i64) -> bool {
        let mut roots = self.verifier.anchors().of(AnchorScope::TpmEndorsement);
        record.expires > now && (record.anchor == ALLOWED_EK || roots.any(|root| root.name() == record.anchor))
    }

    /// The machine of genuine evidence, if its clock has not gone back since it was seen last.
    pub(crate) fn standing(
        &self,
        provider: &ProviderId,
        genuine: &Genuine,
        recorded: Option<&Recorded>,
    ) -> Result<Option<Standing>, Fault> {
        let Some(state) = genuine.tpm() else { return Ok(None) };
        let unnamed = |_| Fault::new(Code::Malformed, "the name of the attestation key is none");
        let claims = genuine.claims();
        let by_record = vouched_by(&claims) == Some(BY_ENROLMENT);
        let name = state.name.as_ref().filter(|_| by_record).unwrap_or(&state.key);
        let ak_name = hex::decode(name).map_err(unnamed)?;
        let clock =
            ClockReading { reset_count: state.reset_count, restart_count: state.restart_count, clock: state.clock };
        if let Some(seen) = self.keystore.attestation_key(provider, &ak_name)?.clock {
            clock.follows(&seen).map_err(|back| Fault::new(Code::FreshnessFailed, back.as_str()))?;
        }
        let enrolment = match by_record {
            true => {
                let recorded = recorded.filter(|recorded| recorded.ak_name == ak_name);
                Some(recorded.ok_or_else(|| gone("no record was handed in"))?.etag.clone())
            }
            false => None,
        };
        Ok(Some(Standing { ak_name, enrolment, clock }))
    }

    /// Whether the record that evidence or a token of ours rests on is there at `now`, and what the commit is to look at.
    pub(crate) fn still_standing(
        &self,
        provider: &ProviderId,
        result: &AttestationResult,
        standing: Option<&Standing>,
        now: i64,
    ) -> Result<Option<Machine>, Fault> {
        let in_force = |ak_name: &[u8]| -> Result<Enrolment, Fault> {
            let record = self.keystore.attestation_key(provider, ak_name)?.enrolment;
            let record = record.filter(|record| self.counts(record, now));
            record.ok_or_else(|| gone("the record of the attestation key is not there any more"))
        };
        if let Some(Standing { ak_name, enrolment, clock }) = standing {
            if let Some(etag) = enrolment
                && in_force(ak_name)?.etag != *etag
            {
                return Err(gone("the record of the attestation key is another one by now"));
            }
            let (ak_name, enrolment, clock) = (ak_name.clone(), enrolment.clone(), *clock);
            return Ok(Some(Machine { ak_name, enrolment, clock }));
        }
        if matches!(result.source, Source::Own(EvidenceKind::Tpm)) && vouched_by(&result.attested) == Some(BY_ENROLMENT)
        {
            let name = pointer(&result.attested, &["tpm", "ak", "name"]).and_then(|name| hex::decode(name).ok());
            let record = in_force(&name.ok_or_else(|| gone("the token names no attestation key"))?)?;
            if pointer(&result.attested, &["keygate", "anchor"]) != Some(record.anchor.as_str()) {
                return Err(gone("the attestation key is enrolled under another anchor by now"));
            }
        }
        Ok(None)
    }
}

fn vouched_by(claims: &Map<String, Value>) -> Option<&str> {
    pointer(claims, &["tpm", "ak", "vouched_by"])
}

fn pointer<'c>(claims: &'c Map<String, Value>, path: &[&str]) -> Option<&'c str> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(*first)?, |value, name| value.get(name))?.as_str()
}
