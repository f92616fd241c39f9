//! Several pieces in one request: one that leads, and tokens beside it, all of them bound to this request.
//!
//! `native-api.md` section 4 (*composite*); `relying-party-tokens.md` section 6. The lead is the raw evidence of a processor's TEE, or
//! where there is none the one token that has the workload's key; it alone vouches for the recipient. Claims of part i stand under
//! `parts.i`; those of the lead stand on top as well, as if it had come alone. A shared nonce shows one requester, not one machine.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_policies::release::FreshnessShown;
use keygate_policies::{Limits, json};
use keygate_verifier::tokens::{Foreign, Lead, TokenBinding, check_companion};
use keygate_verifier::{BoundKey, EvidenceKind, Genuine, NativeBinding, RecipientKey, UnixTime};
use openssl::sha::sha256;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Broker;
use super::appraise::Shown;
use super::challenge;
use super::error::{Code, Fault};
use super::foreign::result_of_foreign;
use super::providers::ProviderRef;
use super::request::Seat;
use crate::result::AttestationResult;
use crate::result::attestation_result::PARTS;

/// Pieces of one composite.
const FEWEST: usize = 2;
/// Pieces of one composite.
const MOST: usize = 17;

/// A composite as it was sent.
#[derive(Debug)]
pub struct Composite {
    /// The raw evidence among its parts.
    pub raw: Option<RawPart>,
    /// The tokens.
    pub tokens: Tokens,
}

/// Raw evidence as a part.
#[derive(Debug)]
pub struct RawPart {
    /// Its place.
    pub place: usize,
    /// The kind it claims to be.
    pub kind: EvidenceKind,
    /// As the hardware gave it.
    pub data: Vec<u8>,
}

/// Tokens as parts, each with its place.
pub struct Tokens {
    /// Tokens, or bundles of them, as sent.
    pub parts: Vec<(usize, Zeroizing<String>)>,
    /// SHA-256 of the composite as sent.
    pub digest: [u8; 32],
    /// The place of the raw evidence beside them.
    pub lead: Option<usize>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

/// Tokens alone: one of them leads.
#[derive(Debug)]
pub struct TokensProof {
    /// At least two.
    pub tokens: Tokens,
    /// The challenge that all of them answer.
    pub challenge: [u8; 32],
    /// The key that answers are to be sealed to.
    pub recipient: RecipientKey,
}

impl Composite {
    /// The word on the wire.
    pub const KIND: &str = "composite";

    /// Reads `{"parts": [{"kind", "data"} | {"token"}, …]}`, strict JSON, 2 to 17 parts, none of them a composite.
    ///
    /// # Errors
    /// `malformed`, `unsupported` for a kind that is not known, `too-large`.
    pub fn parse(data: &[u8]) -> Result<Self, Fault> {
        let malformed = |what: &'static str| Fault::new(Code::Malformed, what);
        let node = json::parse(data, &Limits::request(data.len())).map_err(|diagnostic| {
            Fault::new(Code::of(diagnostic.code), "a composite is no strict json").because(diagnostic.to_string())
        })?;
        let parts = node.get("parts").and_then(json::Node::as_list).filter(|_| members_of(&node) == 1);
        let parts = parts.ok_or(malformed("a composite is an object of `parts` alone, a list"))?;
        if !(FEWEST..=MOST).contains(&parts.len()) {
            return Err(malformed("a composite has 2 to 17 parts"));
        }
        let mut composite = Self { raw: None, tokens: Tokens { parts: Vec::new(), digest: sha256(data), lead: None } };
        for (place, part) in parts.iter().enumerate() {
            let text = |name: &str| part.get(name).and_then(json::Node::as_text);
            match (members_of(part), text("token"), text("kind"), text("data")) {
                (1, Some(token), None, None) => {
                    composite.tokens.parts.push((place, Zeroizing::new(token.to_owned())));
                }
                (2, None, Some(Self::KIND), Some(_)) => return Err(malformed("a composite in a composite")),
                (2, None, Some(kind), Some(data)) => {
                    let raw = raw_part(place, kind, data)?;
                    if composite.raw.replace(raw).is_some() {
                        return Err(malformed("a composite has one part of raw evidence at most: it leads"));
                    }
                }
                _ => return Err(malformed("a part is `kind` and `data`, or `token` alone")),
            }
        }
        composite.tokens.lead = composite.raw.as_ref().map(|raw| raw.place);
        Ok(composite)
    }
}

fn members_of(node: &json::Node) -> usize {
    node.as_object().map_or(0, <[_]>::len)
}

fn raw_part(place: usize, kind: &str, data: &str) -> Result<RawPart, Fault> {
    let kind = EvidenceKind::parse(kind).ok_or_else(|| Fault::new(Code::Unsupported, "evidence.parts.kind"))?;
    let wrong = |_| Fault::new(Code::Malformed, "a part's `data` is not canonical base64url");
    Ok(RawPart { place, kind, data: URL_SAFE_NO_PAD.decode(data).map_err(wrong)? })
}

/// What all parts of a composite are bound to.
struct Bound<'a> {
    provider: &'a ProviderRef,
    half: [u8; 32],
    recipient: &'a RecipientKey,
    now: UnixTime,
}

impl<'a> Bound<'a> {
    fn new(provider: &'a ProviderRef, binding: &'a NativeBinding, now: UnixTime) -> Self {
        let mut half = [0; 32];
        half.copy_from_slice(&binding.report_data()[..32]);
        Self { provider, half, recipient: binding.recipient(), now }
    }
}

impl Broker {
    /// Puts the tokens of a composite beside the raw evidence that leads it.
    pub(super) fn beside_evidence(
        &self,
        provider: &ProviderRef,
        lead: (&Genuine, &NativeBinding),
        mut result: AttestationResult,
        tokens: &Tokens,
        now: UnixTime,
    ) -> Result<AttestationResult, Fault> {
        let bound = Bound::new(provider, lead.1, now);
        let place = tokens.lead.ok_or_else(|| unbound("there is no part that leads"))?;
        let found = self.judge_parts(&bound, tokens)?;
        let own = result.attested.clone();
        join(&mut result, (place, own), &Lead::Evidence(lead.0, lead.1), &found, tokens)?;
        Ok(result)
    }

    /// Judges a composite of tokens alone.
    pub(super) fn appraise_tokens(
        &self,
        seat: &Seat,
        proof: &TokensProof,
        request: &[u8; 32],
        now: UnixTime,
    ) -> Result<Shown, Fault> {
        let provider = &seat.provider;
        let live = challenge::check(&self.keystore, provider.id(), &proof.challenge, now.secs())?;
        let binding = NativeBinding::new(proof.challenge, provider.host(), request, proof.recipient.clone(), b"");
        let mut found = self.judge_parts(&Bound::new(provider, &binding, now), &proof.tokens)?;
        let (place, lead) = found.remove(leading(&found)?);
        let mut result = result_of_foreign(&lead);
        let own = result.attested.clone();
        join(&mut result, (place, own), &Lead::Token(&lead), &found, &proof.tokens)?;
        Ok(Shown {
            result,
            freshness: FreshnessShown::Once,
            challenge: Some((proof.challenge, live)),
            until: live.expires_at,
            standing: None,
            under: None,
        })
    }

    /// Each token, good and with the nonce of this request in a place that its workload filled.
    fn judge_parts(&self, bound: &Bound<'_>, tokens: &Tokens) -> Result<Vec<(usize, Foreign)>, Fault> {
        let binding = TokenBinding::Nonce { bind: &bound.half, recipient: bound.recipient };
        let judge = |(place, token): &(usize, Zeroizing<String>)| {
            let nobody = || Fault::new(Code::TokenInvalid, "token").because("a part is of nobody known here");
            let judged = self.judge_foreign(bound.provider, token, &binding, bound.now).ok_or_else(nobody)?;
            let foreign = judged.map_err(|fault| match fault.code {
                Code::FreshnessFailed => unbound("a part does not carry the nonce of this request"),
                _ => fault,
            })?;
            Ok((*place, foreign))
        };
        tokens.parts.iter().map(judge).collect()
    }
}

/// The index of the token that leads: the one with the workload's key in it, or where none has one the only one that is no device.
fn leading(found: &[(usize, Foreign)]) -> Result<usize, Fault> {
    let candidates: Vec<usize> = found
        .iter()
        .enumerate()
        .filter(|(_, (_, token))| !token.is_companion() && matches!(token.bound_key(), BoundKey::Present(_)))
        .map(|(index, _)| index)
        .collect();
    let with_key: Vec<usize> = candidates
        .iter()
        .copied()
        .filter(|index| found.get(*index).is_some_and(|(_, token)| token.has_key()))
        .collect();
    match (with_key.as_slice(), candidates.as_slice()) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], []) => Err(unbound("no part vouches for the recipient")),
        _ => Err(unbound("more than one part leads")),
    }
}

/// Joins what all parts say: claims side by side, and of everything else the worst.
fn join(
    result: &mut AttestationResult,
    (place, own): (usize, Map<String, Value>),
    lead: &Lead<'_>,
    found: &[(usize, Foreign)],
    tokens: &Tokens,
) -> Result<(), Fault> {
    let mut parts = Map::from_iter([(place.to_string(), Value::Object(own))]);
    let (mut seen, mut devices) = (HashSet::from([result.sameness]), HashSet::new());
    let mut same = vec![result.sameness];
    for (place, token) in found {
        if !seen.insert(*token.digest()) {
            return Err(Fault::new(Code::Malformed, "a part stands twice"));
        }
        if token.is_companion() {
            check_companion(lead, token)
                .map_err(|why| Fault::new(Code::of(why.code()), "part").because(why.to_string()))?;
            if !token.platforms().iter().all(|device| devices.insert(device.clone())) {
                return Err(unbound("two parts are about one device"));
            }
        }
        let part = result_of_foreign(token);
        result.identities.extend(part.identities);
        result.not_after = result.not_after.min(part.not_after);
        same.push(part.sameness);
        parts.insert(place.to_string(), Value::Object(part.attested));
    }
    same.sort_unstable();
    result.sameness = sha256(&same.concat());
    result.evidence_digest = tokens.digest;
    result.attested.insert(PARTS.to_owned(), Value::Object(parts));
    if let Some(keygate) = result.attested.get_mut("keygate").and_then(Value::as_object_mut) {
        keygate.insert("lead".to_owned(), json!(place));
    }
    Ok(())
}

fn unbound(why: &str) -> Fault {
    Fault::new(Code::BindingMismatch, "composite").because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Composite, Code> {
        Composite::parse(text.as_bytes()).map_err(|fault| fault.code)
    }

    fn of(parts: &[&str]) -> Result<Composite, Code> {
        read(&format!(r#"{{"parts":[{}]}}"#, parts.join(",")))
    }

    const RAW: &str = r#"{"kind":"snp","data":"AAEC"}"#;
    const TOKEN: &str = r#"{"token":"a.b.c"}"#;

    #[test]
    fn parts_have_places_and_the_raw_one_leads() {
        let composite = of(&[TOKEN, RAW, TOKEN]).unwrap();
        let raw = composite.raw.unwrap();
        assert_eq!((raw.place, raw.kind, raw.data), (1, EvidenceKind::Snp, vec![0, 1, 2]));
        let places: Vec<usize> = composite.tokens.parts.iter().map(|(place, _)| *place).collect();
        assert_eq!((places, composite.tokens.lead), (vec![0, 2], Some(1)));
        assert!(of(&[TOKEN, TOKEN]).unwrap().raw.is_none());
        assert!(!format!("{:?}", of(&[TOKEN, TOKEN]).unwrap()).contains("a.b.c"), "a token is a bearer's");
    }

    #[test]
    fn what_is_no_list_of_2_to_17_parts_is_malformed() {
        for text in ["", "[]", "{}", "7", r#"{"parts":{}}"#, r#"{"parts":[]}"#, r#"{"parts":[],"parts":[]}"#] {
            assert_eq!(read(text).unwrap_err(), Code::Malformed, "{text}");
        }
        assert_eq!(of(&[RAW]).unwrap_err(), Code::Malformed);
        assert!(of(&[TOKEN; 17]).is_ok());
        assert_eq!(of(&[TOKEN; 18]).unwrap_err(), Code::Malformed);
        let more = format!(r#"{{"parts":[{RAW},{TOKEN}],"kind":"snp"}}"#);
        assert_eq!(read(&more).unwrap_err(), Code::Malformed);
    }

    #[test]
    fn a_part_is_raw_evidence_or_a_token_and_one_is_raw_at_most() {
        assert!(of(&[RAW, TOKEN]).is_ok());
        assert_eq!(of(&[RAW, RAW]).unwrap_err(), Code::Malformed, "two that lead");
        for part in [
            "7",
            "[]",
            "{}",
            r#"{"token":7}"#,
            r#"{"token":"a.b.c","kind":"snp"}"#,
            r#"{"token":"a.b.c","kind":"snp","data":"AAEC"}"#,
            r#"{"kind":"snp"}"#,
            r#"{"data":"AAEC"}"#,
            r#"{"kind":"snp","data":"AAE="}"#,
            r#"{"kind":"snp","data":7}"#,
            r#"{"kind":"snp","data":"AAEC","x":1}"#,
            r#"{"kind":"composite","data":"AAEC"}"#,
        ] {
            assert_eq!(of(&[TOKEN, part]).unwrap_err(), Code::Malformed, "{part}");
        }
        for kind in ["nvidia-gpu", "SNP", "cca"] {
            let part = format!(r#"{{"kind":"{kind}","data":"AAEC"}}"#);
            assert_eq!(of(&[TOKEN, &part]).unwrap_err(), Code::Unsupported, "{kind}");
        }
    }

    #[test]
    fn mutated_composites_are_read_or_refused_and_never_panic() {
        let good = format!(r#"{{"parts":[{TOKEN},{RAW},{TOKEN}]}}"#);
        let (mut state, mut read) = (0x2545_f491_4f6c_dd1d_u64, 0);
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 16).unwrap_or(0)
        };
        for _ in 0..20_000 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=step() % 3 {
                let at = step() % bytes.len();
                match step() % 4 {
                    0 => bytes[at] = b"\"{}[],:\\0-e\xff"[step() % 12],
                    1 if bytes.len() > 1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, good.as_bytes()[step() % good.len()]),
                    _ => bytes.truncate(at + 1),
                }
            }
            read += usize::from(Composite::parse(&bytes).is_ok());
        }
        assert!(read > 0, "some mutations change only a value");
    }
}
