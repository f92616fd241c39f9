//! The types that policies and attest operations are named by.
//!
//! `maa-rest-api.md` section 1 (*Types*). Read without regard to case, written in one spelling.

macro_rules! types {
    ($($name:ident = $text:literal,)*) => {
        /// A type of attestation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // the vendors' own names
        pub enum AttestationType { $($name,)* }

        impl AttestationType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The canonical spelling; the kind under which its policy is kept.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

types! {
    SgxEnclave = "SgxEnclave",
    OpenEnclave = "OpenEnclave",
    Tpm = "Tpm",
    SevSnpVm = "SevSnpVm",
    TdxVm = "TdxVm",
    AzureGuest = "AzureGuest",
    Pluton = "Pluton",
    KeyGuard = "KeyGuard",
    MdepTz = "MdepTz",
    AiHsm = "AiHsm",
    VbsEnclave = "VbsEnclave",
    CyResComponent = "CyResComponent",
    Nitro = "Nitro",
    TpmMachine = "TpmMachine",
    Software = "Software",
}

impl AttestationType {
    /// Reads a name without regard to case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether a policy of this type can be set here: what is evaluated now, or will be once its evidence is served.
    pub const fn has_policy(self) -> bool {
        matches!(
            self,
            Self::SgxEnclave
                | Self::OpenEnclave
                | Self::Tpm
                | Self::SevSnpVm
                | Self::TdxVm
                | Self::AzureGuest
                | Self::Nitro
                | Self::TpmMachine
                | Self::Software
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_clients_spell_types_in_several_ways() {
        for text in ["SevSnpVm", "SevSnpVM", "sevsnpvm"] {
            assert_eq!(AttestationType::parse(text), Some(AttestationType::SevSnpVm));
        }
        for odd in ["", "Sgx", "SgxEnclave ", "SgxEncl\u{0430}ve"] {
            assert_eq!(AttestationType::parse(odd), None, "{odd}");
        }
    }
}
