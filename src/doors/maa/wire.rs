//! Bodies of Azure's dialect: loose where its clients are loose, strict where two readers could read two things.
//!
//! `maa-rest-api.md` sections 1, 3 to 5 and 9; `bad-inputs.md` HTTP-07 to HTTP-09. Unknown members are ignored, double ones refused.
//! Binary members are base64 of either alphabet, padded or not.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::broker::json::{self, Kind, Node};
use crate::broker::{AttestationType, Code, Fault, HeldData, JsonLimits};

/// Bytes of a body; the listener bounds them too.
const LARGEST: usize = 1 << 20;
/// Bytes of a JWS.
const LARGEST_JWS: usize = 256 * 1_024;
/// Bytes of a body that carries a JWS: as a JSON string each character may be escaped.
pub(super) const LARGEST_JWS_BODY: usize = 2 * LARGEST_JWS;
/// Largest run-time or init-time data, in bytes.
const LARGEST_DATA: usize = 64 * 1_024;
/// Bytes of a policy text; the language has its own limit.
const LARGEST_POLICY: usize = 256 * 1_024;
/// Bytes of a nonce, which becomes a claim.
const LONGEST_NONCE: usize = 1_024;
/// Version 1, type 2: the head that Open Enclave puts before a quote.
const OPEN_ENCLAVE: [u8; 8] = [1, 0, 0, 0, 2, 0, 0, 0];

/// Padding may stand or be missing. Bits that no byte needs must be zero: otherwise one text has many spellings.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An attest call as it stands in a body.
#[derive(Debug)]
pub(super) struct AttestBody {
    /// The type of the path, but for a report that the first version took under another one's name.
    pub(super) attestation_type: AttestationType,
    pub(super) evidence: Vec<u8>,
    pub(super) runtime: Option<HeldData>,
    pub(super) init: Option<HeldData>,
    pub(super) nonce: Option<String>,
    pub(super) draft_policy: Option<String>,
}

/// The member in which evidence of a type stands; none: this type is not attested here.
pub(super) const fn evidence_member(kind: AttestationType) -> Option<&'static str> {
    match kind {
        AttestationType::SgxEnclave | AttestationType::TdxVm => Some("quote"),
        AttestationType::OpenEnclave | AttestationType::SevSnpVm => Some("report"),
        AttestationType::Tpm => Some("data"),
        AttestationType::AzureGuest => Some("attestationInfo"),
        _ => None,
    }
}

/// The body of an attest call. `legacy`: the first version's own members are read too.
pub(super) fn read_attest(body: &[u8], kind: AttestationType, legacy: bool) -> Result<AttestBody, Fault> {
    let member = evidence_member(kind).ok_or(Fault::new(Code::Unsupported, "this type is not attested here"))?;
    let body = Body::read(body)?;
    if legacy && body.0.get("Quote").is_some() {
        return body.legacy(kind);
    }
    if matches!(kind, AttestationType::Tpm | AttestationType::AzureGuest) {
        let evidence = body.evidence(body.spelling(member)?)?;
        return Ok(AttestBody {
            attestation_type: kind,
            evidence,
            runtime: None,
            init: None,
            nonce: None,
            draft_policy: None,
        });
    }
    Ok(AttestBody {
        attestation_type: kind,
        evidence: body.evidence(member)?,
        runtime: body.held("runtimeData")?,
        init: body.held("initTimeData")?,
        nonce: body.nonce()?,
        // The call for TDX has no such member: it is ignored like any other unknown one.
        draft_policy: match kind {
            AttestationType::TdxVm => None,
            _ => body.text("draftPolicyForAttestation", LARGEST_POLICY)?.map(str::to_owned),
        },
    })
}

/// A JWS: bare, as a JSON string, or as `member` of an object.
pub(super) fn read_jws(body: &[u8], member: Option<&str>) -> Result<String, Fault> {
    let body = body.trim_ascii();
    let text = match body.first() {
        Some(b'"') => match parse(body)?.kind {
            Kind::Text(text) => text,
            _ => return Err(malformed("the body is no json string")),
        },
        Some(b'{') => {
            let body = Body(parse(body)?);
            let member = member.ok_or(malformed("the body is a signed text, not an object"))?;
            body.text(member, LARGEST_JWS)?.ok_or(malformed("the object holds no certificate to change"))?.to_owned()
        }
        _ => std::str::from_utf8(body).map_err(|_| malformed("the body is not utf-8"))?.to_owned(),
    };
    match text.len() {
        ..=LARGEST_JWS => Ok(text),
        _ => Err(Fault::new(Code::TooLarge, "a signed text is at most 256 KiB")),
    }
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Code::Malformed, what)
}

fn parse(bytes: &[u8]) -> Result<Node, Fault> {
    json::parse(bytes, &JsonLimits::request(LARGEST)).map_err(|diagnostic| {
        Fault::new(Code::of(diagnostic.code), "the body is no strict json").because(diagnostic.to_string())
    })
}

struct Body(Node);

impl Body {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let node = parse(bytes)?;
        match node.as_object() {
            Some(_) => Ok(Self(node)),
            None => Err(malformed("the body is no object")),
        }
    }

    /// What stands there; null is nothing.
    fn member(&self, name: &str) -> Option<&Node> {
        self.0.get(name).filter(|node| node.kind != Kind::Null)
    }

    fn text(&self, name: &str, longest: usize) -> Result<Option<&str>, Fault> {
        text(self.member(name), longest)
    }

    fn evidence(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let evidence = bytes(self.member(name), LARGEST)?;
        evidence.filter(|bytes| !bytes.is_empty()).ok_or(malformed("the member with the evidence is missing"))
    }

    /// The page of the operation writes `attestationInfo`, its clients `AttestationInfo`. Both at once could be two things.
    fn spelling(&self, name: &'static str) -> Result<&'static str, Fault> {
        const CLIENTS: &str = "AttestationInfo";
        match (name, self.member(name).is_some(), self.member(CLIENTS).is_some()) {
            ("attestationInfo", true, true) => Err(malformed("the attestation info stands under two names")),
            ("attestationInfo", false, true) => Ok(CLIENTS),
            _ => Ok(name),
        }
    }

    fn held(&self, name: &str) -> Result<Option<HeldData>, Fault> {
        let Some(node) = self.member(name) else { return Ok(None) };
        if node.as_object().is_none() {
            return Err(malformed("data is an object of `data` and `dataType`"));
        }
        let data_type = node.get("dataType").filter(|node| node.kind != Kind::Null);
        let json = match text(data_type, 64)?.unwrap_or_default() {
            "" => false,
            word if word.eq_ignore_ascii_case("Binary") => false,
            word if word.eq_ignore_ascii_case("JSON") => true,
            _ => return Err(malformed("`dataType` is `Binary` or `JSON`")),
        };
        let data = bytes(node.get("data").filter(|node| node.kind != Kind::Null), LARGEST_DATA)?;
        let Some(bytes) = data.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        if json {
            object(&bytes)?;
        }
        Ok(Some(HeldData { bytes, json }))
    }

    /// A text, or the digits of a number.
    fn nonce(&self) -> Result<Option<String>, Fault> {
        let Some(node) = self.member("nonce") else { return Ok(None) };
        if let Some(number) = node.as_integer() {
            return Ok(Some(number.to_string()));
        }
        Ok(text(Some(node), LONGEST_NONCE)?.map(str::to_owned))
    }

    /// `{Quote, EnclaveHeldData}`. The quote may have Open Enclave's head, whatever the path says.
    fn legacy(&self, kind: AttestationType) -> Result<AttestBody, Fault> {
        if !matches!(kind, AttestationType::SgxEnclave | AttestationType::OpenEnclave) {
            return Err(malformed("`Quote` is a member for enclaves of SGX"));
        }
        if self.member("quote").or(self.member("report")).or(self.member("runtimeData")).is_some() {
            return Err(malformed("members of two versions stand side by side"));
        }
        let evidence = self.evidence("Quote")?;
        let held = bytes(self.member("EnclaveHeldData"), LARGEST_DATA)?.filter(|bytes| !bytes.is_empty());
        Ok(AttestBody {
            attestation_type: match evidence.starts_with(&OPEN_ENCLAVE) {
                true => AttestationType::OpenEnclave,
                false => AttestationType::SgxEnclave,
            },
            evidence,
            runtime: held.map(|bytes| HeldData { bytes, json: false }),
            init: None,
            nonce: None,
            draft_policy: None,
        })
    }
}

/// Bytes of an answer: base64url, never padded.
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn text(node: Option<&Node>, longest: usize) -> Result<Option<&str>, Fault> {
    let Some(node) = node else { return Ok(None) };
    let text = node.as_text().ok_or(malformed("a member that must be text is none"))?;
    match text.len() <= longest {
        true => Ok(Some(text)),
        false => Err(Fault::new(Code::TooLarge, "a text member is too long")),
    }
}

fn bytes(node: Option<&Node>, longest: usize) -> Result<Option<Vec<u8>>, Fault> {
    let Some(text) = text(node, longest / 3 * 4 + 8)? else { return Ok(None) };
    let plain: String = text
        .chars()
        .map(|c| {
            if c == '+' {
                '-'
            } else if c == '/' {
                '_'
            } else {
                c
            }
        })
        .collect();
    let bytes = LOOSE.decode(plain).map_err(|_| malformed("a binary member is not base64url"))?;
    match bytes.len() <= longest {
        true => Ok(Some(bytes)),
        false => Err(Fault::new(Code::TooLarge, "a binary member is too long")),
    }
}

/// Held data of type JSON is one object.
fn object(bytes: &[u8]) -> Result<(), Fault> {
    let node = json::parse(bytes, &JsonLimits::request(LARGEST_DATA)).map_err(|diagnostic| {
        Fault::new(Code::of(diagnostic.code), "data of type `JSON` is no strict json").because(diagnostic.to_string())
    })?;
    match node.as_object() {
        Some(_) => Ok(()),
        None => Err(malformed("data of type `JSON` is an object")),
    }
}
