//! The report that Azure's paravisor (the Host Compatibility Layer) keeps in the virtual TPM, at NV index 0x01400001.
//!
//! Microsoft, *Azure confidential VM, guest attestation design*: header of 32 bytes, hardware report of 1184 bytes, header of the
//! run-time data of 20 bytes, run-time data in JSON. All numbers little-endian. What the hardware signed carries the SHA-256 of the
//! JSON in its report data; the JSON names the attestation key and the endorsement key of the virtual TPM.

use openssl::sha::sha256;
use serde_json::{Map, Value};

use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::json;
use crate::signatures::PublicKey;

const PART: &str = "hcl-report";
const RUNTIME: &str = "hcl-runtime-data";
/// The largest report, in bytes: the NV index holds 2600.
const MAX_REPORT: usize = 16 * 1024;
/// The place of the hardware's report.
const HARDWARE: usize = 1184;
/// Bytes of a TDREPORT.
const TD_REPORT: usize = 1024;
/// Bytes of the header of the run-time data, which its size counts.
const RUNTIME_HEADER: usize = 20;
/// Header, hardware report: what the report's size counts beside the run-time data.
const BEFORE_RUNTIME: usize = 32 + HARDWARE;
const VTPM_REPORT: u32 = 2;
const SHA256: u32 = 1;
/// The `kid` of the attestation key.
const AK: &str = "HCLAkPub";
/// The `kid` of the endorsement key.
const EK: &str = "HCLEkPub";

/// What hardware stands below the paravisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hardware<'a> {
    /// An SEV-SNP report, 1184 bytes.
    Snp(&'a [u8]),
    /// A trust domain: its TDREPORT is signed by nobody, a quote stands beside it.
    Tdx,
}

/// A well-formed report. Nothing in it is believed yet.
#[derive(Debug)]
pub(crate) struct HclReport<'a> {
    /// The hardware's report.
    pub hardware: Hardware<'a>,
    /// The run-time data as they stand: UTF-8 JSON.
    pub runtime: &'a [u8],
    claims: Map<String, Value>,
}

impl<'a> HclReport<'a> {
    /// Reads a report, at most 16 KiB; zeros may follow, as the NV index is longer.
    ///
    /// # Errors
    /// `malformed`: another signature, version, size or kind, run-time data that are no JSON object; `unsupported`: another hardware
    /// or hash; `too-large`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_REPORT {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX_REPORT}", bytes.len())));
        }
        let bad = |what: String| VerifyError::malformed(PART, what);
        let mut reader = Reader::new(bytes, PART);
        if reader.take(4, "signature")? != b"HCLA" {
            return Err(bad("it does not begin with `HCLA`".to_owned()));
        }
        let version = reader.u32_le("version")?;
        if !(1..=2).contains(&version) {
            return Err(bad(format!("version {version}, known are 1 and 2")));
        }
        let size = reader.u32_le("report size")?;
        let kind = reader.u32_le("request type")?;
        if kind != VTPM_REPORT {
            return Err(bad(format!("request type {kind}, that of a virtual tpm is {VTPM_REPORT}")));
        }
        let status = reader.u32_le("status")?;
        if status != 0 {
            return Err(bad(format!("status {status}, the paravisor had no report")));
        }
        reader.take(12, "reserved")?;
        let hardware = reader.take(HARDWARE, "hardware report")?;

        let runtime_size = reader.u32_le("size of the run-time data")?;
        let runtime_version = reader.u32_le("version of the run-time data")?;
        let hardware_kind = reader.u32_le("kind of hardware")?;
        let hash = reader.u32_le("kind of hash")?;
        let length = reader.u32_le("length of the claims")?;
        if runtime_version != 1 {
            return Err(bad(format!("version {runtime_version} of the run-time data, known is 1")));
        }
        if hash != SHA256 {
            return Err(VerifyError::unsupported(PART, format!("hash {hash} of the run-time data, SHA-256 is served")));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let runtime = reader.take(length, "run-time data")?;
        // Three numbers say how long it is, and must say the same.
        let counted = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        if counted(runtime_size) != length.saturating_add(RUNTIME_HEADER)
            || counted(size) != counted(runtime_size).saturating_add(BEFORE_RUNTIME)
        {
            return Err(bad("its sizes contradict each other".to_owned()));
        }
        if reader.rest().iter().any(|b| *b != 0) {
            return Err(bad("something other than zeros follows its end".to_owned()));
        }
        let hardware = match hardware_kind {
            2 => Hardware::Snp(hardware),
            4 => match hardware.split_at_checked(TD_REPORT) {
                Some((_, padding)) if padding.iter().all(|b| *b == 0) => Hardware::Tdx,
                _ => return Err(bad("something other than zeros follows the td report".to_owned())),
            },
            other => {
                return Err(VerifyError::unsupported(
                    PART,
                    format!("hardware {other}, SEV-SNP (2) and TDX (4) are served"),
                ));
            }
        };
        Self::of_parts(runtime, hardware)
    }

    /// The same where run-time data, at most 16 KiB, and what the hardware signed come apart.
    ///
    /// # Errors
    /// `malformed`: run-time data that are no JSON object; `too-large`.
    pub fn of_parts(runtime: &'a [u8], hardware: Hardware<'a>) -> Result<Self, VerifyError> {
        if runtime.len() > MAX_REPORT {
            return Err(VerifyError::too_large(RUNTIME, format!("{} bytes, at most {MAX_REPORT}", runtime.len())));
        }
        let claims = json::object(runtime)
            .map_err(|_| VerifyError::malformed(RUNTIME, "the run-time data are not one strict json object"))?;
        Ok(Self { hardware, runtime, claims })
    }

    /// SHA-256 of the run-time data: the first half of the hardware's report data, the other half being zero.
    pub fn runtime_sha256(&self) -> [u8; 32] {
        sha256(self.runtime)
    }

    /// The attestation key of the virtual TPM: the one key `HCLAkPub`, RSA, for signing.
    ///
    /// # Errors
    /// `malformed`: absent, twice, under other members, or numbers that are no key of 2048 to 4096 bits.
    pub fn attestation_key(&self) -> Result<(PublicKey, RsaNumbers), VerifyError> {
        let key = self.key(AK)?.ok_or_else(|| VerifyError::malformed(RUNTIME, format!("no key `{AK}`")))?;
        let signs = |ops: &Value| ops.as_array().is_some_and(|ops| matches!(ops.as_slice(), [op] if op == "sign"));
        if !key.get("key_ops").is_some_and(signs) {
            return Err(VerifyError::malformed(RUNTIME, format!("`{AK}` is no key for signing")));
        }
        let numbers = rsa_numbers(key, AK)?;
        let public = PublicKey::from_rsa(&numbers.n, &numbers.e)
            .ok_or_else(|| VerifyError::malformed(RUNTIME, format!("`{AK}` is no RSA key of 2048 to 4096 bits")))?;
        Ok((public, numbers))
    }

    /// The endorsement key of the virtual TPM, where the report names it.
    ///
    /// # Errors
    /// `malformed`: it stands twice, or is no RSA key.
    pub fn endorsement_key(&self) -> Result<Option<RsaNumbers>, VerifyError> {
        self.key(EK)?.map(|key| rsa_numbers(key, EK)).transpose()
    }

    /// A member of `vm-configuration`.
    pub fn configuration(&self, name: &str) -> Option<&Value> {
        self.claims.get("vm-configuration")?.as_object()?.get(name)
    }

    /// The run-time data as claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    fn key(&self, kid: &str) -> Result<Option<&Map<String, Value>>, VerifyError> {
        let list = match self.claims.get("keys") {
            Some(Value::Array(list)) => list,
            _ => return Err(VerifyError::malformed(RUNTIME, "`keys` is no list")),
        };
        let mut found = None;
        for key in list {
            let Value::Object(key) = key else {
                return Err(VerifyError::malformed(RUNTIME, "a member of `keys` is no object"));
            };
            if key.get("kid").and_then(Value::as_str) == Some(kid) && found.replace(key).is_some() {
                return Err(VerifyError::malformed(RUNTIME, format!("key `{kid}` stands twice")));
            }
        }
        Ok(found)
    }
}

/// Modulus and exponent, big-endian, without leading zero bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RsaNumbers {
    pub n: Vec<u8>,
    pub e: Vec<u8>,
}

fn rsa_numbers(key: &Map<String, Value>, kid: &str) -> Result<RsaNumbers, VerifyError> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let bad = |what: &str| VerifyError::malformed(RUNTIME, format!("`{kid}`: {what}"));
    if key.get("kty").and_then(Value::as_str) != Some("RSA") {
        return Err(bad("it is no RSA key"));
    }
    let number = |name: &str| {
        let text = key.get(name).and_then(Value::as_str).ok_or_else(|| bad("modulus and exponent are texts"))?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("a number is not canonical base64url"))?;
        match bytes.first() {
            None | Some(0) => Err(bad("a number is written without leading zero bytes")),
            Some(_) => Ok(bytes),
        }
    };
    let numbers = RsaNumbers { n: number("n")?, e: number("e")? };
    // An exponent of one would make every text its own signature (bad inputs, TPM-34).
    if numbers.e != [1, 0, 1] {
        return Err(bad("the exponent is not 65537"));
    }
    Ok(numbers)
}
