//! TCB info and QE identity as text, members in the order Intel writes them.
//! Intel PCS API version 4, "TCB info" (formats 2 and 3) and "Enclave identity" (format 2).

use super::{Collateral, CollateralFault, SvnLevel, TcbLevel, TdxModule, Tee};
use crate::der::rfc3339;

impl Collateral {
    /// The TCB info that is to be signed.
    pub(super) fn tcb_info(&self) -> String {
        if self.fault == Some(CollateralFault::TcbInfoNotJson) {
            return "not json".to_owned();
        }
        let mut members = Vec::new();
        let id = match self.tee {
            Tee::Sgx => "SGX",
            Tee::Tdx => "TDX",
        };
        if self.tcb_info_version >= 3 {
            members.push(format!(r#""id":"{id}""#));
        }
        members.push(format!(r#""version":{}"#, self.tcb_info_version));
        members.push(format!(r#""issueDate":"{}""#, rfc3339(self.issued)));
        let next = rfc3339(self.tcb_info_next_update);
        members.push(format!(r#""nextUpdate":"{next}""#));
        members.push(format!(r#""fmspc":"{}""#, upper(&self.fmspc)));
        members.push(format!(r#""pceId":"{}""#, upper(&self.pce_id)));
        members.push(r#""tcbType":0"#.to_owned());
        let number = self.evaluation_number;
        members.push(format!(r#""tcbEvaluationDataNumber":{number}"#));
        if self.tee == Tee::Tdx {
            members.push(format!(
                r#""tdxModule":{{"mrsigner":"{}","attributes":"{}","attributesMask":"{}"}}"#,
                upper(&self.module_mrsigner),
                upper(&[0; 8]),
                upper(&[0xff; 8]),
            ));
            if self.fault != Some(CollateralFault::NoModuleIdentities) {
                let modules: Vec<String> = self.tdx_modules.iter().map(tdx_module).collect();
                members.push(format!(r#""tdxModuleIdentities":[{}]"#, modules.join(",")));
            }
        }
        let levels: Vec<String> = self.levels.iter().map(|l| self.tcb_level(l)).collect();
        members.push(format!(r#""tcbLevels":[{}]"#, levels.join(",")));
        if self.fault == Some(CollateralFault::TcbInfoDuplicateMember) {
            members.push(r#""fmspc":"FFFFFFFFFFFF""#.to_owned());
        }
        format!("{{{}}}", members.join(","))
    }

    fn tcb_level(&self, level: &TcbLevel) -> String {
        let mut tcb = Vec::new();
        if self.tcb_info_version >= 3 {
            let sgx = match self.fault {
                Some(CollateralFault::ComponentsShort) => components(&level.components[..15]),
                Some(CollateralFault::ComponentsLong) => components(&[&level.components[..], &[0]].concat()),
                _ => components(&level.components),
            };
            tcb.push(format!(r#""sgxtcbcomponents":[{sgx}]"#));
        } else {
            for (i, svn) in level.components.iter().enumerate() {
                tcb.push(format!(r#""sgxtcbcomp{:02}svn":{svn}"#, i + 1));
            }
        }
        tcb.push(format!(r#""pcesvn":{}"#, level.pce_svn));
        if self.tee == Tee::Tdx && self.tcb_info_version >= 3 {
            let tdx = match self.fault {
                Some(CollateralFault::TdxComponentsShort) => components(&level.tdx_components[..15]),
                _ => components(&level.tdx_components),
            };
            tcb.push(format!(r#""tdxtcbcomponents":[{tdx}]"#));
        }
        let tail = tail(&level.date, &level.status, &level.advisories);
        format!(r#"{{"tcb":{{{}}},{tail}}}"#, tcb.join(","))
    }

    /// The QE identity that is to be signed.
    pub(super) fn qe_identity_text(&self) -> String {
        if self.fault == Some(CollateralFault::QeIdentityNotJson) {
            return "not json".to_owned();
        }
        let qe = &self.qe_identity;
        let members = [
            format!(r#""id":"{}""#, qe.id),
            format!(r#""version":{}"#, qe.version),
            format!(r#""issueDate":"{}""#, rfc3339(self.issued)),
            format!(r#""nextUpdate":"{}""#, rfc3339(self.qe_identity_next_update)),
            format!(r#""tcbEvaluationDataNumber":{}"#, self.evaluation_number),
            format!(r#""miscselect":"{}""#, upper(&qe.misc_select.to_le_bytes())),
            format!(r#""miscselectMask":"{}""#, upper(&qe.misc_select_mask.to_le_bytes())),
            format!(r#""attributes":"{}""#, upper(&qe.attributes)),
            format!(r#""attributesMask":"{}""#, upper(&qe.attributes_mask)),
            format!(r#""mrsigner":"{}""#, upper(&qe.mrsigner)),
            format!(r#""isvprodid":{}"#, qe.prod_id),
            format!(r#""tcbLevels":[{}]"#, svn_levels(&qe.levels)),
        ];
        format!("{{{}}}", members.join(","))
    }
}

fn tdx_module(module: &TdxModule) -> String {
    format!(
        r#"{{"id":"{}","mrsigner":"{}","attributes":"{}","attributesMask":"{}","tcbLevels":[{}]}}"#,
        module.id,
        upper(&module.mrsigner),
        upper(&module.attributes),
        upper(&module.attributes_mask),
        svn_levels(&module.levels),
    )
}

fn svn_levels(levels: &[SvnLevel]) -> String {
    let levels: Vec<String> = levels
        .iter()
        .map(|level| {
            let tail = tail(&level.date, &level.status, &level.advisories);
            format!(r#"{{"tcb":{{"isvsvn":{}}},{tail}}}"#, level.svn)
        })
        .collect();
    levels.join(",")
}

fn components(svns: &[u8]) -> String {
    let items: Vec<String> = svns.iter().map(|n| format!(r#"{{"svn":{n}}}"#)).collect();
    items.join(",")
}

fn tail(date: &str, status: &str, advisories: &[String]) -> String {
    let mut out = format!(r#""tcbDate":"{date}","tcbStatus":"{status}""#);
    if !advisories.is_empty() {
        let quoted: Vec<String> = advisories.iter().map(|a| format!(r#""{a}""#)).collect();
        out.push_str(&format!(r#","advisoryIDs":[{}]"#, quoted.join(",")));
    }
    out
}

fn upper(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}
