//! COSE_Sign1: the four members and what is signed of them; with ES384 and nothing unauthenticated, or as the caller's headers say.
//!
//! RFC 9052 sections 3, 4.2 and 4.4; RFC 9053 section 2.1. Nitro's algorithm is fixed here; the message may only agree.

use crate::error::VerifyError;
use crate::formats::cbor::{Length, Reader};

const PART: &str = "cose";
/// The tag of COSE_Sign1.
const SIGN1: u64 = 18;
/// Header label of the algorithm.
const ALG: i64 = 1;
/// Header label of the list of critical headers.
const CRIT: i64 = 2;
/// ECDSA with SHA-384.
const ES384: i64 = -35;

/// A signed message: well-formed, its signature not yet checked.
#[derive(Debug)]
pub(crate) struct Sign1<'a> {
    protected: &'a [u8],
    /// What was signed.
    pub payload: &'a [u8],
    /// As it stands in the message: right only at 96 bytes, r ‖ s.
    pub signature: &'a [u8],
}

impl<'a> Sign1<'a> {
    /// Reads a COSE_Sign1 message, tagged 18 or untagged, whose protected header is `{1: -35}` and whose unprotected header is
    /// empty, with its payload attached and nothing after it.
    ///
    /// # Errors
    /// `malformed` for any other shape or encoding and for `crit`; `unsupported` for any other algorithm or none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let nothing = |_: &mut Reader<'a>| Err(VerifyError::malformed(PART, "the unprotected header is not empty"));
        Self::parse_with(bytes, check_protected, nothing).map(|(message, ())| message)
    }

    /// Reads the same message with other headers: `protected` reads the protected header as a whole, `unprotected` one entry of
    /// the unprotected header, key and value.
    ///
    /// # Errors
    /// `malformed` for any other shape or encoding, and whatever the two say.
    pub fn parse_with<T>(
        bytes: &'a [u8],
        protected_header: impl FnOnce(&'a [u8]) -> Result<T, VerifyError>,
        mut unprotected_entry: impl FnMut(&mut Reader<'a>) -> Result<(), VerifyError>,
    ) -> Result<(Self, T), VerifyError> {
        let mut outer = Reader::new(bytes, PART);
        if let Some(tag) = outer.tag("tag")?
            && tag != SIGN1
        {
            return Err(VerifyError::malformed(PART, format!("tag {tag}; a signed message has tag {SIGN1} or none")));
        }
        let mut members = outer.array(Length::Definite, "message")?;
        let mut count = 0;
        let mut member = |outer: &mut Reader<'a>| {
            count += 1;
            if outer.more(&mut members) {
                return Ok(());
            }
            Err(VerifyError::malformed(PART, format!("member {count} of 4 is missing")))
        };
        member(&mut outer)?;
        let protected = outer.bytes("protected")?;
        let header = protected_header(protected)?;
        member(&mut outer)?;
        let mut unprotected = outer.map(Length::Definite, "unprotected")?;
        while outer.more(&mut unprotected) {
            unprotected_entry(&mut outer)?;
        }
        member(&mut outer)?;
        let payload =
            outer.bytes_or_null("payload")?.ok_or_else(|| VerifyError::malformed(PART, "the payload is detached"))?;
        member(&mut outer)?;
        let signature = outer.bytes("signature")?;
        if outer.more(&mut members) {
            return Err(VerifyError::malformed(PART, "the message has more than four members"));
        }
        outer.finish()?;
        Ok((Self { protected, payload, signature }, header))
    }

    /// The Sig_structure: the bytes that the signature is over.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut signed = Vec::with_capacity(self.protected.len().saturating_add(self.payload.len()).saturating_add(32));
        // An array of four: the context, the protected header, no external data, the payload.
        signed.extend_from_slice(b"\x84\x6aSignature1");
        put_bytes(&mut signed, self.protected);
        put_bytes(&mut signed, b"");
        put_bytes(&mut signed, self.payload);
        signed
    }
}

fn check_protected(bytes: &[u8]) -> Result<(), VerifyError> {
    let none = || VerifyError::unsupported(PART, "the protected header names no algorithm");
    if bytes.is_empty() {
        return Err(none());
    }
    let mut header = Reader::new(bytes, PART);
    let mut entries = header.map(Length::Definite, "protected")?;
    let mut named = false;
    while header.more(&mut entries) {
        match header.integer("label")? {
            ALG if named => return Err(VerifyError::malformed(PART, "the protected header names two algorithms")),
            ALG if header.text_is_next() => {
                return Err(VerifyError::unsupported(PART, "the algorithm is named by text"));
            }
            ALG => {
                let algorithm = header.integer("alg")?;
                if algorithm != ES384 {
                    return Err(VerifyError::unsupported(
                        PART,
                        format!("algorithm {algorithm}; ES384 ({ES384}) it must be"),
                    ));
                }
                named = true;
            }
            CRIT => return Err(VerifyError::malformed(PART, "the protected header has critical members")),
            label => return Err(VerifyError::malformed(PART, format!("the protected header has member {label}"))),
        }
    }
    header.finish()?;
    if named { Ok(()) } else { Err(none()) }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Evidence is at most 1 MiB, so 32 bits always hold the length.
    match u32::try_from(bytes.len()).unwrap_or(u32::MAX) {
        length @ 0..24 => out.push(0x40 | length.to_le_bytes()[0]),
        length @ 24..0x100 => out.extend_from_slice(&[0x58, length.to_le_bytes()[0]]),
        length @ 0x100..0x1_0000 => {
            let [_, _, high, low] = length.to_be_bytes();
            out.extend_from_slice(&[0x59, high, low]);
        }
        length => {
            out.push(0x5a);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use coset::{CborSerializable, CoseSign1};

    const GOOD: &[u8] = &[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x42, 7, 8, 0x41, 9];

    fn code(bytes: &[u8]) -> &'static str {
        Sign1::parse(bytes).unwrap_err().code()
    }

    #[test]
    fn nit_01_tag_18_or_none_and_four_members() {
        let message = Sign1::parse(GOOD).unwrap();
        assert_eq!((message.payload, message.signature), (&[7, 8][..], &[9][..]));
        assert!(Sign1::parse(&[&[0xd2], GOOD].concat()).is_ok());
        assert_eq!(code(&[&[0xd8, 98], GOOD].concat()), "malformed");
        assert_eq!(code(&[&[0xd2, 0xd2], GOOD].concat()), "malformed");
        assert_eq!(code(&[&[0x83], &GOOD[1..10]].concat()), "malformed");
        assert_eq!(code(&[&[0x85], &GOOD[1..], &[0x40]].concat()), "malformed");
    }

    #[test]
    fn nit_02_the_algorithm_is_es384_in_the_protected_header() {
        let with = |protected: &[u8], unprotected: &[u8]| {
            let mut out = vec![0x84];
            put_bytes(&mut out, protected);
            [&out, unprotected, &[0x41, 7, 0x41, 9]].concat()
        };
        assert!(Sign1::parse(&with(&[0xa1, 1, 0x38, 0x22], &[0xa0])).is_ok());
        assert_eq!(code(&with(&[0xa1, 1, 0x26], &[0xa0])), "unsupported", "ES256");
        assert_eq!(code(&with(&[], &[0xa1, 1, 0x38, 0x22])), "unsupported", "only unprotected");
        assert_eq!(code(&with(&[], &[0xa0])), "unsupported", "nowhere");
        assert_eq!(code(&with(&[0xa0], &[0xa0])), "unsupported", "an empty map");
        assert_eq!(code(&with(b"\xa1\x01\x65ES384", &[0xa0])), "unsupported", "as text");
        assert_eq!(code(&with(&[0xa1, 1, 0x38, 0x22], &[0xa1, 4, 0x40])), "malformed", "an unprotected member");
        assert_eq!(code(&with(&[0xa1, 1, 0x39, 0, 0x22], &[0xa0])), "malformed", "not the shortest form");
        assert_eq!(code(&with(&[0xa2, 1, 0x38, 0x22, 1, 0x38, 0x22], &[0xa0])), "malformed", "twice");
    }

    #[test]
    fn nit_03_critical_headers_are_refused() {
        let crit = [0x84, 0x47, 0xa2, 1, 0x38, 0x22, 2, 0x81, 1, 0xa0, 0x41, 7, 0x41, 9];
        assert_eq!(code(&crit), "malformed");
    }

    #[test]
    fn nit_05_the_payload_is_attached() {
        let detached = [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0xf6, 0x41, 9];
        assert_eq!(code(&detached), "malformed");
    }

    #[test]
    fn the_signed_bytes_are_those_of_another_library() {
        for length in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
            let mut message = GOOD[..7].to_vec();
            put_bytes(&mut message, &vec![5; length]);
            message.extend_from_slice(&[0x41, 9]);
            let other = CoseSign1::from_slice(&message).unwrap();
            assert_eq!(Sign1::parse(&message).unwrap().signed_bytes(), other.tbs_data(b""));
        }
    }
}
