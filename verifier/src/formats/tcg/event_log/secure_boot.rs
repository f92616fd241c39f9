//! Secure Boot: what the variables were when the firmware handed over, and who vouched for what ran afterwards.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 3.3.4.8 (PCR 7). Firmware measures SecureBoot, PK, KEK, db and dbx in
//! this order, then perhaps the entries that vouched for drivers, then the separator; afterwards come the entries that vouched for
//! boot applications. The first variable of a name before the separator is its configuration: what comes later may bear the same
//! name and is an authority. Catalogue of bad inputs, rows TPM-22 to TPM-25.

use serde_json::{Map, Value, json};

use crate::error::VerifyError;
use crate::formats::tcg::Bank;

use super::efi::Guid;
use super::efi::signature_list;
use super::efi::variable::{GLOBAL, SECURITY, Variable};
use super::{LogKind, Replayed};

/// The longest list of entries in a claim: all claims together should fit into a record of the audit, 32 KiB. A longer list is
/// claimed by its digest and its count.
const MAX_CLAIMED: usize = 256;

/// The most variables that are taken for configuration.
const MAX_CONFIGURATION: usize = 64;

/// The lists of keys, by the name in claims.
const LISTS: [(&str, Guid, &str); 4] =
    [("pk", GLOBAL, "PK"), ("kek", GLOBAL, "KEK"), ("db", SECURITY, "db"), ("dbx", SECURITY, "dbx")];

/// What firmware writes into PCR 7 where a debugger or DMA can get past it. Profile, section 3.3.4.8.
const WEAKENED: [(&str, &[u8]); 2] =
    [("firmware_debugger", b"UEFI Debug Mode"), ("dma_protection_disabled", b"DMA Protection Disabled")];

/// What PCR 7 (RTMR 0) says.
pub(super) struct SecureBoot<'a> {
    /// Configuration: the first variable of each name before the separator.
    configuration: Vec<Variable<'a>>,
    /// Every other variable in measured order; `None` where something in the register is not understood.
    authorities: Option<Vec<Variable<'a>>>,
    /// Texts before the separator; `None` where something before it is not understood.
    actions: Option<Vec<&'a [u8]>>,
}

impl<'a> SecureBoot<'a> {
    /// Reads the register.
    pub fn of(log: &Replayed<'a>) -> Self {
        let register = log.kind().of_pcr(7);
        let separators = log.in_register(register).filter(|seen| seen.separator).count();
        // RTMR 0 holds PCR 1 as well: what stands between its two separators is of PCR 1.
        let (mut passed, last) = (0_usize, separators.max(1));
        let (mut configuration, mut authorities, mut actions) =
            (Vec::<Variable>::new(), Some(Vec::new()), Some(Vec::new()));
        for seen in log.in_register(register) {
            if seen.separator {
                passed = passed.saturating_add(1);
                continue;
            }
            let bytes = seen.measured.bytes();
            match bytes.and_then(Variable::parse) {
                Some(variable) if passed == 0 && is_new(&configuration, &variable) => configuration.push(variable),
                Some(variable) => {
                    if let Some(list) = &mut authorities {
                        list.push(variable);
                    }
                }
                None if passed == 0 => match (bytes, &mut actions) {
                    (Some(text), Some(list)) => list.push(text),
                    _ => actions = None,
                },
                None if passed >= last => authorities = None,
                None => {}
            }
        }
        Self { configuration, authorities, actions }
    }

    /// The variable that was in force when the firmware handed over.
    fn configured(&self, vendor: Guid, name: &str) -> Option<&Variable<'a>> {
        self.configuration.iter().find(|variable| variable.is(vendor, name))
    }

    /// Whether a variable stands for configuration, by its bytes.
    pub fn is_configuration(&self, variable: &Variable<'_>) -> bool {
        self.configuration.iter().any(|held| held.name == variable.name && std::ptr::eq(held.value, variable.value))
    }

    /// Whether Secure Boot was on. `None` where it is not established.
    pub fn enabled(&self) -> Option<bool> {
        match self.configured(GLOBAL, "SecureBoot")?.value {
            [1] => Some(true),
            [] | [0] => Some(false),
            _ => None,
        }
    }

    /// `secure_boot`, `secure_boot_variables`, `authorities`, `firmware_debugger`, `dma_protection_disabled`.
    pub fn claims(&self, kind: LogKind, claims: &mut Map<String, Value>) -> Result<(), VerifyError> {
        if let Some(enabled) = self.enabled() {
            claims.insert("secure_boot".into(), json!(enabled));
        }
        let mut variables = Map::new();
        for (name, vendor, variable) in LISTS {
            let Some(variable) = self.configured(vendor, variable) else { continue };
            let entries = signature_list::entries(variable.value)?;
            variables.insert(format!("{name}_sha256"), json!(hex::encode(Bank::Sha256.digest(&[variable.value]))));
            variables.insert(format!("{name}_count"), json!(entries.len()));
            if entries.len() <= MAX_CLAIMED {
                variables.insert(name.into(), json!(entries));
            }
        }
        claims.insert("secure_boot_variables".into(), Value::Object(variables));
        if let Some(authorities) = self.authorities.as_ref().filter(|list| list.len() <= MAX_CLAIMED) {
            let list: Vec<Value> = authorities.iter().map(authority).collect();
            claims.insert("authorities".into(), json!(list));
        }
        if let (LogKind::Tpm, Some(actions)) = (kind, &self.actions) {
            for (name, text) in WEAKENED {
                claims.insert(name.into(), json!(actions.contains(&text)));
            }
        }
        Ok(())
    }
}

/// Whether a variable's name was not seen yet. Firmware configures a handful; beyond many nothing is configuration.
fn is_new(configuration: &[Variable<'_>], variable: &Variable<'_>) -> bool {
    configuration.len() < MAX_CONFIGURATION && !configuration.iter().any(|v| v.is(variable.vendor, &variable.name))
}

/// One authority: the variable's name, the SHA-256 of what was measured, and of the certificate where it is one.
fn authority(variable: &Variable<'_>) -> Value {
    let digest = |bytes: &[u8]| hex::encode(Bank::Sha256.digest(&[bytes]));
    let mut entry =
        json!({ "variable": variable.name, "vendor": variable.vendor.text(), "sha256": digest(variable.value) });
    // EFI_SIGNATURE_DATA begins with its owner's GUID; shim measures the certificate alone.
    let certificate = match variable.value {
        [0x30, 0x82, ..] => Some(variable.value),
        whole => whole.get(16..).filter(|data| data.starts_with(&[0x30, 0x82])),
    };
    if let (Some(certificate), Some(entry)) = (certificate, entry.as_object_mut()) {
        entry.insert("certificate_sha256".into(), json!(digest(certificate)));
    }
    entry
}
