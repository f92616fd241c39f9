//! The same log in the words of Azure Attestation's TPM policies: `events` of version 1.2 and the booleans of 1.0 and 1.1.
//!
//! Microsoft Azure Attestation, *TPM attestation*, claim rule grammar 1.2. Policies look events up by `EventTypeString`,
//! `PcrIndex` and members of `ProcessedData`. The type in a log is measured by nobody, so the type here is concluded: what has the
//! digest of a separator is one, what PCR 7 holds behind its separator is an authority and never configuration, and tagged events
//! of Windows count until Windows closed their register. Where the payload is not what was measured, `ProcessedData` is empty.

use serde_json::{Map, Value, json};

use crate::error::VerifyError;
use crate::formats::base64url;

use super::efi::variable::Variable;
use super::measured::Seen;
use super::secure_boot::SecureBoot;
use super::windows::sipa::{self, Data, Node};
use super::windows::{Tagged, payload};
use super::{LogKind, Replayed};

const EV_SEPARATOR: u32 = 0x0000_0004;
const EV_EVENT_TAG: u32 = 0x0000_0006;
const EV_EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
const EV_EFI_VARIABLE_BOOT: u32 = 0x8000_0002;
const EV_EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00e0;

/// Names of event types. PC Client Platform Firmware Profile 1.06, table 27.
const TYPES: [(u32, &str); 31] = [
    (0x0000_0000, "EV_PREBOOT_CERT"),
    (0x0000_0001, "EV_POST_CODE"),
    (0x0000_0003, "EV_NO_ACTION"),
    (EV_SEPARATOR, "EV_SEPARATOR"),
    (0x0000_0005, "EV_ACTION"),
    (EV_EVENT_TAG, "EV_EVENT_TAG"),
    (0x0000_0007, "EV_S_CRTM_CONTENTS"),
    (0x0000_0008, "EV_S_CRTM_VERSION"),
    (0x0000_0009, "EV_CPU_MICROCODE"),
    (0x0000_000a, "EV_PLATFORM_CONFIG_FLAGS"),
    (0x0000_000b, "EV_TABLE_OF_DEVICES"),
    (0x0000_000c, "EV_COMPACT_HASH"),
    (0x0000_000d, "EV_IPL"),
    (0x0000_000e, "EV_IPL_PARTITION_DATA"),
    (0x0000_000f, "EV_NONHOST_CODE"),
    (0x0000_0010, "EV_NONHOST_CONFIG"),
    (0x0000_0011, "EV_NONHOST_INFO"),
    (0x0000_0012, "EV_OMIT_BOOT_DEVICE_EVENTS"),
    (EV_EFI_VARIABLE_DRIVER_CONFIG, "EV_EFI_VARIABLE_DRIVER_CONFIG"),
    (EV_EFI_VARIABLE_BOOT, "EV_EFI_VARIABLE_BOOT"),
    (0x8000_0003, "EV_EFI_BOOT_SERVICES_APPLICATION"),
    (0x8000_0004, "EV_EFI_BOOT_SERVICES_DRIVER"),
    (0x8000_0005, "EV_EFI_RUNTIME_SERVICES_DRIVER"),
    (0x8000_0006, "EV_EFI_GPT_EVENT"),
    (0x8000_0007, "EV_EFI_ACTION"),
    (0x8000_0008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"),
    (0x8000_0009, "EV_EFI_HANDOFF_TABLES"),
    (0x8000_000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"),
    (0x8000_000b, "EV_EFI_HANDOFF_TABLES2"),
    (0x8000_0010, "EV_EFI_HCRTM_EVENT"),
    (EV_EFI_VARIABLE_AUTHORITY, "EV_EFI_VARIABLE_AUTHORITY"),
];

impl Replayed<'_> {
    /// `{"Events":[{"EventSeq","EventType","EventTypeString","PcrIndex","ProcessedData"}]}`, numbered from `first_sequence`.
    ///
    /// # Errors
    /// `too-large.sipa`; `unsupported.event-log` for the log of a TDX guest, which Azure's TPM policies do not know.
    pub fn azure_events(&self, first_sequence: u64) -> Result<Value, VerifyError> {
        if self.kind() != LogKind::Tpm {
            return Err(VerifyError::unsupported("event-log", "only the log of a TPM has events in Azure's form"));
        }
        let tagged = Tagged::of(self)?;
        let secure_boot = SecureBoot::of(self);
        let mut events = Vec::with_capacity(self.events.len());
        for ((index, seen), sequence) in self.events.iter().enumerate().zip(first_sequence..) {
            // An event that hides its payload may have said that a debugger was there: then none of them says anything.
            let boundary = tagged.at(index).filter(|_| tagged.is_complete());
            let (kind, processed) = concluded(seen, boundary, &secure_boot);
            let name = TYPES.iter().find(|(id, _)| *id == kind).map_or("EV_UNKNOWN", |(_, name)| name);
            events.push(json!({
                "EventSeq": sequence,
                "EventType": kind,
                "EventTypeString": name,
                "PcrIndex": seen.register,
                "ProcessedData": processed,
            }));
        }
        Ok(json!({ "Events": events }))
    }

    /// The booleans of policies of version 1.0 and 1.1. What the log does not show is `false`.
    ///
    /// # Errors
    /// `too-large.sipa`.
    pub fn azure_flags(&self) -> Result<Map<String, Value>, VerifyError> {
        let tagged = Tagged::of(self)?;
        let whole = tagged.is_complete();
        let off = |tag: u32| whole && tagged.flag(tag, true) == Some(false);
        let on = |tag: u32| whole && tagged.flag(tag, false) == Some(true);
        let mut flags = Map::new();
        flags.insert("secureBootEnabled".into(), json!(SecureBoot::of(self).enabled() == Some(true)));
        flags.insert("bootDebuggingDisabled".into(), json!(off(payload::BOOT_DEBUGGING)));
        flags.insert("notSafeMode".into(), json!(off(payload::SAFE_MODE)));
        flags.insert("notWinPE".into(), json!(off(payload::WINPE)));
        let vbs = on(payload::VBS_VSM_REQUIRED) || on(payload::VBS_MANDATORY_ENFORCEMENT);
        flags.insert("vbsEnabled".into(), json!(vbs));
        flags.insert("iommuEnabled".into(), json!(on(payload::VBS_IOMMU_REQUIRED)));
        Ok(flags)
    }
}

/// The type of an event by what it measured, and its data where they are what was measured.
fn concluded(seen: &Seen<'_>, tagged: Option<&[Node<'_>]>, secure_boot: &SecureBoot<'_>) -> (u32, Value) {
    let nothing = || json!({});
    if seen.separator {
        return (EV_SEPARATOR, nothing());
    }
    if let Some(nodes) = tagged {
        return (EV_EVENT_TAG, boundary(nodes));
    }
    let variable = seen.measured.bytes().and_then(Variable::parse);
    match (seen.register, variable) {
        (7, Some(variable)) if secure_boot.is_configuration(&variable) => {
            (EV_EFI_VARIABLE_DRIVER_CONFIG, variable_data(&variable))
        }
        (7, Some(variable)) => (EV_EFI_VARIABLE_AUTHORITY, variable_data(&variable)),
        // PCR 1 holds boot options and settings; which of the two says the type alone, and no policy tells them apart by trust.
        (1, Some(variable)) => match seen.declared {
            EV_EFI_VARIABLE_DRIVER_CONFIG => (EV_EFI_VARIABLE_DRIVER_CONFIG, variable_data(&variable)),
            _ => (EV_EFI_VARIABLE_BOOT, variable_data(&variable)),
        },
        _ => (seen.declared, nothing()),
    }
}

fn variable_data(variable: &Variable<'_>) -> Value {
    json!({
        "VariableGuid": variable.vendor.text(),
        "UnicodeName": variable.name,
        "VariableData": base64url::encode(variable.value),
    })
}

/// How a member of EVENT_TRUSTBOUNDARY is written.
#[derive(Clone, Copy)]
enum Shape {
    /// `true` or `false`; the value beside it is what stands where the bytes are odd or boundaries disagree.
    Flag(bool),
    /// A number.
    Number,
    /// `{"Value": number}`.
    Value,
    /// `{"String": text, "Value": number}`.
    Named(&'static str),
    /// `{"RawData": base64url}`.
    Raw,
    /// `[{"RawData": base64url}]`.
    Raws,
    /// `{"String": text}`.
    Text,
}

/// Members of EVENT_TRUSTBOUNDARY by the tags of `wbcl.h`.
const MEMBERS: [(u32, &str, Shape); 20] = [
    (payload::CODE_INTEGRITY, "EVENT_CODEINTEGRITY", Shape::Flag(false)),
    (payload::BOOT_DEBUGGING, "EVENT_BOOTDEBUGGING", Shape::Flag(true)),
    (payload::OS_KERNEL_DEBUG, "EVENT_OSKERNELDEBUG", Shape::Flag(true)),
    (payload::TEST_SIGNING, "EVENT_TESTSIGNING", Shape::Flag(true)),
    (payload::FLIGHT_SIGNING, "EVENT_FLIGHTSIGNING", Shape::Flag(true)),
    (payload::SAFE_MODE, "EVENT_SAFEMODE", Shape::Flag(true)),
    (payload::WINPE, "EVENT_WINPE", Shape::Flag(true)),
    (payload::VBS_VSM_REQUIRED, "EVENT_VBS_VSM_REQUIRED", Shape::Flag(false)),
    (payload::VBS_MANDATORY_ENFORCEMENT, "EVENT_VBS_MANDATORY_ENFORCEMENT", Shape::Flag(false)),
    (payload::VBS_IOMMU_REQUIRED, "EVENT_VBS_IOMMU_REQUIRED", Shape::Flag(false)),
    (payload::DATA_EXECUTION_PREVENTION, "EVENT_DATAEXECUTIONPREVENTION", Shape::Value),
    (payload::BITLOCKER_UNLOCK, "EVENT_BITLOCKER_UNLOCK", Shape::Named("FVEB_UNLOCK_FLAGS")),
    (payload::VBS_HVCI_POLICY, "EVENT_VBS_HVCI_POLICY", Shape::Named("HypervisorEnforcedCodeIntegrityEnable")),
    (payload::APPLICATION_SVN, "EVENT_APPLICATION_SVN", Shape::Number),
    (payload::MODULE_SVN, "EVENT_MODULE_SVN", Shape::Number),
    (payload::TRANSFER_CONTROL, "EVENT_TRANSFER_CONTROL", Shape::Value),
    (payload::SI_POLICY, "EVENT_SI_POLICY", Shape::Raws),
    (payload::OS_REVOCATION_LIST, "EVENT_OS_REVOCATION_LIST", Shape::Raw),
    (payload::BOOT_REVOCATION_LIST, "EVENT_BOOT_REVOCATION_LIST", Shape::Raw),
    (payload::DRIVER_LOAD_POLICY, "EVENT_DRIVER_LOAD_POLICY", Shape::Text),
];

/// `{"EVENT_TRUSTBOUNDARY":{...}}` for one event; with `EVENT_DRTM_SMM` beside it where it says so.
fn boundary(nodes: &[Node<'_>]) -> Value {
    let mut processed = Map::new();
    let inside: Vec<&Node<'_>> = nodes.iter().filter_map(|node| node.inside(sipa::TRUST_BOUNDARY)).flatten().collect();
    if nodes.iter().any(|node| node.tag == sipa::TRUST_BOUNDARY) {
        let mut members = Map::new();
        for (tag, name, shape) in MEMBERS {
            let said: Vec<&Node<'_>> = inside.iter().copied().filter(|node| node.tag == tag).collect();
            if let Some(value) = member(&said, shape) {
                members.insert(name.into(), value);
            }
        }
        let modules: Vec<Value> =
            inside.iter().filter_map(|node| node.inside(payload::LOADED_MODULE)).map(loaded_module).collect();
        if !modules.is_empty() {
            members.insert("EVENT_LOADEDMODULE_AGGREGATION".into(), Value::Array(modules));
        }
        processed.insert("EVENT_TRUSTBOUNDARY".into(), Value::Object(members));
    }
    let smm = inside.iter().copied().chain(nodes).find(|node| node.tag == payload::DRTM_SMM_LEVEL);
    if let Some(level) = smm.and_then(Node::number) {
        processed.insert("EVENT_DRTM_SMM".into(), json!({ "Value": level }));
    }
    Value::Object(processed)
}

/// One member from every value with its tag; the last one where a member has room for one.
fn member(said: &[&Node<'_>], shape: Shape) -> Option<Value> {
    let last = said.last()?;
    let raw = |node: &Node<'_>| node.bytes().map(|bytes| json!({ "RawData": base64url::encode(bytes) }));
    match shape {
        Shape::Flag(refused) => {
            let disagree = said.iter().any(|node| node.flag(refused) == refused);
            Some(json!(if disagree { refused } else { !refused }))
        }
        Shape::Number => Some(json!(last.number()?)),
        Shape::Value => Some(json!({ "Value": last.number()? })),
        Shape::Named(text) => Some(json!({ "String": text, "Value": last.number()? })),
        Shape::Raw => raw(last),
        Shape::Raws => said.iter().map(|node| raw(node)).collect::<Option<Vec<Value>>>().map(Value::Array),
        Shape::Text => Some(json!({ "String": last.number()?.to_string() })),
    }
}

/// A member of EVENT_LOADEDMODULE_AGGREGATION.
fn loaded_module(inside: &[Node<'_>]) -> Value {
    let mut module = Map::new();
    for node in inside {
        match (node.tag, &node.data) {
            (payload::IMAGE_VALIDATED, _) => module.insert("EVENT_IMAGEVALIDATED".into(), json!(node.flag(false))),
            (payload::FILE_PATH, Data::Bytes(bytes)) => {
                super::efi::utf16(bytes).and_then(|path| module.insert("EVENT_FILEPATH".into(), json!(path)))
            }
            (payload::MODULE_SVN, _) => {
                node.number().and_then(|svn| module.insert("EVENT_MODULE_SVN".into(), json!(svn)))
            }
            _ => None,
        };
    }
    Value::Object(module)
}
