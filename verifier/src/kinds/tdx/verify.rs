//! The checks of a TDX quote that SGX does not share: the binding, and what becomes of it.
//!
//! Intel TDX Module ABI Specification, *TDREPORT_STRUCT*; Keygate's contract, section 4 *Binding*.

use super::claims;
use super::wire::TdxQuote;
use crate::dcap;
use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::formats::tcg::Bank;
use crate::formats::tcg::event_log::{EventLog, LogKind};
use crate::kinds::EvidenceKind;
use crate::scheme::{Given, Parsed};
use crate::verified::{Genuine, InitDataSlot, Revocation};

impl Parsed for TdxQuote<'_> {
    fn wants(&self, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        dcap::missing(&self.quote, given)
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        let report = self.report()?;
        let platform = dcap::appraise(&self.quote, given)?;
        let bound = given.binding.in_report_data(&report.base.report_data)?;
        let mut genuine = Genuine::assertion(EvidenceKind::Tdx, &platform.anchor, bound);
        genuine.attested = claims::of_report(report);
        genuine.attested.extend([claims::status(platform.tcb.status)]);
        if let Some(log) = &self.event_log {
            let quoted = claims::registers(report);
            let log = EventLog::parse(log, LogKind::Ccel)?.check(Bank::Sha384, &quoted)?;
            genuine.attested.insert("tdx_boot".into(), log.claims()?.into());
        }
        genuine.debug = claims::Attributes::of(report).under_debug();
        genuine.revocation = Revocation::Checked;
        genuine.platforms = platform.names();
        genuine.measurements = vec![hex::encode(report.base.mr_td)];
        genuine.not_after = platform.not_after;
        genuine.init_data = InitDataSlot::Field(report.base.mr_config_id.to_vec());
        genuine.used = platform.used;
        genuine.tcb = Some(platform.tcb);
        genuine.signed = Some(self.quote.signed_sha256());
        Ok(genuine)
    }

    fn inspect(&self) -> serde_json::Map<String, serde_json::Value> {
        self.report().map(claims::of_report).unwrap_or_default()
    }
}
