//! What a TDX quote says, under the names that Azure Attestation gives it.
//!
//! Microsoft Azure Attestation, *TDX VM claims*; where Azure has no name, Keygate's own.

use serde_json::{Map, Value, json};

use crate::dcap::{TdReport, hexed};
use crate::formats::tcg::event_log::Registers;
use crate::verified::TcbStatus;

/// TD attributes, a 64-bit little-endian number. Intel TDX Module ABI Specification, table *TD_ATTRIBUTES*.
pub(super) struct Attributes(u64);

impl Attributes {
    pub fn of(report: &TdReport) -> Self {
        Self(u64::from_le_bytes(report.base.td_attributes))
    }
    fn bit(&self, n: u8) -> bool {
        self.0 >> n & 1 == 1
    }
    /// Any bit of the group *TD under debug*, bits 0 to 7: the TD is not to be trusted, whichever it is.
    pub fn under_debug(&self) -> bool {
        self.0 & 0xff != 0
    }
}

/// The report's own fields, without anything that was concluded.
pub(super) fn of_report(report: &TdReport) -> Map<String, Value> {
    let base = &report.base;
    let attributes = Attributes::of(report);
    let [seam_svn, ..] = base.tee_tcb_svn;
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    set("x-ms-attestation-type", json!("tdxvm"));
    set("dbgstat", json!(if attributes.under_debug() { "enabled" } else { "disabled" }));
    set("eat_profile", json!("https://aka.ms/maa-eat-profile-tdxvm"));
    set("intuse", json!("generic"));
    for (name, field) in [
        ("tdx_mrseam", base.mr_seam.as_slice()),
        ("tdx_mrsignerseam", &base.mr_signer_seam),
        ("tdx_mrtd", &base.mr_td),
        ("tdx_rtmr0", &base.rt_mr0),
        ("tdx_rtmr1", &base.rt_mr1),
        ("tdx_rtmr2", &base.rt_mr2),
        ("tdx_rtmr3", &base.rt_mr3),
        ("tdx_mrconfigid", &base.mr_config_id),
        ("tdx_mrowner", &base.mr_owner),
        ("tdx_mrownerconfig", &base.mr_owner_config),
        ("tdx_report_data", &base.report_data),
        ("tdx_seam_attributes", &base.seam_attributes),
        ("tdx_td_attributes", &base.td_attributes),
        ("tdx_xfam", &base.xfam),
        ("tdx_tee_tcb_svn", &base.tee_tcb_svn),
    ] {
        set(name, hexed(field));
    }
    set("tdx_seamsvn", json!(seam_svn));
    for (name, bit) in [
        ("debug", 0),
        ("septve_disable", 28),
        ("migratable", 29),
        ("protection_keys", 30),
        ("key_locker", 31),
        ("perfmon", 63),
    ] {
        set(&format!("tdx_td_attributes_{name}"), json!(attributes.bit(bit)));
    }
    if let Some((current_svn, service_td)) = &report.newer {
        set("tdx_tee_tcb_svn2", hexed(current_svn));
        set("tdx_mrservicetd", hexed(service_td));
    }
    claims
}

/// RTMR 0 to 3 by the index that the CC event log gives them, 1 to 4.
pub(super) fn registers(report: &TdReport) -> Registers {
    let base = &report.base;
    let values = [&base.rt_mr0, &base.rt_mr1, &base.rt_mr2, &base.rt_mr3];
    (1..).zip(values.map(|value| value.to_vec())).collect()
}

/// The platform's status as Azure names it.
pub(super) fn status(status: TcbStatus) -> (String, Value) {
    ("attester_tcb_status".to_owned(), json!(status.as_str()))
}
