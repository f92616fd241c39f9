//! The layout of an endorsement: headers in CBOR, a payload in JSON.
//!
//! RFC 9052 section 3.1 (`alg`, content type), RFC 9360 section 2 (`x5chain`, `x5t`); the members `iss`, `feed` and `signingtime` as
//! Microsoft's endorsements have them. A header that is not known is refused: it may be one that limits what is said.

use serde::Deserialize;

use super::PART;
use crate::error::VerifyError;
use crate::formats::cbor::{Length, Reader};
use crate::formats::cose::Sign1;
use crate::signatures::Algorithm;
use crate::time::UnixTime;

/// The largest endorsement, in bytes; recorded ones have eleven thousand.
const MAX_ENDORSEMENT: usize = 64 * 1024;
/// The most certificates in `x5chain`.
pub(super) const MAX_CHAIN: usize = 8;
/// The most bytes in `iss` and `feed`.
const MAX_NAME: usize = 512;

const ALG: i64 = 1;
const CRIT: i64 = 2;
const CONTENT_TYPE: i64 = 3;
const X5CHAIN: i64 = 33;
const X5T: i64 = 34;
/// SHA-256 as a COSE algorithm.
const SHA256: i64 = -16;
/// Tag of a time in seconds.
const EPOCH: u64 = 1;

/// The algorithms of RFC 9053 section 2.1 and RFC 8230 that may sign. A certificate with a key on P-521 is not read, so -36 never
/// comes to a check.
const ALGORITHMS: &[(i64, Algorithm)] = &[
    (-7, Algorithm::P256Raw),
    (-35, Algorithm::P384Raw),
    (-36, Algorithm::P521Raw),
    (-37, Algorithm::PssSha256),
    (-38, Algorithm::PssSha384),
    (-39, Algorithm::PssSha512),
];

/// An endorsement that is well-formed. Nothing about it is believed yet.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub message: Sign1<'a>,
    pub header: Header<'a>,
    pub payload: Payload,
}

/// The protected header.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub algorithm: Algorithm,
    /// DER each, the signer's first, the root's last.
    pub chain: Vec<&'a [u8]>,
    /// SHA-256 of the signer's certificate, where it is told.
    pub signer: Option<&'a [u8]>,
    pub issuer: &'a str,
    pub feed: &'a str,
    pub signing_time: Option<UnixTime>,
}

/// What is endorsed.
#[derive(Debug)]
pub(super) struct Payload {
    pub guest_svn: u64,
    pub launch_measurement: [u8; 48],
}

impl<'a> Signed<'a> {
    /// Reads an endorsement, at most 64 KiB.
    ///
    /// # Errors
    /// `malformed`; `unsupported` for an algorithm or content type that is not known; `too-large`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_ENDORSEMENT {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX_ENDORSEMENT}", bytes.len())));
        }
        let mut stamped = false;
        let unprotected = |entry: &mut Reader<'a>| {
            if !entry.text_is_next() || entry.text("label")? != "timestamp" || std::mem::replace(&mut stamped, true) {
                return Err(bad("the unprotected header holds more than a time stamp"));
            }
            entry.bytes("timestamp").map(drop)
        };
        let (message, header) = Sign1::parse_with(bytes, Header::parse, unprotected)?;
        let payload = Payload::parse(message.payload)?;
        Ok(Self { message, header, payload })
    }
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(bytes, PART);
        let mut entries = reader.map(Length::Definite, "protected")?;
        let (mut algorithm, mut content_type, mut chain, mut signer) = (None, None, None, None);
        let (mut issuer, mut feed, mut signing_time) = (None, None, None);
        while reader.more(&mut entries) {
            if reader.text_is_next() {
                match reader.text("label")? {
                    "iss" => once(&mut issuer, name(&mut reader, "iss")?)?,
                    "feed" => once(&mut feed, name(&mut reader, "feed")?)?,
                    "signingtime" => once(&mut signing_time, time(&mut reader)?)?,
                    _ => return Err(bad("the protected header has a member that is not known")),
                }
                continue;
            }
            match reader.integer("label")? {
                ALG => once(&mut algorithm, signature_algorithm(&mut reader)?)?,
                CONTENT_TYPE => once(&mut content_type, reader.text("content type")?)?,
                X5CHAIN => once(&mut chain, certificates(&mut reader)?)?,
                X5T => once(&mut signer, thumbprint(&mut reader)?)?,
                CRIT => return Err(bad("the protected header has critical members")),
                label => return Err(VerifyError::malformed(PART, format!("the protected header has member {label}"))),
            }
        }
        reader.finish()?;
        if content_type != Some("application/json") {
            return Err(VerifyError::unsupported(PART, "the payload is not said to be json"));
        }
        Ok(Self {
            algorithm: algorithm.ok_or_else(|| VerifyError::unsupported(PART, "no algorithm is named"))?,
            chain: chain.ok_or_else(|| bad("`x5chain` is missing"))?,
            signer,
            issuer: issuer.ok_or_else(|| bad("`iss` is missing"))?,
            feed: feed.ok_or_else(|| bad("`feed` is missing"))?,
            signing_time,
        })
    }
}

impl Payload {
    fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(rename = "x-ms-sevsnpvm-guestsvn")]
            guest_svn: String,
            #[serde(rename = "x-ms-sevsnpvm-launchmeasurement")]
            launch_measurement: String,
        }
        // A struct would be read from an array as well.
        if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return Err(bad("the payload is no json object"));
        }
        let members: Members =
            serde_json::from_slice(bytes).map_err(|_| bad("the payload is not the expected json"))?;
        let digits = members.guest_svn.as_str();
        let canonical = digits == "0" || !digits.starts_with(['0', '+']);
        let guest_svn = digits.parse().ok().filter(|_| canonical);
        let mut launch_measurement = [0; 48];
        hex::decode_to_slice(&members.launch_measurement, &mut launch_measurement)
            .map_err(|_| bad("the launch measurement is not 48 bytes in hex"))?;
        Ok(Self { guest_svn: guest_svn.ok_or_else(|| bad("the guest svn is no decimal number"))?, launch_measurement })
    }
}

fn signature_algorithm(reader: &mut Reader<'_>) -> Result<Algorithm, VerifyError> {
    if reader.text_is_next() {
        return Err(VerifyError::unsupported(PART, "the algorithm is named by text"));
    }
    let named = reader.integer("alg")?;
    let known = ALGORITHMS.iter().find(|(number, _)| *number == named).map(|(_, algorithm)| *algorithm);
    known.ok_or_else(|| VerifyError::unsupported(PART, format!("the algorithm {named} is not one that may sign")))
}

fn certificates<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, VerifyError> {
    let mut items = reader.array(Length::Definite, "x5chain")?;
    let mut chain = Vec::new();
    while reader.more(&mut items) {
        if chain.len() >= MAX_CHAIN {
            return Err(VerifyError::too_large(PART, format!("more than {MAX_CHAIN} certificates in `x5chain`")));
        }
        chain.push(reader.bytes("certificate")?);
    }
    Ok(chain)
}

fn thumbprint<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], VerifyError> {
    let mut items = reader.array(Length::Definite, "x5t")?;
    let two = "`x5t` is not a pair of algorithm and digest";
    if !reader.more(&mut items) {
        return Err(bad(two));
    }
    if reader.integer("x5t algorithm")? != SHA256 {
        return Err(VerifyError::unsupported(PART, "`x5t` is not a sha-256"));
    }
    if !reader.more(&mut items) {
        return Err(bad(two));
    }
    let digest = reader.bytes("x5t digest")?;
    if reader.more(&mut items) { Err(bad(two)) } else { Ok(digest) }
}

fn name<'a>(reader: &mut Reader<'a>, field: &str) -> Result<&'a str, VerifyError> {
    let text = reader.text(field)?;
    if text.len() > MAX_NAME {
        return Err(VerifyError::too_large(PART, format!("`{field}` has {} bytes, at most {MAX_NAME}", text.len())));
    }
    Ok(text)
}

fn time(reader: &mut Reader<'_>) -> Result<UnixTime, VerifyError> {
    match reader.tag("signingtime")? {
        Some(EPOCH) => reader.integer("signingtime").map(UnixTime::from_secs),
        _ => Err(bad("`signingtime` is no time in seconds")),
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), VerifyError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad("a member of the protected header stands twice")),
    }
}

fn bad(what: &'static str) -> VerifyError {
    VerifyError::malformed(PART, what)
}
