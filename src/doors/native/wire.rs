//! Bodies of the native door: strict JSON in, the broker's words out.
//!
//! `native-api.md` section 3; `bad-inputs.md` HTTP-07 to HTTP-09. Unknown and duplicate members are `malformed`; binary members are
//! canonical base64url without padding.

use zeroize::Zeroizing;

use crate::broker::json::Node;
use crate::broker::{Code, EvidenceProof, Fault, Operation, Proof, Usage, Wrapping};
use crate::doors::proof::{Body, LARGEST, PROOF, malformed};

/// Characters of an audience.
const LONGEST_AUDIENCE: usize = 512;

/// A use as it stands in a body.
pub(super) struct UseBody {
    pub(super) usage: Usage,
    pub(super) wrapping: Option<Wrapping>,
    pub(super) proof: Proof,
}

/// An attestation as it stands in a body.
pub(super) struct AttestBody {
    pub(super) evidence: EvidenceProof,
    pub(super) audience: Option<String>,
}

/// `{}` and nothing else.
pub(super) fn read_empty(body: &[u8]) -> Result<(), Fault> {
    Body::read(body, &[]).map(drop)
}

/// The body of an attestation.
pub(super) fn read_attestation(body: &[u8]) -> Result<AttestBody, Fault> {
    let body = Body::read(body, &[&PROOF[..6], &["aud"]].concat())?;
    let audience = body.text("aud", LONGEST_AUDIENCE)?.map(str::to_owned);
    if audience.as_ref().is_some_and(String::is_empty) {
        return Err(malformed("member `aud` is empty"));
    }
    Ok(AttestBody { evidence: body.evidence()?, audience })
}

/// The body of a use.
pub(super) fn read_use(body: &[u8], operation: Operation) -> Result<UseBody, Fault> {
    let own: &[&str] = match operation {
        Operation::Release => &["wrapping"],
        Operation::Unwrap => &["wrapping", "alg", "ciphertext", "aad"],
        Operation::Generate => &["wrapping", "alg", "bytes", "aad"],
        Operation::Sign => &["wrapping", "alg", "digest"],
        Operation::Wrap => &["alg", "plaintext", "aad"],
        // No form of this door's: another door has them, or they are no use at all.
        Operation::Encrypt | Operation::Decrypt | Operation::Verify | Operation::Import | Operation::Export => {
            return Err(Fault::new(Code::Unsupported, ""));
        }
    };
    let body = Body::read(body, &[&PROOF, own].concat())?;
    let wrapping = match body.text("wrapping", LARGEST)? {
        Some(text) => {
            let served = Wrapping::parse(text).ok().filter(|wrapping| Wrapping::NATIVE.contains(wrapping));
            Some(served.ok_or_else(|| Fault::new(Code::Unsupported, "wrapping"))?)
        }
        None => None,
    };
    Ok(UseBody { usage: usage_of(&body, operation)?, wrapping, proof: body.proof()? })
}

fn usage_of(body: &Body, operation: Operation) -> Result<Usage, Fault> {
    let alg = || Ok::<_, Fault>(body.text("alg", LARGEST)?.ok_or(malformed("member `alg` is missing"))?.to_owned());
    let aad = || Ok::<_, Fault>(body.bytes("aad")?.unwrap_or_default());
    let needed = |name| body.bytes(name)?.ok_or(malformed("the input of the operation is missing"));
    Ok(match operation {
        Operation::Release => Usage::Release,
        Operation::Unwrap => Usage::Unwrap { alg: alg()?, ciphertext: needed("ciphertext")?, aad: aad()? },
        Operation::Generate => Usage::Generate { alg: alg()?, bytes: length_of(body)?, aad: aad()? },
        Operation::Sign => Usage::Sign { alg: alg()?, digest: needed("digest")? },
        Operation::Wrap => Usage::Wrap { alg: alg()?, plaintext: Zeroizing::new(needed("plaintext")?), aad: aad()? },
        Operation::Encrypt | Operation::Decrypt | Operation::Verify | Operation::Import | Operation::Export => {
            return Err(Fault::new(Code::Unsupported, ""));
        }
    })
}

fn length_of(body: &Body) -> Result<usize, Fault> {
    let wrong = malformed("member `bytes` is an integer from 1 to 1024");
    let length = body.get("bytes").and_then(Node::as_integer).ok_or(wrong.clone())?;
    match length {
        1..=1_024 => usize::try_from(length).map_err(|_| wrong),
        ..=0 => Err(wrong),
        _ => Err(Fault::new(Code::TooLarge, "member `bytes` is an integer from 1 to 1024")),
    }
}

/// A machine as it stands in a body.
pub(super) struct EnrolmentBody {
    pub(super) machine: String,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) endorsement_key: Vec<u8>,
    pub(super) attestation_key: Vec<u8>,
}

/// The body of an enrolment.
pub(super) fn read_enrolment(body: &[u8]) -> Result<EnrolmentBody, Fault> {
    let body = Body::read(body, &["machine", "ek_certificate", "ek_chain", "ek_public", "ak_public"])?;
    let key = |name, missing| body.bytes(name)?.ok_or(malformed(missing));
    let machine = body.text("machine", LARGEST)?.ok_or(malformed("member `machine` is missing"))?;
    Ok(EnrolmentBody {
        machine: machine.to_owned(),
        certificate: body.bytes("ek_certificate")?,
        chain: body.pieces("ek_chain", "member `ek_chain` is a list of base64url texts")?,
        endorsement_key: key("ek_public", "member `ek_public` is missing")?,
        attestation_key: key("ak_public", "member `ak_public` is missing")?,
    })
}

/// The secret that a TPM gave back.
pub(super) fn read_activation(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let body = Body::read(body, &["secret"])?;
    body.bytes("secret")?.map(Zeroizing::new).ok_or(malformed("member `secret` is missing"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::broker::EvidenceKind;

    const GOOD: &str = r#"{"evidence":{"kind":"software","data":"YWJj"},"challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","recipient":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},"runtime_data":"e30","init_data":"e30","endorsements":["YWJj"],"wrapping":"JWE","alg":"A256GCM","aad":"","bytes":32}"#;

    /// Steps of xorshift: the same mutations in every run.
    fn step(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 16).unwrap_or(0)
    }

    #[test]
    fn mutated_bodies_are_read_or_refused_and_never_panic() {
        assert!(read_use(GOOD.as_bytes(), Operation::Generate).is_ok());
        let (mut state, mut read) = (0x9e37_79b9_7f4a_7c15, 0);
        for _ in 0..20_000 {
            let mut body = GOOD.as_bytes().to_vec();
            for _ in 0..=step(&mut state) % 3 {
                let (at, other) = (step(&mut state) % body.len(), step(&mut state) % GOOD.len());
                match step(&mut state) % 4 {
                    0 => body[at] = b"\"{}[],:\\0-e\xff"[step(&mut state) % 12],
                    1 if body.len() > 1 => {
                        body.remove(at);
                    }
                    2 => body.insert(at, GOOD.as_bytes()[other]),
                    _ => body.truncate(at + 1),
                }
            }
            for operation in Operation::ALL {
                read += usize::from(read_use(&body, operation).is_ok());
            }
            let _ = (read_attestation(&body), read_empty(&body));
        }
        assert!(read > 0, "some mutations change only a value");
    }

    #[test]
    fn each_operation_has_its_own_members() {
        let code = |body: &str, operation| read_use(body.as_bytes(), operation).err().map(|fault| fault.code);
        assert_eq!(code(r#"{"alg":"A256GCM","plaintext":"","aad":""}"#, Operation::Wrap), None);
        assert_eq!(
            code(r#"{"alg":"A256GCM","plaintext":"","wrapping":"JWE"}"#, Operation::Wrap),
            Some(Code::Malformed)
        );
        assert_eq!(code(r#"{"alg":"ES256"}"#, Operation::Release), Some(Code::Malformed));
        assert_eq!(code(r#"{"alg":"ES256","digest":"","aad":""}"#, Operation::Sign), Some(Code::Malformed));
        assert_eq!(code(r#"{"digest":""}"#, Operation::Sign), Some(Code::Malformed));
        let others = Operation::ALL.into_iter().filter(|o| o.rule() != Some(o.as_str()));
        for operation in others {
            assert_eq!(code("{}", operation), Some(Code::Unsupported), "another door's");
        }
        for wrapping in ["RSA_AES_KEY_WRAP_384", "CKM_RSA_AES_KEY_WRAP", "RSAES_OAEP_SHA_256"] {
            let body = format!(r#"{{"wrapping":"{wrapping}"}}"#);
            assert_eq!(code(&body, Operation::Release), Some(Code::Unsupported), "{wrapping}");
        }
        assert_eq!(code(r#"{"wrapping":"JWE"}"#, Operation::Release), None);
        for (bytes, wanted) in [("0", Code::Malformed), ("1.0", Code::Malformed), ("1025", Code::TooLarge)] {
            let body = format!(r#"{{"alg":"A256GCM","bytes":{bytes}}}"#);
            assert_eq!(code(&body, Operation::Generate), Some(wanted), "{bytes}");
        }
    }

    /// A body whose evidence is a composite of these parts, with these members beside it.
    fn composite(parts: &str, more: &str) -> String {
        let data = URL_SAFE_NO_PAD.encode(format!(r#"{{"parts":[{parts}]}}"#));
        let (before, after) = GOOD.split_once(r#"{"kind":"software","data":"YWJj"}"#).unwrap();
        let (recipient, _) = after.split_once(r#","runtime_data""#).unwrap();
        format!(r#"{before}{{"kind":"composite","data":"{data}"}}{recipient}{more}}}"#)
    }

    const RAW: &str = r#"{"kind":"nitro","data":"AAEC"}"#;
    const TOKEN: &str = r#"{"token":"a.b.c"}"#;

    #[test]
    fn a_composite_is_led_by_its_raw_evidence_or_is_tokens_alone() {
        let read = |body: &str| read_use(body.as_bytes(), Operation::Release).map(|read| read.proof);
        let runtime = r#","runtime_data":"e30","init_data":"e30","endorsements":["YWJj"]"#;
        let led = read(&composite(&format!("{TOKEN},{RAW}"), runtime)).unwrap();
        let Proof::Evidence(proof) = led else { panic!("raw evidence leads") };
        assert_eq!((proof.kind, proof.data.as_slice()), (EvidenceKind::Nitro, &[0, 1, 2][..]));
        let tokens = proof.beside.unwrap();
        assert_eq!((tokens.lead, tokens.parts.len()), (Some(1), 1));
        assert_eq!((proof.endorsements.len(), proof.runtime_data.as_deref()), (1, Some(&b"{}"[..])));

        let alone = composite(&format!("{TOKEN},{TOKEN}"), "");
        let Ok(Proof::Tokens(proof)) = read(&alone) else { panic!("tokens alone") };
        assert_eq!((proof.tokens.lead, proof.tokens.parts.len()), (None, 2));
        let code = |body: &str| read(body).err().map(|fault| fault.code);
        for more in [r#","runtime_data":"e30""#, r#","init_data":"e30""#, r#","endorsements":[]"#] {
            let body = composite(&format!("{TOKEN},{TOKEN}"), more);
            assert_eq!(code(&body), Some(Code::Malformed), "nothing of theirs is bound: {more}");
        }
        assert_eq!(code(&composite(TOKEN, "")), Some(Code::Malformed));
        assert_eq!(code(&composite(&format!("{RAW},{RAW}"), "")), Some(Code::Malformed));
        assert_eq!(code(&alone.replace("\"challenge\":", "\"token\":")), Some(Code::Malformed));

        let attested = |body: &str| read_attestation(body.as_bytes()).map(|read| read.evidence.beside.is_some());
        assert!(attested(&composite(&format!("{RAW},{TOKEN}"), "")).unwrap());
        assert_eq!(attested(&alone).unwrap_err().code, Code::Unsupported);
        assert!(!attested(&GOOD.replace(r#","wrapping":"JWE","alg":"A256GCM","aad":"","bytes":32"#, "")).unwrap());
    }

    #[test]
    fn base64_has_one_spelling() {
        for text in ["YQ==", "YR", "Y Q", "+w", "Y"] {
            let body = format!(r#"{{"alg":"A256GCM","plaintext":"{text}"}}"#);
            let refused = read_use(body.as_bytes(), Operation::Wrap).err().map(|fault| fault.code);
            assert_eq!(refused, Some(Code::Malformed), "{text}");
        }
    }
}
