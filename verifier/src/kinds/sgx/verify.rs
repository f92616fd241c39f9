//! The checks of an SGX quote that TDX does not share: INIT, the binding, and what becomes of it.
//!
//! Intel SDM volume 3D, section 35.15 (REPORT); Keygate's contract, section 4 *Binding*.

use super::claims;
use super::wire::SgxQuote;
use crate::dcap;
use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::kinds::EvidenceKind;
use crate::scheme::{Given, Parsed};
use crate::verified::{Genuine, InitDataSlot, Revocation};

impl Parsed for SgxQuote<'_> {
    fn wants(&self, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        dcap::missing(&self.quote, given)
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        let platform = dcap::appraise(&self.quote, given)?;
        let flags = claims::Flags::of(&self.report);
        if !flags.initialised {
            return Err(VerifyError::debug("enclave", "the enclave is not initialised"));
        }
        let bound = given.binding.in_report_data(&self.report.report_data)?;
        let mut genuine = Genuine::assertion(EvidenceKind::Sgx, &platform.anchor, bound);
        genuine.attested = claims::of_report(self);
        genuine.attested.insert("x-ms-sgx-collateral".to_owned(), claims::collateral(self, &platform));
        genuine.debug = flags.debug;
        genuine.revocation = Revocation::Checked;
        genuine.platforms = platform.names();
        genuine.measurements = vec![hex::encode(self.report.mr_enclave), hex::encode(self.report.mr_signer)];
        genuine.not_after = platform.not_after;
        // Without KSS the field has no meaning: an enclave cannot be launched with a CONFIGID.
        genuine.init_data = match flags.kss {
            true => InitDataSlot::Field(claims::config_id(&self.report).to_vec()),
            false => InitDataSlot::None,
        };
        genuine.used = platform.used;
        genuine.tcb = Some(platform.tcb);
        genuine.signed = Some(self.quote.signed_sha256());
        Ok(genuine)
    }

    fn inspect(&self) -> serde_json::Map<String, serde_json::Value> {
        claims::of_report(self)
    }
}
