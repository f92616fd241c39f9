//! TCB levels: how they are ordered, which one a platform reaches, and how several verdicts become one.
//!
//! Intel SGX and TDX Provisioning Certification Service API, *Get TCB Info*, *Enhanced platform TCB level evaluation*; Intel's
//! quote verification library for the order of levels, the convergence of statuses and the relaunch check of TD 1.5.

use std::cmp::Ordering;

use dcap_qvl::tcb_info::{TcbComponents, TdxModuleTcbLevel};

use super::documents::{TcbContent, hexed};
use crate::error::VerifyError;
use crate::time::UnixTime;
use crate::verified::TcbStatus;

/// A verdict as a level states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub status: TcbStatus,
    /// Date of the level.
    pub date: UnixTime,
    pub advisories: Vec<String>,
}

/// One level of a platform family.
#[derive(Debug)]
pub(crate) struct TcbLevel {
    components: [u8; 16],
    pce_svn: u16,
    /// TDX only.
    tdx: Option<[u8; 16]>,
    verdict: Verdict,
}

/// One level of a quoting enclave or of a TDX module.
#[derive(Debug)]
pub(crate) struct QeLevel {
    svn: u16,
    verdict: Verdict,
}

/// Identity of a TDX module.
#[derive(Debug)]
pub(crate) struct TdxModule {
    pub mr_signer: [u8; 48],
    pub attributes: [u8; 8],
    pub attributes_mask: [u8; 8],
    /// Highest first; empty for the module of TDX 1.0, which the platform's levels judge.
    levels: Vec<QeLevel>,
}

impl Verdict {
    fn read(date: &str, status: dcap_qvl::TcbStatus, advisories: &[String]) -> Result<Self, VerifyError> {
        use dcap_qvl::TcbStatus as Text;
        let status = match status {
            Text::UpToDate => TcbStatus::UpToDate,
            Text::SWHardeningNeeded => TcbStatus::SWHardeningNeeded,
            Text::ConfigurationNeeded => TcbStatus::ConfigurationNeeded,
            Text::ConfigurationAndSWHardeningNeeded => TcbStatus::ConfigurationAndSWHardeningNeeded,
            Text::OutOfDate => TcbStatus::OutOfDate,
            Text::OutOfDateConfigurationNeeded => TcbStatus::OutOfDateConfigurationNeeded,
            Text::Revoked => TcbStatus::Revoked,
            // A verdict of the relaunch check, never a level's own status.
            Text::TDRelaunchAdvised | Text::TDRelaunchAdvisedConfigurationNeeded => {
                return Err(VerifyError::tcb(
                    "collateral",
                    "a tcb level states a status that only a verifier can find",
                ));
            }
        };
        let date = UnixTime::from_rfc3339(date)
            .ok_or_else(|| VerifyError::malformed("collateral", format!("`{date}` is no date")))?;
        Ok(Self { status, date, advisories: advisories.to_vec() })
    }

    /// This platform's verdict together with that of a part of it, a module or the quoting enclave. A part that is out of date
    /// or revoked drags the platform along; other statuses of a part do not count.
    pub fn with_part(&self, part: &Verdict) -> Verdict {
        let mut advisories = self.advisories.clone();
        advisories.extend(part.advisories.iter().filter(|a| !self.advisories.contains(a)).cloned());
        Verdict { status: converge(self.status, part.status), date: self.date, advisories }
    }
}

/// Intel's convergence of a platform's status with that of a part.
pub(super) fn converge(platform: TcbStatus, part: TcbStatus) -> TcbStatus {
    use TcbStatus::{
        ConfigurationAndSWHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded, Revoked,
        SWHardeningNeeded, UpToDate,
    };
    match (part, platform) {
        (Revoked, _) => Revoked,
        (OutOfDate, UpToDate | SWHardeningNeeded) => OutOfDate,
        (OutOfDate, ConfigurationNeeded | ConfigurationAndSWHardeningNeeded) => OutOfDateConfigurationNeeded,
        _ => platform,
    }
}

/// The status of a TD 1.5 from its launch status and the one that holds since the module was updated under it.
pub(super) fn after_relaunch_check(launched: TcbStatus, current: TcbStatus) -> TcbStatus {
    use TcbStatus::{
        ConfigurationAndSWHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded, Revoked,
        SWHardeningNeeded, TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded, UpToDate,
    };
    match (launched, current) {
        (Revoked, _) | (_, Revoked) => Revoked,
        (OutOfDate, UpToDate | SWHardeningNeeded) => TDRelaunchAdvised,
        (OutOfDateConfigurationNeeded, UpToDate | SWHardeningNeeded)
        | (OutOfDate | OutOfDateConfigurationNeeded, ConfigurationNeeded | ConfigurationAndSWHardeningNeeded) => {
            TDRelaunchAdvisedConfigurationNeeded
        }
        // A module that is older than the one the TD was launched on: the worse of both.
        (_, OutOfDateConfigurationNeeded) => OutOfDateConfigurationNeeded,
        _ => converge(launched, current),
    }
}

impl TcbLevel {
    pub fn new(
        components: [u8; 16],
        pce_svn: u16,
        tdx: Option<[u8; 16]>,
        date: &str,
        status: dcap_qvl::TcbStatus,
        advisories: &[String],
    ) -> Result<Self, VerifyError> {
        Ok(Self { components, pce_svn, tdx, verdict: Verdict::read(date, status, advisories)? })
    }

    pub fn from_version_3(level: &dcap_qvl::TcbLevel, tdx: bool) -> Result<Self, VerifyError> {
        let sixteen = |list: &[TcbComponents]| -> Result<[u8; 16], VerifyError> {
            let svns: Vec<u8> = list.iter().map(|c| c.svn).collect();
            let found = svns.len();
            svns.try_into()
                .map_err(|_| VerifyError::malformed("tcb-info", format!("a tcb level has {found} components, not 16")))
        };
        let tcb = &level.tcb;
        let components = sixteen(&tcb.sgx_components)?;
        let tdx = if tdx { Some(sixteen(&tcb.tdx_components)?) } else { None };
        Self::new(components, tcb.pce_svn, tdx, &level.tcb_date, level.tcb_status, &level.advisory_ids)
    }

    /// Highest first. Of two levels with the same numbers the worse stands first, wherever they stood in the text.
    pub fn order(&self, other: &Self) -> Ordering {
        let numbers = |l: &Self| (l.components, l.pce_svn, l.tdx);
        numbers(other)
            .cmp(&numbers(self))
            .then_with(|| other.verdict.status.cmp(&self.verdict.status))
            .then_with(|| other.verdict.advisories.cmp(&self.verdict.advisories))
    }

    fn reached_by(&self, components: &[u8; 16], pce_svn: u16, tdx: Option<&[u8; 16]>) -> bool {
        let sgx = components.iter().zip(&self.components).all(|(have, need)| have >= need);
        let tdx = match (tdx, &self.tdx) {
            (None, None) => true,
            // From module version 1 on, the first two components are judged by the module's own levels.
            (Some(have), Some(need)) => {
                let own = if module_version(have) > 0 { 2 } else { 0 };
                have.iter().zip(need).skip(own).all(|(have, need)| have >= need)
            }
            _ => false,
        };
        sgx && tdx && pce_svn >= self.pce_svn
    }
}

impl QeLevel {
    pub fn read(level: &dcap_qvl::QeTcbLevel) -> Result<Self, VerifyError> {
        let verdict = Verdict::read(&level.tcb_date, level.tcb_status, &level.advisory_ids)?;
        Ok(Self { svn: level.tcb.isvsvn, verdict })
    }

    fn of_module(level: &TdxModuleTcbLevel) -> Result<Self, VerifyError> {
        let verdict = Verdict::read(&level.tcb_date, level.tcb_status, &level.advisory_ids)?;
        Ok(Self { svn: u16::from(level.tcb.isvsvn), verdict })
    }

    /// Highest first, the worse of two equals first.
    pub fn order(&self, other: &Self) -> Ordering {
        other.svn.cmp(&self.svn).then_with(|| other.verdict.status.cmp(&self.verdict.status))
    }
}

/// The verdict of the first level, highest first, that `svn` reaches.
pub(super) fn reached(levels: &[QeLevel], svn: u16) -> Option<&Verdict> {
    levels.iter().find(|level| svn >= level.svn).map(|level| &level.verdict)
}

/// `TEE_TCB_SVN[1]`: the major version of the TDX module.
fn module_version(tee_tcb_svn: &[u8; 16]) -> u8 {
    let [_, version, ..] = tee_tcb_svn;
    *version
}

impl TdxModule {
    pub fn read(signer: &str, attributes: &str, mask: &str, levels: &[TdxModuleTcbLevel]) -> Result<Self, VerifyError> {
        let mut levels = levels.iter().map(QeLevel::of_module).collect::<Result<Vec<_>, _>>()?;
        levels.sort_by(QeLevel::order);
        Ok(Self {
            mr_signer: hexed(signer, "mrsigner")?,
            attributes: hexed(attributes, "attributes")?,
            attributes_mask: hexed(mask, "attributesMask")?,
            levels,
        })
    }
}

impl TcbContent {
    /// The verdict on a platform with these numbers; for TDX without its module.
    ///
    /// # Errors
    /// `tcb-rejected`: it reaches no level.
    pub fn platform(
        &self,
        components: &[u8; 16],
        pce_svn: u16,
        tdx: Option<&[u8; 16]>,
    ) -> Result<&Verdict, VerifyError> {
        let level = self.levels.iter().find(|level| level.reached_by(components, pce_svn, tdx));
        level.map(|level| &level.verdict).ok_or_else(|| VerifyError::tcb("level", "the platform reaches no tcb level"))
    }

    /// The identity of the module that `tee_tcb_svn` names, and its own verdict where it has levels.
    ///
    /// # Errors
    /// `collateral-unavailable`: the TCB info knows no such module; `tcb-rejected`: the module reaches none of its levels.
    pub fn module(&self, tee_tcb_svn: &[u8; 16]) -> Result<(&TdxModule, Option<&Verdict>), VerifyError> {
        let missing = |what: String| VerifyError::collateral("tdx-module", what);
        let version = module_version(tee_tcb_svn);
        let base = self.module.as_ref().ok_or_else(|| missing("the tcb info has no tdx module".into()))?;
        if version == 0 {
            return Ok((base, None));
        }
        let (_, module) = self
            .modules
            .iter()
            .find(|(known, _)| *known == version)
            .ok_or_else(|| missing(format!("the tcb info knows no tdx module of version {version}")))?;
        let [svn, ..] = tee_tcb_svn;
        let verdict = reached(&module.levels, u16::from(*svn))
            .ok_or_else(|| VerifyError::tcb("tdx-module", format!("the tdx module's svn {svn} reaches no level")))?;
        Ok((module, Some(verdict)))
    }
}
