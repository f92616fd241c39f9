//! Claims of what Windows measured.

use serde_json::{Map, Value, json};

use super::super::Replayed;
use super::payload::{self, si_policy};
use super::sipa::Node;
use super::{DYNAMIC, STATIC, Tagged};

/// The longest list in a claim; a longer one is left out.
const MAX_CLAIMED: usize = 128;

/// Settings: the name of the claim, the tag, and the value that a rule refuses.
const FLAGS: [(&str, u32, bool); 13] = [
    ("boot_debugging", payload::BOOT_DEBUGGING, true),
    ("kernel_debug", payload::OS_KERNEL_DEBUG, true),
    ("hypervisor_debug", payload::HYPERVISOR_DEBUG, true),
    ("test_signing", payload::TEST_SIGNING, true),
    ("flight_signing", payload::FLIGHT_SIGNING, true),
    ("safe_mode", payload::SAFE_MODE, true),
    ("winpe", payload::WINPE, true),
    ("code_integrity", payload::CODE_INTEGRITY, false),
    ("vsm_required", payload::VBS_VSM_REQUIRED, false),
    ("vbs_secure_boot_required", payload::VBS_SECURE_BOOT_REQUIRED, false),
    ("vbs_iommu_required", payload::VBS_IOMMU_REQUIRED, false),
    ("vbs_mandatory_enforcement", payload::VBS_MANDATORY_ENFORCEMENT, false),
    ("boot_dma_protection", payload::BOOT_DMA_PROTECTION, false),
];

/// Numbers that every boundary must agree on.
const NUMBERS: [(&str, u32); 5] = [
    ("data_execution_prevention", payload::DATA_EXECUTION_PREVENTION),
    ("hypervisor_launch_type", payload::HYPERVISOR_LAUNCH_TYPE),
    ("vsm_launch_type", payload::VSM_LAUNCH_TYPE),
    ("driver_load_policy", payload::DRIVER_LOAD_POLICY),
    ("hvci_policy", payload::VBS_HVCI_POLICY),
];

/// Numbers in measured order, of PCR 12.
const SERIES: [(&str, u32); 3] = [
    ("application_svns", payload::APPLICATION_SVN),
    ("transfer_control", payload::TRANSFER_CONTROL),
    ("bitlocker_unlock", payload::BITLOCKER_UNLOCK),
];

/// `windows`: nothing where the registers are not closed or hold something that is not understood.
pub(in super::super) fn claims(log: &Replayed<'_>, tagged: &Tagged<'_>, claims: &mut Map<String, Value>) {
    if !tagged.is_complete() {
        return;
    }
    let mut windows = Map::new();
    for (name, tag, refused) in FLAGS {
        if let Some(value) = tagged.flag(tag, refused) {
            windows.insert(name.into(), json!(value));
        }
    }
    let registers = [STATIC.as_slice(), DYNAMIC.as_slice()].concat();
    for (name, tag) in NUMBERS {
        let mut said = tagged.values(&registers, tag).map(Node::number);
        if let Some(Some(first)) = said.next().filter(|first| said.all(|other| other == *first)) {
            windows.insert(name.into(), json!(first));
        }
    }
    for (name, tag) in SERIES {
        let series: Option<Vec<u64>> = tagged.values(&[12], tag).map(Node::number).collect();
        set_list(&mut windows, name, series);
    }
    let modules = tagged.boundaries(&[13]).flatten().filter_map(|node| node.inside(payload::LOADED_MODULE));
    set_list(&mut windows, "modules", Some(modules.map(payload::module).collect()));
    for (name, tag) in
        [("boot_revocation_list", payload::BOOT_REVOCATION_LIST), ("os_revocation_list", payload::OS_REVOCATION_LIST)]
    {
        let mut lists = tagged.values(&[13], tag).map(|node| node.bytes().and_then(payload::revocation_list));
        if let Some(Some(digest)) = lists.next().filter(|first| lists.all(|other| other == *first)) {
            windows.insert(name.into(), json!(digest));
        }
    }
    let policies = tagged.values(&[13], payload::SI_POLICY).map(|node| node.bytes().and_then(si_policy));
    set_list(&mut windows, "si_policies", policies.collect::<Option<Vec<Value>>>());
    for (name, tag) in [("vsm_encryption_key", payload::VSM_IDK_INFO), ("vsm_signing_key", payload::VSM_IDKS_INFO)] {
        let mut keys = tagged.values(&registers, tag).map(|node| node.bytes().and_then(payload::identity_key));
        if let Some(Some(key)) = keys.next().filter(|first| keys.all(|other| other == *first)) {
            windows.insert(name.into(), key);
        }
    }
    if log.tail.dynamic_launch {
        let mut levels = tagged.values(&[20], payload::DRTM_SMM_LEVEL).map(Node::number);
        if let (Some(Some(level)), None) = (levels.next(), levels.next()) {
            windows.insert("drtm_smm_level".into(), json!(level));
        }
    }
    claims.insert("windows".into(), Value::Object(windows));
}

/// A list is claimed whole or not at all.
fn set_list<T: serde::Serialize>(claims: &mut Map<String, Value>, name: &str, list: Option<Vec<T>>) {
    if let Some(list) = list.filter(|list| !list.is_empty() && list.len() <= MAX_CLAIMED) {
        claims.insert(name.into(), json!(list));
    }
}
