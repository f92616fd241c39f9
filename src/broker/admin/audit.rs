//! The journal as auditors read it: listed, looked up, verified, held against what was published of it.
//!
//! `native-api.md` section 2 (`keygate audit`), threat model P43. An auditor reads the records of one provider; the chain that is verified
//! is that of the whole store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{EntryView, JournalVerdict, KeystoreError};
use serde_json::{Value, json};

use super::papers::{self, Paper};
use super::{Desk, Refusal};

/// Most entries of one page.
const MOST_LISTED: usize = 500;
/// Entries read at once, and most read for one page.
const STRIDE: usize = 1_000;
const MOST_READ: usize = 50_000;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Behind this number.
    pub after: u64,
    /// At this time or later, unix seconds.
    pub from: Option<i64>,
    /// Before this time, unix seconds.
    pub to: Option<i64>,
    /// About this key.
    pub key: Option<String>,
    /// `permit` or `deny`.
    pub decision: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// At most so many, 1 to 500.
    pub limit: usize,
}

impl Filter {
    fn admits(&self, entry: &EntryView, body: &Value) -> bool {
        let is = |name: &str, wanted: &Option<String>, folded: bool| match (
            wanted,
            body.get(name).and_then(Value::as_str),
        ) {
            (None, _) => true,
            (Some(wanted), Some(found)) => found == wanted || folded && found.eq_ignore_ascii_case(wanted),
            (Some(_), None) => false,
        };
        self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
            && self.kind.as_ref().is_none_or(|kind| entry.kind == *kind)
            && is("key", &self.key, true)
            && is("decision", &self.decision, false)
    }
}

/// One entry: number, time, kind, hash, and the record.
pub fn described(entry: &EntryView) -> Value {
    let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
    json!({
        "number": entry.seq,
        "at": entry.at,
        "kind": entry.kind,
        "provider": entry.provider.as_str(),
        "hash": URL_SAFE_NO_PAD.encode(entry.hash),
        "body": body,
    })
}

/// What was found of a journal, as JSON: `verdict` is `intact` or `broken`.
pub fn verdict(found: &JournalVerdict) -> Value {
    match found {
        JournalVerdict::Intact { entries, head } => json!({
            "verdict": "intact",
            "entries": entries,
            "head": {
                "entry": head.seq, "entry_hash": URL_SAFE_NO_PAD.encode(head.hash), "entry_at": head.at,
                "store": hex::encode(head.store_id), "incarnation": head.incarnation,
            },
        }),
        JournalVerdict::Broken { seq, what } => json!({"verdict": "broken", "entry": seq, "what": what.as_str()}),
    }
}

impl Desk<'_> {
    /// A page of entries in their order, and the number to go on behind.
    ///
    /// # Errors
    /// `store-corrupt` at an entry that is not what was written.
    pub fn list_entries(&self, filter: &Filter) -> Result<(Vec<Value>, Option<u64>), Refusal> {
        let limit = filter.limit.clamp(1, MOST_LISTED);
        let mut after = filter.after;
        let (mut listed, mut read) = (Vec::new(), 0);
        loop {
            let page = self.broker.keystore.entries(Some(&self.provider), after.saturating_add(1), STRIDE)?;
            let full = page.len() == STRIDE;
            read += page.len();
            for entry in page {
                after = entry.seq;
                let told = described(&entry);
                if filter.admits(&entry, told.get("body").unwrap_or(&Value::Null)) {
                    listed.push(told);
                }
                if listed.len() == limit {
                    return Ok((listed, Some(after)));
                }
            }
            if !full {
                return Ok((listed, None));
            }
            if read >= MOST_READ {
                return Ok((listed, Some(after)));
            }
        }
    }

    /// One entry, by its number or by the correlation id of the answer that it belongs to.
    ///
    /// # Errors
    /// `not-found`.
    pub fn show_entry(&self, wanted: &str) -> Result<Value, Refusal> {
        let missing = || KeystoreError::NotFound("audit entry");
        if let Ok(number) = wanted.parse::<u64>() {
            let entries = self.broker.keystore.entries(Some(&self.provider), number, 1)?;
            let entry = entries.iter().find(|entry| entry.seq == number).ok_or_else(missing)?;
            return Ok(described(entry));
        }
        let is_id = wanted.len() == 36 && wanted.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
        if !is_id {
            return Err(KeystoreError::Malformed("neither a number nor a correlation id").into());
        }
        let quoted = format!("\"{}\"", wanted.to_ascii_lowercase());
        let mut from = 1;
        loop {
            let page = self.broker.keystore.entries(Some(&self.provider), from, STRIDE)?;
            if let Some(entry) = page.iter().find(|entry| entry.body.contains(&quoted)) {
                return Ok(described(entry));
            }
            match page.last() {
                Some(last) if page.len() == STRIDE => from = last.seq.saturating_add(1),
                _ => return Err(missing().into()),
            }
        }
    }

    /// Verifies the whole journal, and holds published heads and receipts that workloads kept against it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn verify_journal(&self, heads: &[String], receipts: &[String]) -> Result<Value, Refusal> {
        let found = self.broker.keystore.verify_journal(&mut |_, _| {})?;
        let mut told = verdict(&found);
        let papers = papers::hold(
            &self.broker.keystore,
            &self.provider,
            heads.iter().map(|text| Paper::Head(text)).chain(receipts.iter().map(|text| Paper::Receipt(text))),
        )?;
        told["papers"] = json!(papers);
        Ok(told)
    }
}
