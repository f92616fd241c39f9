//! TCB info and QE identity: what Intel's signed texts say, in a form that can be matched.
//!
//! Intel SGX and TDX Provisioning Certification Service API, *Get TCB Info* (version 3, and version 2 for SGX) and *Get QE
//! Identity*. `dcap-qvl` reads the current shapes; the older shape of TCB info is read here. Levels are brought into Intel's own
//! order, highest first, so that the order in the text never decides.
//!
//! A document has a *head* (whom it concerns, when it is in force) and a *content*. A content that cannot be used (unknown
//! status, short component list) still has its head, so that it is refused for what it is instead of being overlooked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use dcap_qvl::{QeIdentity as QeIdentityText, TcbInfo as TcbInfoText};
use serde::Deserialize;

use super::levels::{QeLevel, TcbLevel, TdxModule};
use crate::endorsements::{IntelTee, SignedDocument};
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, pem};
use crate::memo::Memo;
use crate::time::UnixTime;

/// What a document was found to say and who signs it, read once when first wanted and shared with it.
#[derive(Default)]
pub(crate) struct Reading {
    tcb_info: OnceLock<Result<Arc<TcbInfo>, VerifyError>>,
    qe_identity: OnceLock<Result<Arc<QeIdentity>, VerifyError>>,
    signer: OnceLock<Result<Arc<Signer>, VerifyError>>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
}

/// When a document is in force and which of two is the newer.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub issued: UnixTime,
    pub next_update: UnixTime,
    pub evaluation_number: u32,
}

impl Term {
    pub fn holds(&self, now: UnixTime) -> bool {
        self.issued <= now && now <= self.next_update
    }

    fn read(issued: &str, next_update: &str, evaluation_number: u32) -> Result<Self, VerifyError> {
        let time = |text: &str| {
            UnixTime::from_rfc3339(text)
                .ok_or_else(|| VerifyError::malformed("collateral", format!("`{text}` is no date")))
        };
        Ok(Self { issued: time(issued)?, next_update: time(next_update)?, evaluation_number })
    }
}

/// TCB info of one platform family.
#[derive(Debug)]
pub(crate) struct TcbInfo {
    pub tee: IntelTee,
    pub fmspc: [u8; 6],
    pub pce_id: [u8; 2],
    pub term: Term,
    pub content: Result<TcbContent, VerifyError>,
}

/// The levels of a platform family, highest first.
#[derive(Debug)]
pub(crate) struct TcbContent {
    pub levels: Vec<TcbLevel>,
    /// `tdxModule`: the module of TDX 1.0, without levels of its own.
    pub module: Option<TdxModule>,
    /// `tdxModuleIdentities`, by major version of the module.
    pub modules: Vec<(u8, TdxModule)>,
}

/// Identity of the quoting enclave of one TEE.
#[derive(Debug)]
pub(crate) struct QeIdentity {
    pub tee: IntelTee,
    pub term: Term,
    pub content: Result<QeContent, VerifyError>,
}

/// What a genuine quoting enclave's report says.
#[derive(Debug)]
pub(crate) struct QeContent {
    pub misc_select: [u8; 4],
    pub misc_select_mask: [u8; 4],
    pub attributes: [u8; 16],
    pub attributes_mask: [u8; 16],
    pub mr_signer: [u8; 32],
    pub product: u16,
    /// Highest first.
    pub levels: Vec<QeLevel>,
}

/// The certificates of a document's signer.
pub(crate) struct Signer {
    pub leaf: Arc<Certificate>,
    /// SHA-256 over the chain as Azure Attestation hashes it: PEM text and a NUL byte behind it.
    pub digest: [u8; 32],
}

impl SignedDocument {
    /// Whether the text is a TCB info at all, of whatever version.
    pub(crate) fn check_tcb_info(&self) -> Result<(), VerifyError> {
        json::<TcbInfoHead>(&self.text, "tcb-info").map(drop)
    }

    /// Whether the text is a QE identity at all, of whatever version.
    pub(crate) fn check_qe_identity(&self) -> Result<(), VerifyError> {
        json::<QeIdentityHead>(&self.text, "qe-identity").map(drop)
    }

    pub(crate) fn as_tcb_info(&self, memo: &Memo) -> Result<Arc<TcbInfo>, VerifyError> {
        let read = || memo.parsed(|| TcbInfo::parse(&self.text));
        self.reading.tcb_info.get_or_init(read).clone()
    }

    pub(crate) fn as_qe_identity(&self, memo: &Memo) -> Result<Arc<QeIdentity>, VerifyError> {
        let read = || memo.parsed(|| QeIdentity::parse(&self.text));
        self.reading.qe_identity.get_or_init(read).clone()
    }

    pub(crate) fn signer(&self, memo: &Memo) -> Result<Arc<Signer>, VerifyError> {
        let read = || {
            let leaf =
                self.chain.first().ok_or_else(|| VerifyError::chain("tcb-signing", "the signer's chain is empty"))?;
            let leaf = memo.certificate(leaf)?;
            Ok(Arc::new(Signer {
                leaf,
                digest: openssl::sha::sha256(format!("{}\0", pem::text(&self.chain)).as_bytes()),
            }))
        };
        self.reading.signer.get_or_init(read).clone()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TcbInfoHead {
    id: Option<String>,
    version: u32,
    issue_date: String,
    next_update: String,
    fmspc: String,
    pce_id: String,
    tcb_evaluation_data_number: u32,
}

impl TcbInfo {
    fn parse(text: &[u8]) -> Result<Self, VerifyError> {
        // Nearly every text has the current shape; the head is read apart only where the whole is none.
        let whole: Result<TcbInfoText, VerifyError> = json(text, "tcb-info");
        let head = match &whole {
            Ok(whole) => TcbInfoHead::of(whole),
            Err(_) => json(text, "tcb-info")?,
        };
        let tee = match head.id.as_deref() {
            // Before version 3 the text did not say, and there was no TDX.
            Some("SGX") | None => IntelTee::Sgx,
            Some("TDX") => IntelTee::Tdx,
            Some(_) => return Err(VerifyError::unsupported("tcb-info", "tcb info of an unknown technology")),
        };
        let content = match (tee, head.version) {
            (_, 3) => whole.and_then(TcbContent::from_version_3),
            (IntelTee::Sgx, 2) => json(text, "tcb-info").and_then(TcbContent::from_version_2),
            (_, version) => {
                let name = super::tee_name(tee);
                Err(VerifyError::unsupported("tcb-info", format!("tcb info version {version} for `{name}`")))
            }
        };
        Ok(Self {
            tee,
            fmspc: hexed(&head.fmspc, "fmspc")?,
            pce_id: hexed(&head.pce_id, "pceId")?,
            term: Term::read(&head.issue_date, &head.next_update, head.tcb_evaluation_data_number)?,
            content,
        })
    }
}

impl TcbInfoHead {
    fn of(whole: &TcbInfoText) -> Self {
        Self {
            id: Some(whole.id.clone()),
            version: u32::from(whole.version),
            issue_date: whole.issue_date.clone(),
            next_update: whole.next_update.clone(),
            fmspc: whole.fmspc.clone(),
            pce_id: whole.pce_id.clone(),
            tcb_evaluation_data_number: whole.tcb_evaluation_data_number,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QeIdentityHead {
    id: String,
    version: u32,
    issue_date: String,
    next_update: String,
    tcb_evaluation_data_number: u32,
}

impl QeIdentity {
    fn parse(text: &[u8]) -> Result<Self, VerifyError> {
        let head: QeIdentityHead = json(text, "qe-identity")?;
        let tee = match head.id.as_str() {
            "QE" => IntelTee::Sgx,
            "TD_QE" => IntelTee::Tdx,
            other => return Err(VerifyError::unsupported("qe-identity", format!("identity of enclave `{other}`"))),
        };
        let content = match (tee, head.version) {
            (_, 2) | (IntelTee::Tdx, 3) => json(text, "qe-identity").and_then(QeContent::read),
            (_, version) => Err(VerifyError::unsupported("qe-identity", format!("qe identity version {version}"))),
        };
        let term = Term::read(&head.issue_date, &head.next_update, head.tcb_evaluation_data_number)?;
        Ok(Self { tee, term, content })
    }
}

impl TcbContent {
    fn from_version_3(text: TcbInfoText) -> Result<Self, VerifyError> {
        let levels =
            text.tcb_levels.iter().map(|l| TcbLevel::from_version_3(l, text.id == "TDX")).collect::<Result<_, _>>()?;
        let module = text
            .tdx_module
            .map(|m| TdxModule::read(&m.mrsigner, &m.attributes, &m.attributes_mask, &[]))
            .transpose()?;
        let mut modules = Vec::new();
        for identity in &text.tdx_module_identities {
            // `TDX_01`: the major version in hex.
            let version = identity.id.strip_prefix("TDX_").and_then(|v| hex::decode(v).ok());
            if let Some([version]) = version.as_deref() {
                let module = TdxModule::read(
                    &identity.mrsigner,
                    &identity.attributes,
                    &identity.attributes_mask,
                    &identity.tcb_levels,
                )?;
                modules.push((*version, module));
            }
        }
        Ok(Self::ordered(levels, module, modules))
    }

    fn from_version_2(text: TcbInfoVersion2) -> Result<Self, VerifyError> {
        let levels = text.tcb_levels.iter().map(LevelVersion2::level).collect::<Result<_, _>>()?;
        Ok(Self::ordered(levels, None, Vec::new()))
    }

    fn ordered(mut levels: Vec<TcbLevel>, module: Option<TdxModule>, modules: Vec<(u8, TdxModule)>) -> Self {
        levels.sort_by(TcbLevel::order);
        Self { levels, module, modules }
    }
}

impl QeContent {
    fn read(text: QeIdentityText) -> Result<Self, VerifyError> {
        let mut levels = text.tcb_levels.iter().map(QeLevel::read).collect::<Result<Vec<_>, _>>()?;
        levels.sort_by(QeLevel::order);
        Ok(Self {
            misc_select: text.miscselect,
            misc_select_mask: text.miscselect_mask,
            attributes: text.attributes,
            attributes_mask: text.attributes_mask,
            mr_signer: text.mrsigner,
            product: text.isvprodid,
            levels,
        })
    }
}

/// The shape before `sgxtcbcomponents`: sixteen members with a number in their names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TcbInfoVersion2 {
    tcb_levels: Vec<LevelVersion2>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LevelVersion2 {
    tcb: TcbVersion2,
    tcb_date: String,
    tcb_status: dcap_qvl::TcbStatus,
    #[serde(rename = "advisoryIDs", default)]
    advisory_ids: Vec<String>,
}

#[derive(Deserialize)]
struct TcbVersion2 {
    pcesvn: u16,
    #[serde(flatten)]
    components: std::collections::BTreeMap<String, u8>,
}

impl LevelVersion2 {
    fn level(&self) -> Result<TcbLevel, VerifyError> {
        let mut components = [0; 16];
        for (n, component) in (1u8..).zip(components.iter_mut()) {
            let name = format!("sgxtcbcomp{n:02}svn");
            let value = self.tcb.components.get(&name);
            *component = *value
                .ok_or_else(|| VerifyError::malformed("tcb-info", format!("a tcb level has no component `{name}`")))?;
        }
        TcbLevel::new(components, self.tcb.pcesvn, None, &self.tcb_date, self.tcb_status, &self.advisory_ids)
    }
}

/// Reads JSON; a status that is none of Intel's is told apart from text that has the wrong shape.
fn json<'a, T: Deserialize<'a>>(text: &'a [u8], part: &'static str) -> Result<T, VerifyError> {
    serde_json::from_slice(text).map_err(|_| match unknown_status(text) {
        Some(status) => VerifyError::tcb(part, format!("the unknown tcb status `{status}`")),
        None => VerifyError::malformed(part, "the text does not have the shape of its version"),
    })
}

fn unknown_status(text: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let levels = |v: &serde_json::Value| v.get("tcbLevels").and_then(|l| l.as_array()).cloned().unwrap_or_default();
    let modules = value.get("tdxModuleIdentities").and_then(|m| m.as_array()).cloned().unwrap_or_default();
    let all = levels(&value).into_iter().chain(modules.iter().flat_map(levels));
    all.filter_map(|l| l.get("tcbStatus").and_then(|s| s.as_str()).map(str::to_owned))
        .find(|s| crate::verified::TcbStatus::parse(s).is_none())
}

pub(super) fn hexed<const N: usize>(text: &str, name: &str) -> Result<[u8; N], VerifyError> {
    let bytes = hex::decode(text).ok().and_then(|b| b.try_into().ok());
    bytes.ok_or_else(|| VerifyError::malformed("collateral", format!("`{name}` is not {N} bytes in hex")))
}
