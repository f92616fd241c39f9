//! Endorsements as one JSON text, for a cache on disk: written and read back without loss. Believed no more than any other bytes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Endorsements, SignedDocument};
use crate::error::VerifyError;
use crate::time::UnixTime;

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Archive {
    format: u32,
    tcb_infos: Vec<Document>,
    qe_identities: Vec<Document>,
    certificates: Vec<String>,
    crls: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    text: String,
    signature: String,
    chain: Vec<String>,
}

const FORMAT: u32 = 1;

impl Endorsements {
    /// The whole set as JSON.
    pub fn to_archive(&self) -> Vec<u8> {
        let documents = |list: &[Arc<SignedDocument>]| {
            list.iter()
                .map(|d| Document {
                    text: STANDARD.encode(&d.text),
                    signature: hex::encode(&d.signature),
                    chain: d.chain.iter().map(|c| STANDARD.encode(c)).collect(),
                })
                .collect()
        };
        let archive = Archive {
            format: FORMAT,
            tcb_infos: documents(self.tcb_infos()),
            qe_identities: documents(self.qe_identities()),
            certificates: self.certificates().iter().map(|c| STANDARD.encode(&c.der)).collect(),
            crls: self.crls().iter().map(|c| STANDARD.encode(&c.der)).collect(),
        };
        serde_json::to_vec(&archive).unwrap_or_default()
    }

    /// Reads what [`Endorsements::to_archive`] wrote.
    ///
    /// # Errors
    /// `malformed`: anything else.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = || VerifyError::malformed("archive", "not an archive of endorsements");
        let archive: Archive = serde_json::from_slice(bytes).map_err(|_| bad())?;
        if archive.format != FORMAT {
            return Err(bad());
        }
        let decoded = |text: &String| STANDARD.decode(text).map_err(|_| bad());
        let document = |d: &Document| {
            let chain = d.chain.iter().map(decoded).collect::<Result<_, _>>()?;
            let signature = hex::decode(&d.signature).map_err(|_| bad())?;
            Ok::<_, VerifyError>(Arc::new(SignedDocument::new(decoded(&d.text)?, signature, chain)))
        };
        let mut held = Self::default();
        for d in &archive.tcb_infos {
            held.add_tcb_info(document(d)?);
        }
        for d in &archive.qe_identities {
            held.add_qe_identity(document(d)?);
        }
        for c in &archive.certificates {
            held.add_certificate(&decoded(c)?);
        }
        for c in &archive.crls {
            held.add_crl(&decoded(c)?);
        }
        Ok(held)
    }

    /// Whether this set is older than `other`, by `tcbEvaluationDataNumber` of documents and CRL numbers of lists of the same
    /// issuer: for a cache that must never step back. Unreadable counts as older.
    pub fn is_older_than(&self, other: &Endorsements) -> bool {
        let documents = |e: &Endorsements| {
            e.tcb_infos().iter().chain(e.qe_identities()).filter_map(|d| evaluation_number(&d.text)).max()
        };
        let lists = |e: &Endorsements| {
            let parsed = e.crls().iter().filter_map(|c| crate::formats::x509::Crl::parse(&c.der).ok());
            parsed.map(|c| (c.number(), c.this_update())).max()
        };
        documents(self) < documents(other) || lists(self) < lists(other)
    }
}

impl Endorsements {
    /// The earliest end of what is held: `nextUpdate` of documents and lists. Certificates are not looked at; what does not
    /// parse has no end, its verification says why.
    pub fn in_force_until(&self) -> UnixTime {
        let next_update = |d: &Arc<SignedDocument>| {
            let value: serde_json::Value = serde_json::from_slice(&d.text).ok()?;
            UnixTime::from_rfc3339(value.get("nextUpdate")?.as_str()?)
        };
        let documents = self.tcb_infos().iter().chain(self.qe_identities()).filter_map(next_update);
        let parsed = self.crls().iter().filter_map(|c| crate::formats::x509::Crl::parse(&c.der).ok());
        documents.chain(parsed.filter_map(|c| c.next_update())).min().unwrap_or(UnixTime::FOREVER)
    }
}

fn evaluation_number(text: &[u8]) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    value.get("tcbEvaluationDataNumber")?.as_u64()
}
