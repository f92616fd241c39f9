//! The deny list: machines, measurements and issuers' keys that open nothing, whatever a rule says.
//!
//! `native-api.md` section 2 (`keygate deny`), threat model P26. An entry counts from the next decision on.

use keygate_keystore::{Change, DenyEntry, KeystoreError};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::{Desk, Done, Plan, Reason, Refusal};
use crate::broker::error::{Code, Fault};

/// What is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    kind: String,
    value: String,
}

impl Denial {
    /// Reads kind and value in their one form: `platform` (chip id, PPID) and `measurement` are 16 to 512 lower-case hex digits; a
    /// `platform` may also be a name as the verifier gives it (`snp-chip:…`, `intel-ppid:…`, `intel-fmspc:…`, `nitro-module:…`,
    /// `software-key:…`, `tpm-ek:…`, `tpm-ak:…`, `tpm-firmware:…`, `snp-csp:…`, `snp-product:…`, `azure-vm:…`, `gce-instance:…`, `nvidia-gpu:…`); `issuer-key` is the RFC 7638 thumbprint of a key, 43 characters of base64url.
    ///
    /// # Errors
    /// `malformed`.
    pub fn parse(kind: &str, value: &str) -> Result<Self, Fault> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let digits =
            |text: &str| (16..=512).contains(&text.len()) && text.len().is_multiple_of(2) && text.bytes().all(hex);
        let module = |text: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (3..=64).contains(&text.len()) && text.starts_with("i-") && text.bytes().all(plain)
        };
        let fits = match kind {
            "platform" => match value.split_once(':') {
                Some(("snp-chip" | "intel-ppid" | "software-key" | "tpm-ek" | "tpm-ak" | "tpm-firmware", bare)) => {
                    digits(bare)
                }
                Some(("intel-fmspc", bare)) => bare.len() == 12 && bare.bytes().all(hex),
                Some(("nitro-module", bare)) => module(bare),
                Some(("snp-csp", name)) => (1..=127).contains(&name.len()) && name.is_ascii(),
                Some(("snp-product", name)) => matches!(name, "milan" | "genoa" | "turin"),
                // Of tokens of other verifiers.
                Some(("azure-vm" | "gce-instance" | "nvidia-gpu", name)) => {
                    (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
                }
                Some(_) => false,
                None => digits(value) || module(value),
            },
            "measurement" => digits(value),
            "issuer-key" => value.len() == 43 && value.bytes().all(base64url),
            _ => return Err(Fault::new(Code::Malformed, "not a kind of the deny list")),
        };
        let form = match kind {
            "platform" => {
                "a platform is its sort and 16 to 512 lower-case hex digits, such as `snp-chip:…` or `intel-ppid:…`"
            }
            "measurement" => "a measurement is 16 to 512 lower-case hex digits",
            _ => "a key of an issuer is its RFC 7638 thumbprint, 43 characters of base64url",
        };
        match fits {
            true => Ok(Self { kind: kind.to_owned(), value: value.to_owned() }),
            false => Err(Fault::new(Code::Malformed, form)),
        }
    }
}

fn described(entry: &DenyEntry) -> Value {
    json!({
        "kind": entry.kind, "value": entry.value, "reason": entry.reason, "at": entry.at, "author": entry.author,
        "etag": etag(entry),
    })
}

fn etag(entry: &DenyEntry) -> String {
    let text = format!("{}\0{}\0{}\0{}", entry.kind, entry.value, entry.at, entry.author);
    hex::encode(sha256(text.as_bytes()).split_at(8).0)
}

impl Desk<'_> {
    /// The whole list.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_denied(&self) -> Result<Vec<Value>, Refusal> {
        Ok(self.broker.keystore.denied(&self.provider)?.iter().map(described).collect())
    }

    /// Denies something from the next decision on.
    ///
    /// # Errors
    /// `conflict` if it is denied already.
    pub fn deny(&self, denial: Denial, reason: Reason) -> Result<Done, Refusal> {
        let if_match = self.expected_absent()?;
        let object = json!({"kind": denial.kind, "value": denial.value});
        let change = Change::AddDeny { kind: denial.kind, value: denial.value };
        let plan = Plan { change, if_match, reason, before: Value::Null, after: object.clone(), forced: None };
        let changed = self.change(plan)?;
        Ok(self.done(&changed, Value::Null, object))
    }

    /// Denies something no more. `If-Match` names the `etag` of the entry.
    ///
    /// # Errors
    /// `not-found` if it is not denied.
    pub fn allow(&self, denial: Denial, reason: Reason) -> Result<Done, Refusal> {
        let all = self.broker.keystore.denied(&self.provider)?;
        let found = all.iter().find(|entry| entry.kind == denial.kind && entry.value == denial.value);
        let entry = found.ok_or(KeystoreError::NotFound("entry of the deny list"))?;
        self.expected(&etag(entry))?;
        let before = json!({"kind": denial.kind, "value": denial.value});
        let change = Change::RemoveDeny { kind: denial.kind, value: denial.value };
        let if_match = keygate_keystore::IfMatch::Any;
        let plan = Plan { change, if_match, reason, before: before.clone(), after: Value::Null, forced: None };
        let changed = self.change(plan)?;
        Ok(self.done(&changed, before, Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_has_one_form() {
        assert!(Denial::parse("platform", &"0a".repeat(64)).is_ok());
        assert!(Denial::parse("issuer-key", &"A".repeat(43)).is_ok());
        assert!(Denial::parse("platform", "gce-instance:8213").is_ok());
        for (kind, value) in [
            ("platform", "0A".repeat(64)),
            ("platform", format!(" {}", "0a".repeat(64))),
            ("platform", "0a".repeat(7)),
            ("measurement", "0a0".repeat(11)),
            ("Platform", "0a".repeat(64)),
            ("issuer-key", "A".repeat(44)),
            ("platform", "gce-instance:".to_owned()),
            ("platform", "gce-instance:82 13".to_owned()),
        ] {
            assert!(Denial::parse(kind, &value).is_err(), "{kind} {value}");
        }
    }

    #[test]
    fn sgx_35_a_platform_is_named_as_the_verifier_names_it_or_barely() {
        let chip = "0a".repeat(64);
        for value in [
            chip.clone(),
            format!("snp-chip:{chip}"),
            format!("intel-ppid:{}", "0b".repeat(16)),
            "intel-fmspc:00906ed50000".to_owned(),
            "nitro-module:i-0827e799ec9232d44-enc019b5640fdf630d6".to_owned(),
            "i-0827e799ec9232d44".to_owned(),
            format!("software-key:{}", "0c".repeat(32)),
            "snp-product:milan".to_owned(),
        ] {
            assert!(Denial::parse("platform", &value).is_ok(), "{value}");
        }
        for value in [
            "",
            "snp-chip:",
            "snp-chip:XYZ",
            "other:0a0a0a0a0a0a0a0a",
            "0A0A0A0A0A0A0A0A",
            "i-../x",
            "snp-product:Milan",
        ] {
            assert!(Denial::parse("platform", value).is_err(), "{value}");
        }
    }
}
