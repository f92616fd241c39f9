//! Why a TPM gives nothing: its address, the way to it, its answers, its refusals.
//!
//! TCG *Trusted Platform Module Library*, part 2, section 6.6 (TPM_RC): a word of 12 bits, whose upper bits name the layer that
//! made it, and in format 1 also the handle, session or parameter at fault.

use std::io;
use std::path::PathBuf;

use super::wire::Garbled;

/// A TPM that gives no evidence.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The address is none.
    #[error("`{given}` is no address of a TPM: {detail}")]
    Address {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Nothing at the address.
    #[error("no TPM at `{address}`: {source}")]
    Absent {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke, or nothing came in time.
    #[error("the TPM at `{address}` did not answer {command}: {source}")]
    Silent {
        /// The address.
        address: String,
        /// The command.
        command: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What came is no answer to the command.
    #[error("what `{address}` answered to {command} is no answer: {detail}")]
    Garbled {
        /// The address.
        address: String,
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        detail: Garbled,
    },
    /// The TPM refused.
    #[error("the TPM at `{address}` refused {command}: {} ({code:#05x})", sentence(*code))]
    Refused {
        /// The address.
        address: String,
        /// The command.
        command: &'static str,
        /// TPM_RC.
        code: u32,
    },
    /// The list of registers is none.
    #[error("`{given}` is no selection of registers: {detail}")]
    Selection {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A bank or register that the TPM does not have.
    #[error("this TPM has no {what}")]
    NoBank {
        /// The bank, or bank and register.
        what: String,
    },
    /// Registers changed during every attempt to quote them.
    #[error("the registers changed during each of {attempts} attempts to quote them")]
    Restless {
        /// How often it was tried.
        attempts: usize,
    },
    /// The folder of the attestation key, or the key in it.
    #[error("`{}`: {detail}", path.display())]
    State {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The TPM does not take back the attestation key that it made.
    #[error("this TPM no longer loads the attestation key in `{}`: it was cleared, or the key is of another TPM", path.display())]
    Estranged {
        /// The file.
        path: PathBuf,
    },
    /// No endorsement key that a server could use.
    #[error("this TPM has no endorsement key of a kind that is known: {detail}")]
    NoEndorsementKey {
        /// What was looked for.
        detail: String,
    },
    /// A file that was named is not what it should be.
    #[error("`{}` is no {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The TPM decrypted nothing for the recipient key that was made in it.
    #[error("the recipient key in this TPM does not open the answer")]
    NotOpened,
}

impl TpmError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } | Self::Selection { .. } | Self::State { .. } | Self::File { .. } => "config-invalid",
            Self::NoBank { .. } => "unsupported.pcr-bank",
            Self::NotOpened => "crypto-failed",
            Self::Absent { .. }
            | Self::Silent { .. }
            | Self::Garbled { .. }
            | Self::Refused { .. }
            | Self::Restless { .. }
            | Self::Estranged { .. }
            | Self::NoEndorsementKey { .. } => "dependency-unavailable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Address { .. } => {
                "write `device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`, `swtpm:path=/run/tpm.sock` or `mssim:host=…,port=…`"
            }
            Self::Absent { .. } => {
                "run on a machine with a TPM 2.0, as a user who may open it (group `tss`), or name one with --tpm"
            }
            Self::Silent { .. } => "look whether the TPM or its emulator still runs, and try again",
            Self::Garbled { .. } => {
                "look whether a TPM 2.0 listens at this address; `swtpm:` and `mssim:` differ in framing"
            }
            Self::Refused { code, .. } => advice(*code),
            Self::Selection { .. } => "write `sha256:0,1,2,7` or `sha256:all+sha384:0,7`",
            Self::NoBank { .. } => {
                "name other registers with --tpm-pcrs, or switch the bank on in the firmware's setup"
            }
            Self::Restless { .. } => "quote fewer registers with --tpm-pcrs, or try again when less is being measured",
            Self::State { .. } => "name another folder with --tpm-state, of this user alone (mode 0700)",
            Self::Estranged { .. } => {
                "make and enrol a new key with `keygate tpm enrol`, or name the right TPM with --tpm or --tpm-state"
            }
            Self::NoEndorsementKey { .. } => "name the kind with --tpm-ek, or ask the maker of the TPM",
            Self::File { .. } => "name a PEM or DER file",
            Self::NotOpened => "ask once more; the key lives as long as the command",
        }
    }

    /// Whether the TPM says that a key is not its own.
    pub(super) fn is_foreign_key(&self) -> bool {
        // TPM_RC_INTEGRITY, TPM_RC_BINDING: part 3, section 12.2 (TPM2_Load).
        matches!(self, Self::Refused { code, .. } if matches!(word(*code), 0x09f | 0x0a5))
    }

    /// Whether the TPM says that there is nothing under a handle.
    pub(super) fn is_nothing_there(&self) -> bool {
        // TPM_RC_HANDLE, TPM_RC_VALUE; TPM_RC_NV_UNINITIALIZED.
        matches!(self, Self::Refused { code, .. } if matches!(word(*code), 0x08b | 0x084 | 0x14a))
    }
}

/// The code without layer and without the number of the handle, session or parameter.
fn word(code: u32) -> u32 {
    let code = code & 0xfff;
    if code & 0x080 == 0 { code } else { code & 0x0bf }
}

/// Whether the same command may be sent again: TPM_RC_NV_RATE, TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING.
pub(super) fn may_be_sent_again(code: u32) -> bool {
    matches!(word(code), 0x920 | 0x922 | 0x908 | 0x90a)
}

fn sentence(code: u32) -> &'static str {
    match word(code) {
        0x100 => "it was not started (TPM_RC_INITIALIZE)",
        0x101 => "it is in failure mode (TPM_RC_FAILURE)",
        0x143 => "it does not know the command (TPM_RC_COMMAND_CODE)",
        0x12f => "the authorization cannot be used (TPM_RC_AUTH_UNAVAILABLE)",
        0x148 => "the NV index is locked (TPM_RC_NV_LOCKED)",
        0x149 => "the NV index may not be read so (TPM_RC_NV_AUTHORIZATION)",
        0x14a => "the NV index was never written (TPM_RC_NV_UNINITIALIZED)",
        0x902 => "it has no room for another object (TPM_RC_OBJECT_MEMORY)",
        0x903 => "it has no room for another session (TPM_RC_SESSION_MEMORY)",
        0x904 => "it is out of memory (TPM_RC_MEMORY)",
        0x908 => "it was interrupted again and again (TPM_RC_YIELDED)",
        0x90a => "it is still testing itself (TPM_RC_TESTING)",
        0x920 => "it writes no more for now (TPM_RC_NV_RATE)",
        0x921 => "it is locked out after wrong authorizations (TPM_RC_LOCKOUT)",
        0x922 => "it stayed busy (TPM_RC_RETRY)",
        0x081 => "a key may not be used for this (TPM_RC_ASYMMETRIC)",
        0x082 => "an attribute of a key forbids it (TPM_RC_ATTRIBUTES)",
        0x083 => "it does not know the hash (TPM_RC_HASH)",
        0x084 => "a value is not allowed, or nothing is there (TPM_RC_VALUE)",
        0x085 => "the hierarchy is switched off (TPM_RC_HIERARCHY)",
        0x08b => "there is nothing under this handle (TPM_RC_HANDLE)",
        0x08e | 0x0a2 => "an authorization is wrong (TPM_RC_AUTH_FAIL)",
        0x092 => "it does not know the scheme (TPM_RC_SCHEME)",
        0x095 => "a structure has another size than it wants (TPM_RC_SIZE)",
        0x096 => "it does not know the symmetric algorithm (TPM_RC_SYMMETRIC)",
        0x09d => "a policy is not met (TPM_RC_POLICY_FAIL)",
        0x09f => "what it should load was not made by it, or is damaged (TPM_RC_INTEGRITY)",
        0x0a5 => "the two halves of a key do not belong together (TPM_RC_BINDING)",
        0x0a6 => "it does not know the curve (TPM_RC_CURVE)",
        _ => "for a reason without a sentence of ours",
    }
}

fn advice(code: u32) -> &'static str {
    match word(code) {
        0x100 => "start it (TPM2_Startup), or let the firmware do so",
        0x101 => "restart the machine; if it stays so, the TPM is broken",
        0x902..=0x904 => "use `/dev/tpmrm0`, or flush what other programs left in it (`tpm2_flushcontext -t`)",
        0x920 | 0x922 | 0x908 | 0x90a => "try again in a moment",
        0x921 => "wait until its lockout is over, or reset it with the lockout authorization",
        0x085 => "switch the endorsement hierarchy on in the firmware's setup",
        0x08e | 0x0a2 | 0x12f => "the endorsement hierarchy has a password: only empty ones are served",
        _ => "look the code up in part 2, section 6.6, of the TPM's library specification",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_sentences_whatever_layer_and_parameter_they_name() {
        let refused = |code| TpmError::Refused { address: "a".to_owned(), command: "Load", code };
        assert!(refused(0x1df).is_foreign_key() && refused(0x09f).is_foreign_key() && refused(0x2a5).is_foreign_key());
        assert!(!refused(0x902).is_foreign_key() && !refused(0x98e).is_foreign_key());
        assert!(refused(0x18b).is_nothing_there() && !refused(0x921).is_nothing_there());
        assert!(may_be_sent_again(0x922) && may_be_sent_again(0x000b_0908) && !may_be_sent_again(0x921));
        assert_eq!(
            refused(0x921).to_string(),
            "the TPM at `a` refused Load: it is locked out after wrong authorizations (TPM_RC_LOCKOUT) (0x921)"
        );
        assert!(refused(0x98e).to_string().contains("TPM_RC_AUTH_FAIL"));
        assert!(refused(0x902).help().contains("tpmrm0"));
        assert!(refused(0xffff_ffff).help().contains("section 6.6"));
    }
}
