//! What was found true: claims that only this crate's checks can make.
//!
//! RFC 9334 section 8.4: the verifier's output. Two claims objects, never merged: *attested* (hardware, firmware or issuer say
//! so) and *presented* (the workload says so, bound by a digest).

use std::fmt;

use serde_json::{Map, Value, json};

use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::kinds::EvidenceKind;
use crate::options::Options;
use crate::recipient::RecipientKey;
use crate::time::UnixTime;

/// Status of a platform's trusted computing base, as Intel names it. A closed list: an unknown text is refused where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcbStatus {
    /// Patched and configured as the vendor wants.
    UpToDate,
    /// Up to date, but software must mitigate.
    SWHardeningNeeded,
    /// Up to date, but the configuration needs a change.
    ConfigurationNeeded,
    /// Both of the above.
    ConfigurationAndSWHardeningNeeded,
    /// Not patched.
    OutOfDate,
    /// Not patched, and the configuration needs a change.
    OutOfDateConfigurationNeeded,
    /// A TD 1.5 that runs on an updated module but was launched on an older one.
    TDRelaunchAdvised,
    /// The same with a configuration change needed.
    TDRelaunchAdvisedConfigurationNeeded,
    /// Compromised; never accepted.
    Revoked,
}

impl TcbStatus {
    /// Every status.
    pub const ALL: &'static [TcbStatus] = &[
        Self::UpToDate,
        Self::SWHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSWHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::TDRelaunchAdvised,
        Self::TDRelaunchAdvisedConfigurationNeeded,
        Self::Revoked,
    ];

    /// Intel's own spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SWHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSWHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TDRelaunchAdvised => "TDRelaunchAdvised",
            Self::TDRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::Revoked => "Revoked",
        }
    }

    /// Reads Intel's spelling, exactly. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The TCB verdict of an Intel platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcb {
    /// Platform, quoting enclave and module merged.
    pub status: TcbStatus,
    /// Quoting enclave alone.
    pub qe_status: TcbStatus,
    /// TDX module alone; absent for SGX.
    pub module_status: Option<TcbStatus>,
    /// Date of the matching level, of the older one where launch and present module match two, RFC 3339.
    pub date: String,
    /// `tcbEvaluationDataNumber` of the TCB info.
    pub evaluation_number: u32,
    /// Advisory ids of every level that counted, sorted, without repeats.
    pub advisories: Vec<String>,
}

/// Whether revocation lists were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Every non-root link was looked up on a list in force.
    Checked,
    /// No list was held.
    NotChecked,
    /// The kind has no lists (Nitro's certificates live three hours; software).
    NotDefined,
}

/// Where a kind can carry the digest of init-time data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitDataSlot {
    /// The kind has no such field.
    None,
    /// A field whose first 32 bytes are a SHA-256 and whose other bytes, if any, are zero. SNP HOST_DATA, TDX MRCONFIGID, SGX CONFIGID.
    Field(Vec<u8>),
}

/// The key to which answers may be sealed: the only source of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundKey {
    /// Nothing was asked of the evidence; no key may be used on the strength of it.
    Absent,
    /// This key's digest stands in the evidence.
    Present(RecipientKey),
}

/// A piece of collateral that counted, so that the caller can hold its version against the newest ever seen (P10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedCollateral {
    /// What it was.
    pub id: CollateralId,
    /// Its version: `tcbEvaluationDataNumber`, number of Intel's lists, time of issue in seconds of AMD's. Grows with every issue.
    pub version: u64,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// When it ends.
    pub not_after: UnixTime,
}

/// How far a TPM is, by its own word under its attestation key. Counters may be shifted by a constant of the key: only two states of
/// one key compare, modulo 2^32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmState {
    /// The attestation key: SHA-256 of its SubjectPublicKeyInfo in hex. Nothing that a sender may vary is in it.
    pub key: String,
    /// The key's name in hex; `None` where an operator pinned its numbers alone.
    pub name: Option<String>,
    /// Resets of the TPM.
    pub reset_count: u32,
    /// Resumes since the last reset.
    pub restart_count: u32,
    /// Milliseconds that it was powered.
    pub clock: u64,
    /// No greater clock was ever shown.
    pub safe: bool,
}

/// Genuine evidence: signatures, chains, dates, revocation and binding hold. Whether it is *accepted* is another question.
#[derive(Debug, Clone)]
pub struct Genuine {
    pub(crate) kind: EvidenceKind,
    pub(crate) anchor: String,
    pub(crate) attested: Map<String, Value>,
    pub(crate) debug: bool,
    pub(crate) tcb: Option<Tcb>,
    pub(crate) revocation: Revocation,
    pub(crate) known_forgeable: bool,
    pub(crate) platforms: Vec<String>,
    pub(crate) measurements: Vec<String>,
    pub(crate) used: Vec<UsedCollateral>,
    pub(crate) not_after: UnixTime,
    pub(crate) init_data: InitDataSlot,
    pub(crate) bound: BoundKey,
    pub(crate) signed: Option<[u8; 32]>,
    pub(crate) sha1: Option<VerifyError>,
    pub(crate) unproven: Option<(&'static str, &'static str)>,
    pub(crate) tpm: Option<TpmState>,
    pub(crate) resident: Option<RecipientKey>,
}

impl Genuine {
    /// The only constructor; called by the kinds after their last check.
    pub(crate) fn assertion(kind: EvidenceKind, anchor: &str, bound: BoundKey) -> Self {
        Self {
            kind,
            anchor: anchor.to_owned(),
            attested: Map::new(),
            debug: false,
            tcb: None,
            revocation: Revocation::NotDefined,
            known_forgeable: false,
            platforms: Vec::new(),
            measurements: Vec::new(),
            used: Vec::new(),
            not_after: UnixTime::FOREVER,
            init_data: InitDataSlot::None,
            bound,
            signed: None,
            sha1: None,
            unproven: None,
            tpm: None,
            resident: None,
        }
    }

    /// The kind of evidence.
    pub fn kind(&self) -> EvidenceKind {
        self.kind
    }
    /// `vendor`, `software`, or the operator's anchor name.
    pub fn anchor(&self) -> &str {
        &self.anchor
    }
    /// The TCB verdict, for Intel's kinds.
    pub fn tcb(&self) -> Option<&Tcb> {
        self.tcb.as_ref()
    }
    /// Debug evidence.
    pub fn is_debug(&self) -> bool {
        self.debug || self.unproven.is_some()
    }
    /// Identities for deny lists: `snp-chip:<hex>`, `snp-csp:<name>`, `intel-ppid:<hex>`, `nitro-module:<id>` …
    pub fn platforms(&self) -> &[String] {
        &self.platforms
    }
    /// Measurements for deny lists, lower-case hex.
    pub fn measurements(&self) -> &[String] {
        &self.measurements
    }
    /// The collateral that counted.
    pub fn used(&self) -> &[UsedCollateral] {
        &self.used
    }
    /// The earliest end of everything that counted.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
    /// SHA-256 over what the hardware signed and its signature, where other bytes stand beside them that nobody signed: padding, a
    /// chain, a table. The same evidence has it in any wrapping, and no other has it.
    pub fn signed_sha256(&self) -> Option<&[u8; 32]> {
        self.signed.as_ref()
    }
    /// Clock and counters of a TPM, to be held against those seen last of the same key.
    pub fn tpm(&self) -> Option<&TpmState> {
        self.tpm.as_ref()
    }
    /// A key that the attestation key certified to live in its TPM alone, and to decrypt for its owner. Where nothing was bound it says
    /// nothing of who asks: what is sealed to it is read on that machine, and no key may be used on the strength of it.
    pub fn resident_key(&self) -> Option<&RecipientKey> {
        self.resident.as_ref()
    }
    /// The key in the evidence.
    pub fn bound_key(&self) -> &BoundKey {
        &self.bound
    }

    /// Whether init-time data with this SHA-256 stands in the evidence.
    ///
    /// # Errors
    /// `unsupported` where the kind has no field for it, `binding-mismatch` where the field says otherwise.
    pub fn check_init_data(&self, sha256: &[u8; 32]) -> Result<(), VerifyError> {
        match &self.init_data {
            InitDataSlot::None => {
                Err(VerifyError::unsupported("init-data", "this kind of evidence carries no init-time data"))
            }
            InitDataSlot::Field(field) => match field.split_first_chunk::<32>() {
                Some((head, rest)) if head == sha256 && rest.iter().all(|b| *b == 0) => Ok(()),
                _ => Err(VerifyError::binding("init-data", "the evidence carries another digest of init-time data")),
            },
        }
    }

    /// The claims that a token for this evidence carries: what the hardware says, and the object `keygate` of what was concluded.
    pub fn claims(&self) -> Map<String, Value> {
        let mut claims = self.attested.clone();
        let mut keygate = Map::new();
        keygate.insert("kind".into(), json!(self.kind.as_str()));
        keygate.insert("anchor".into(), json!(self.anchor));
        keygate.insert("debug".into(), json!(self.is_debug()));
        if let Some(tcb) = &self.tcb {
            keygate.insert(
                "tcb".into(),
                json!({
                    "status": tcb.status.as_str(),
                    "date": tcb.date,
                    "evaluation_number": tcb.evaluation_number,
                    "advisories": tcb.advisories,
                }),
            );
        }
        match self.revocation {
            Revocation::Checked => drop(keygate.insert("revocation".into(), json!("checked"))),
            Revocation::NotChecked => drop(keygate.insert("revocation".into(), json!("not-checked"))),
            Revocation::NotDefined => {}
        }
        keygate.insert("known_forgeable".into(), json!(self.known_forgeable));
        claims.insert("keygate".into(), Value::Object(keygate));
        claims
    }

    /// Why the options do not accept this, if they do not: the only grounds are debug, SHA-1 and TCB status.
    pub(crate) fn refused_by(&self, options: &Options) -> Option<VerifyError> {
        if let Some(why) = &self.sha1
            && !options.allow_sha1
        {
            return Some(why.clone());
        }
        if self.debug && !options.allow_debug {
            return Some(VerifyError::debug(
                "evidence",
                "the workload runs in debug mode, its memory can be read from outside",
            ));
        }
        if let Some((part, why)) = self.unproven
            && !options.allow_debug
        {
            return Some(VerifyError::debug(part, why));
        }
        let status = self.tcb.as_ref()?.status;
        if status == TcbStatus::Revoked || !options.accept_tcb.contains(&status) {
            return Some(VerifyError::tcb(
                "status",
                format!("the platform's TCB status is `{status}`, which is not accepted"),
            ));
        }
        None
    }
}

/// Believed and accepted. The one constructor is named `assertion`, and [`crate::Verifier::verify`] alone calls it.
#[derive(Debug, Clone)]
pub struct Verified(Box<Genuine>);

impl Verified {
    pub(crate) fn assertion(genuine: Genuine) -> Self {
        Self(Box::new(genuine))
    }
}

impl std::ops::Deref for Verified {
    type Target = Genuine;
    fn deref(&self) -> &Genuine {
        &self.0
    }
}
