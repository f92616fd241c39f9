//! What a caller shows to prove what it is, as it stands in a body: the same at every door that takes raw evidence.
//!
//! `native-api.md` section 3 (*Proof*); `bad-inputs.md` HTTP-07 to HTTP-09.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::broker::json::{self, Node};
use crate::broker::{
    Code, Composite, EvidenceKind, EvidenceProof, Fault, JsonLimits, Proof, RecipientKey, TokenProof, TokensProof,
};

/// Bytes of a body; the listener bounds them too.
pub(super) const LARGEST: usize = 1 << 20;
/// Pieces of endorsements or of a chain in one request.
const MOST_PIECES: usize = 32;
/// Largest run-time or init-time data, in bytes.
const LARGEST_DATA: usize = 64 * 1_024;
/// Bytes of a member that is not evidence.
const LARGEST_MEMBER: usize = 256 * 1_024;

/// The members of a proof; without the token they are those of evidence.
pub(super) const PROOF: [&str; 7] =
    ["evidence", "challenge", "recipient", "runtime_data", "init_data", "endorsements", "token"];

/// A body that is none.
pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::new(Code::Malformed, what)
}

/// A body of strict JSON with known members. Binary members are canonical base64url without padding.
pub(super) struct Body(Node);

impl Body {
    /// Reads a body; a member that is not known is `malformed`.
    pub(super) fn read(bytes: &[u8], known: &[&str]) -> Result<Self, Fault> {
        let node = json::parse(bytes, &JsonLimits::request(LARGEST)).map_err(|diagnostic| {
            Fault::new(Code::of(diagnostic.code), "the body is no strict json").because(diagnostic.to_string())
        })?;
        Self::of(node, known)
    }

    /// The same of an object that was read as a part of another.
    pub(super) fn of(node: Node, known: &[&str]) -> Result<Self, Fault> {
        let members = node.as_object().ok_or_else(|| malformed("the body is no object"))?;
        if members.iter().any(|member| !known.contains(&member.name.as_str())) {
            return Err(malformed("the body has an unknown member"));
        }
        Ok(Self(node))
    }

    /// Evidence or a token, with what belongs to it.
    pub(super) fn proof(&self) -> Result<Proof, Fault> {
        let stands = |name: &&str| self.0.get(name).is_some();
        match (stands(&"evidence"), stands(&"token")) {
            (true, false) => self.shown(),
            (false, true) => {
                if ["runtime_data", "init_data", "endorsements"].iter().any(stands) {
                    return Err(malformed("a token stands alone with `recipient` and `challenge`"));
                }
                let token = self.text("token", LARGEST)?.unwrap_or_default();
                Ok(Proof::Token(Box::new(TokenProof {
                    token: Zeroizing::new(token.to_owned()),
                    recipient: self.recipient()?,
                    challenge: self.challenge()?,
                })))
            }
            (true, true) => Err(malformed("evidence and token exclude each other")),
            (false, false) if PROOF.iter().any(stands) => Err(malformed("member `evidence` or `token` is missing")),
            (false, false) => Ok(Proof::None),
        }
    }

    /// Evidence that stands alone or leads a composite; a composite of tokens is none.
    pub(super) fn evidence(&self) -> Result<EvidenceProof, Fault> {
        match self.shown()? {
            Proof::Evidence(proof) => Ok(*proof),
            _ => Err(Fault::new(Code::Unsupported, "a composite of tokens is no evidence that a token is made of")),
        }
    }

    fn shown(&self) -> Result<Proof, Fault> {
        let evidence = self.0.get("evidence").ok_or(malformed("member `evidence` is missing"))?;
        let members = evidence.as_object().ok_or(malformed("member `evidence` is no object"))?;
        if members.iter().any(|member| !matches!(member.name.as_str(), "kind" | "data")) {
            return Err(malformed("member `evidence` has an unknown member"));
        }
        let text = |name| evidence.get(name).and_then(Node::as_text);
        let kind = text("kind").ok_or(malformed("member `evidence.kind` is missing"))?;
        let data = || {
            let data = text("data").ok_or(malformed("member `evidence.data` is missing"))?;
            decode(data, "member `evidence.data` is not canonical base64url")
        };
        let challenge = || self.challenge()?.ok_or(malformed("member `challenge` is missing"));
        let (kind, data, beside) = match EvidenceKind::parse(kind) {
            Some(kind) => (kind, data()?, None),
            None if kind == Composite::KIND => match Composite::parse(&data()?)? {
                Composite { raw: Some(raw), tokens } => (raw.kind, raw.data, Some(tokens)),
                Composite { raw: None, tokens } => {
                    if ["runtime_data", "init_data", "endorsements"].iter().any(|name| self.0.get(name).is_some()) {
                        return Err(malformed("a composite of tokens stands alone with `recipient` and `challenge`"));
                    }
                    let (challenge, recipient) = (challenge()?, self.recipient()?);
                    return Ok(Proof::Tokens(Box::new(TokensProof { tokens, challenge, recipient })));
                }
            },
            None => return Err(Fault::new(Code::Unsupported, "evidence.kind")),
        };
        Ok(Proof::Evidence(Box::new(EvidenceProof {
            kind,
            data,
            beside,
            challenge: challenge()?,
            recipient: self.recipient()?,
            runtime_data: self.data("runtime_data")?,
            init_data: self.data("init_data")?,
            endorsements: self.endorsements()?,
        })))
    }

    fn challenge(&self) -> Result<Option<[u8; 32]>, Fault> {
        let wrong = "member `challenge` is base64url of 32 bytes";
        let Some(text) = self.text("challenge", LARGEST)? else { return Ok(None) };
        let bytes = decode(text, wrong)?;
        bytes.try_into().map(Some).map_err(|_| malformed(wrong))
    }

    fn recipient(&self) -> Result<RecipientKey, Fault> {
        let node = self.0.get("recipient").ok_or(malformed("member `recipient` is missing"))?;
        let Value::Object(jwk) = node.to_value() else {
            return Err(malformed("member `recipient` is no object"));
        };
        read_recipient(&jwk)
    }

    fn endorsements(&self) -> Result<Vec<Vec<u8>>, Fault> {
        self.pieces("endorsements", "member `endorsements` is a list of base64url texts")
    }

    /// A list of binary pieces, at most 32; empty where it is not there.
    pub(super) fn pieces(&self, name: &str, wrong: &'static str) -> Result<Vec<Vec<u8>>, Fault> {
        let Some(node) = self.0.get(name) else { return Ok(Vec::new()) };
        let pieces = node.as_list().ok_or(malformed(wrong))?;
        if pieces.len() > MOST_PIECES {
            return Err(Fault::new(Code::TooLarge, "more than 32 pieces"));
        }
        pieces.iter().map(|piece| decode(piece.as_text().ok_or(malformed(wrong))?, wrong)).collect()
    }

    /// A text of at most so many bytes.
    pub(super) fn text(&self, name: &str, longest: usize) -> Result<Option<&str>, Fault> {
        let Some(node) = self.0.get(name) else { return Ok(None) };
        let text = node.as_text().ok_or(malformed("a member that must be text is none"))?;
        if text.len() > longest {
            return Err(Fault::new(Code::TooLarge, "a text member is too long"));
        }
        Ok(Some(text))
    }

    /// A member as it was read.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.get(name)
    }

    /// Data of the workload's own: it becomes a claim of the token, which has its own limit.
    fn data(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.bytes(name)? {
            Some(bytes) if bytes.len() > LARGEST_DATA => Err(Fault::new(Code::TooLarge, "run-time or init-time data")),
            other => Ok(other),
        }
    }

    /// A binary member.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(text) = self.text(name, LARGEST_MEMBER * 4 / 3 + 4)? else { return Ok(None) };
        decode(text, "a binary member is not canonical base64url").map(Some)
    }
}

fn read_recipient(jwk: &Map<String, Value>) -> Result<RecipientKey, Fault> {
    RecipientKey::from_jwk(jwk).map_err(Fault::from)
}

fn decode(text: &str, wrong: &'static str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(wrong))
}
