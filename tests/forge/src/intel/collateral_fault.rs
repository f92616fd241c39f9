//! What can be wrong with collateral: dates, platform, levels, signers, revocations.
//! Catalogue of bad inputs, sections 3, 4 and 9.

use super::{Collateral, DAY, Intel, QeIdentity, Tee};

faults! {
    /// One thing wrong with collateral.
    CollateralFault {
        /// The text is not JSON.
        NotJson => ("SGX-09", "malformed" | "collateral-unavailable"),
        /// No QE identity.
        NoQeIdentity => ("SGX-09", "collateral-unavailable" | "malformed"),
        /// No TCB info.
        NoTcbInfo => ("SGX-09", "collateral-unavailable" | "malformed"),
        /// No PCK CRL.
        NoPckCrl => ("SGX-20", "collateral-unavailable" | "malformed"),
        /// No root CRL.
        NoRootCrl => ("SGX-20", "collateral-unavailable" | "malformed"),
        /// QE identity without a signature.
        QeIdentityUnsigned => ("SGX-09", "signature-invalid" | "chain-untrusted" | "malformed"),
        /// QE identity signed by a key other than its chain's.
        QeIdentityForeignSigner => ("SGX-09", "signature-invalid" | "chain-untrusted"),
        /// QE identity under a root with the right name and another key.
        QeIdentitySelfMadeRoot => ("SGX-09", "chain-untrusted"),
        /// QE identity names another signer of the enclave.
        QeIdentityOtherMrsigner => ("SGX-09", "tcb-rejected" | "chain-untrusted"),
        /// QE identity names another product.
        QeIdentityOtherProduct => ("SGX-09", "tcb-rejected" | "chain-untrusted"),
        /// QE identity whose levels are all above the enclave's version.
        QeIdentityNoLevel => ("SGX-09", "tcb-rejected"),
        /// Signed text of the QE identity is not JSON.
        QeIdentityNotJson => ("SGX-09", "malformed" | "collateral-unavailable"),
        /// QE identity of the other TEE.
        QeIdentityOfOtherTee => ("SGX-10", "chain-untrusted"),
        /// QE identity of version 1.
        QeIdentityVersionOne => ("SGX-12", "unsupported"),
        /// TCB info for another FMSPC.
        OtherFmspc => ("SGX-11", "collateral-unavailable"),
        /// TCB info for another PCEID.
        OtherPceId => ("SGX-11", "collateral-unavailable"),
        /// TCB info of the other TEE.
        TcbInfoOfOtherTee => ("SGX-12", "unsupported"),
        /// TCB info of version 1.
        TcbInfoVersionOne => ("SGX-12", "unsupported"),
        /// TCB info of version 4.
        TcbInfoVersionFour => ("SGX-12", "unsupported"),
        /// TCB info re-serialised: members in another order, the same values.
        TcbInfoReordered => ("SGX-13", "signature-invalid"),
        /// TCB info re-serialised: a space after each colon.
        TcbInfoSpaced => ("SGX-13", "signature-invalid"),
        /// QE identity re-serialised.
        QeIdentityReordered => ("SGX-13", "signature-invalid"),
        /// One status of the TCB info changed after signing.
        TcbInfoChanged => ("SGX-13", "signature-invalid"),
        /// TCB info signed by a key other than its chain's.
        TcbInfoForeignSigner => ("SGX-13", "signature-invalid" | "chain-untrusted"),
        /// TCB info under a root with the right name and another key.
        TcbInfoSelfMadeRoot => ("SGX-21", "chain-untrusted"),
        /// TCB info signed by the PCK, whose chain is shown.
        TcbInfoSignedByPck => ("SGX-21", "chain-untrusted"),
        /// The signer's certificate expired a second ago.
        TcbSignerExpired => ("SGX-21", "chain-untrusted"),
        /// Signed text of the TCB info is not JSON.
        TcbInfoNotJson => ("SGX-14", "malformed" | "collateral-unavailable"),
        /// TCB info with the FMSPC twice.
        TcbInfoDuplicateMember => ("SGX-14", "malformed"),
        /// Levels with fifteen SGX components.
        ComponentsShort => ("SGX-14", "malformed"),
        /// Levels with seventeen SGX components.
        ComponentsLong => ("SGX-14", "malformed"),
        /// Levels with fifteen TDX components; TDX only.
        TdxComponentsShort => ("SGX-14", "malformed"),
        /// Every level has one component higher than the platform's.
        OneComponentHigher => ("SGX-16", "tcb-rejected"),
        /// Every level has a PCE version higher than the platform's.
        PceSvnHigher => ("SGX-16", "tcb-rejected"),
        /// No level at all.
        NoLevels => ("SGX-16", "tcb-rejected" | "malformed"),
        /// Status `OutOfDate`.
        OutOfDate => ("SGX-17", "tcb-rejected"),
        /// Status `ConfigurationNeeded`.
        ConfigurationNeeded => ("SGX-17", "tcb-rejected"),
        /// Status `SWHardeningNeeded`.
        SwHardeningNeeded => ("SGX-17", "tcb-rejected"),
        /// Status `ConfigurationAndSWHardeningNeeded`.
        ConfigurationAndSwHardeningNeeded => ("SGX-17", "tcb-rejected"),
        /// Status `OutOfDateConfigurationNeeded`.
        OutOfDateConfigurationNeeded => ("SGX-17", "tcb-rejected"),
        /// Status `Revoked`.
        StatusRevoked => ("SGX-17", "tcb-rejected"),
        /// A status nobody knows.
        StatusUnknown => ("SGX-17", "tcb-rejected" | "malformed"),
        /// Status `uptodate`.
        StatusLowerCase => ("SGX-17", "tcb-rejected" | "malformed"),
        /// The quoting enclave is `OutOfDate`.
        QeOutOfDate => ("SGX-17", "tcb-rejected"),
        /// The quoting enclave is `Revoked`.
        QeRevoked => ("SGX-17", "tcb-rejected"),
        /// TCB info stale for a second.
        TcbInfoExpired => ("SGX-19", "collateral-unavailable"),
        /// QE identity stale for a second.
        QeIdentityExpired => ("SGX-19", "collateral-unavailable"),
        /// PCK CRL stale for a second.
        PckCrlExpired => ("SGX-19", "collateral-unavailable"),
        /// Root CRL stale for a second.
        RootCrlExpired => ("SGX-19", "collateral-unavailable"),
        /// TCB info and QE identity issued in an hour.
        IssuedAhead => ("SGX-19", "collateral-unavailable"),
        /// Both CRLs issued in an hour.
        CrlsIssuedAhead => ("SGX-19", "collateral-unavailable"),
        /// The PCK is on the PCK CRL.
        PckRevoked => ("SGX-20", "revoked"),
        /// The PCK authority is on the root CRL.
        CaRevoked => ("SGX-20", "revoked"),
        /// The TCB signer is on the root CRL.
        TcbSignerRevoked => ("SGX-20", "revoked"),
        /// PCK CRL of an issuer with another name.
        PckCrlOtherIssuer => ("SGX-20", "chain-untrusted" | "collateral-unavailable"),
        /// The root CRL stands where the PCK CRL belongs.
        PckCrlOfRoot => ("SGX-20", "chain-untrusted" | "collateral-unavailable"),
        /// PCK CRL signed by another authority with the same name.
        PckCrlForeignSigner => ("X509-10", "chain-untrusted"),
        /// Root CRL signed by another root with the same name.
        RootCrlForeignSigner => ("X509-10", "chain-untrusted"),
        /// PCK CRL with an empty onlySomeReasons.
        PckCrlEmptyReasons => ("X509-08", "malformed" | "collateral-unavailable"),
        /// PCK CRL that covers some reasons only.
        PckCrlSomeReasons => ("X509-09", "collateral-unavailable" | "unsupported" | "chain-untrusted"),
        /// PCK CRL that is indirect.
        PckCrlIndirect => ("X509-09", "collateral-unavailable" | "unsupported" | "chain-untrusted"),
        /// PCK CRL that covers authorities only.
        PckCrlOnlyAuthorities => ("X509-09", "collateral-unavailable" | "unsupported" | "chain-untrusted"),
        /// PCK CRL that only adds to another one.
        PckCrlDelta => ("X509-09", "collateral-unavailable" | "unsupported" | "chain-untrusted"),
        /// PCK CRL with bytes after it.
        PckCrlTrailing => ("X509-01", "malformed"),
        /// PCK CRL that is not hexadecimal.
        PckCrlNotHex => ("X509-01", "malformed"),
        /// Identities of the TDX module missing; TDX only.
        NoModuleIdentities => ("TDX-03", "collateral-unavailable" | "tcb-rejected"),
        /// The TDX module of the quote's major version has no identity; TDX only.
        ModuleIdentityOther => ("TDX-03", "collateral-unavailable" | "tcb-rejected"),
        /// The TDX module's identity names another signer; TDX only.
        ModuleOtherSigner => ("TDX-02", "tcb-rejected"),
        /// The TDX module is `OutOfDate`; TDX only.
        ModuleOutOfDate => ("TDX-02", "tcb-rejected"),
        /// The TDX module is `Revoked`; TDX only.
        ModuleRevoked => ("TDX-02", "tcb-rejected"),
        /// Every level has one TDX component higher than the quote's; TDX only.
        TdxComponentHigher => ("SGX-16", "tcb-rejected"),
        /// TCB info of version 2; TDX only.
        TcbInfoVersionTwo => ("SGX-12", "unsupported"),
    }
}

impl CollateralFault {
    /// Whether the fault can be shown for this TEE.
    pub const fn applies_to(self, tee: Tee) -> bool {
        match tee {
            Tee::Tdx => true,
            Tee::Sgx => !matches!(
                self,
                Self::TdxComponentsShort
                    | Self::NoModuleIdentities
                    | Self::ModuleIdentityOther
                    | Self::ModuleOtherSigner
                    | Self::ModuleOutOfDate
                    | Self::ModuleRevoked
                    | Self::TdxComponentHigher
                    | Self::TcbInfoVersionTwo
            ),
        }
    }

    const fn status(self) -> Option<&'static str> {
        Some(match self {
            Self::OutOfDate => "OutOfDate",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::StatusRevoked => "Revoked",
            Self::StatusUnknown => "ProbablyFine",
            Self::StatusLowerCase => "uptodate",
            _ => return None,
        })
    }

    /// Changes the finished members, after they were signed.
    pub(super) fn in_members(self, members: &mut Vec<(&'static str, String)>) {
        let mut change = |name: &str, f: &dyn Fn(&str) -> String| {
            let member = members.iter_mut().find(|m| m.0 == name).unwrap();
            member.1 = f(&member.1);
        };
        match self {
            Self::QeIdentityUnsigned => change("qe_identity_signature", &|_| "00".repeat(64)),
            Self::TcbInfoReordered => change("tcb_info", &reordered),
            Self::QeIdentityReordered => change("qe_identity", &reordered),
            Self::TcbInfoSpaced => change("tcb_info", &|text| text.replace("\":", "\": ")),
            Self::TcbInfoChanged => change("tcb_info", &|text| text.replace("OutOfDate", "UpToDate")),
            Self::PckCrlTrailing => change("pck_crl", &|text| format!("{text}0500")),
            Self::PckCrlNotHex => change("pck_crl", &|text| text.replace('0', "g")),
            Self::NoQeIdentity => members.retain(|m| !m.0.starts_with("qe_identity")),
            Self::NoTcbInfo => members.retain(|m| !m.0.starts_with("tcb_info")),
            Self::NoPckCrl => members.retain(|m| m.0 != "pck_crl"),
            Self::NoRootCrl => members.retain(|m| m.0 != "root_ca_crl"),
            _ => {}
        }
    }
}

/// The same JSON object with its first member moved to the end.
fn reordered(text: &str) -> String {
    let (first, rest) = text[1..text.len() - 1].split_once(',').unwrap();
    format!("{{{rest},{first}}}")
}

impl Collateral {
    /// Applies the fault to what is described, before anything is signed.
    pub(super) fn broken(&self, intel: &Intel) -> Self {
        let mut out = self.clone();
        let Some(fault) = self.fault else {
            return out;
        };
        if let Some(status) = fault.status() {
            for level in &mut out.levels {
                status.clone_into(&mut level.status);
            }
        }
        out.break_identity(fault, intel);
        out.break_levels(fault);
        let late = intel.now - 1;
        match fault {
            CollateralFault::OtherFmspc => out.fmspc[5] ^= 1,
            CollateralFault::OtherPceId => out.pce_id[1] ^= 1,
            CollateralFault::TcbInfoVersionOne => out.tcb_info_version = 1,
            CollateralFault::TcbInfoVersionTwo => out.tcb_info_version = 2,
            CollateralFault::TcbInfoVersionFour => out.tcb_info_version = 4,
            CollateralFault::TcbInfoExpired => out.tcb_info_next_update = late,
            CollateralFault::QeIdentityExpired => out.qe_identity_next_update = late,
            CollateralFault::PckCrlExpired => out.pck_crl_next_update = late,
            CollateralFault::RootCrlExpired => out.root_crl_next_update = late,
            CollateralFault::IssuedAhead => out.issued = intel.now + DAY / 24,
            CollateralFault::CrlsIssuedAhead => out.crl_issued = intel.now + DAY / 24,
            CollateralFault::PckRevoked => out.revoked_by_ca.push(intel.pck_serial()),
            CollateralFault::CaRevoked => out.revoked_by_root.push(intel.ca_serial()),
            CollateralFault::TcbSignerRevoked => {
                out.revoked_by_root.push(intel.tcb_signer_serial());
            }
            _ => {}
        }
        out
    }

    fn break_identity(&mut self, fault: CollateralFault, intel: &Intel) {
        let other = match self.tee {
            Tee::Sgx => Tee::Tdx,
            Tee::Tdx => Tee::Sgx,
        };
        let qe: &mut QeIdentity = &mut self.qe_identity;
        match fault {
            CollateralFault::QeIdentityOtherMrsigner => qe.mrsigner[0] ^= 1,
            CollateralFault::QeIdentityOtherProduct => qe.prod_id += 1,
            CollateralFault::QeIdentityNoLevel => {
                qe.levels.iter_mut().for_each(|level| level.svn = 99);
            }
            CollateralFault::QeIdentityVersionOne => qe.version = 1,
            CollateralFault::QeIdentityOfOtherTee => *qe = intel.describe(other).qe_identity,
            CollateralFault::TcbInfoOfOtherTee => {
                let qe = qe.clone();
                *self = Self { qe_identity: qe, fault: self.fault, ..intel.describe(other) };
            }
            CollateralFault::QeOutOfDate => "OutOfDate".clone_into(&mut qe.levels[0].status),
            CollateralFault::QeRevoked => "Revoked".clone_into(&mut qe.levels[0].status),
            _ => {}
        }
    }

    fn break_levels(&mut self, fault: CollateralFault) {
        for level in &mut self.levels {
            match fault {
                CollateralFault::OneComponentHigher => level.components[7] += 1,
                CollateralFault::PceSvnHigher => level.pce_svn += 1,
                CollateralFault::TdxComponentHigher => level.tdx_components[7] += 1,
                _ => {}
            }
        }
        if fault == CollateralFault::NoLevels {
            self.levels.clear();
        }
        for module in &mut self.tdx_modules {
            match fault {
                CollateralFault::ModuleIdentityOther => module.id = module.id.replace("TDX_0", "TDX_7"),
                CollateralFault::ModuleOtherSigner => module.mrsigner[0] = 1,
                CollateralFault::ModuleOutOfDate => {
                    "OutOfDate".clone_into(&mut module.levels[0].status);
                }
                CollateralFault::ModuleRevoked => {
                    "Revoked".clone_into(&mut module.levels[0].status);
                }
                _ => {}
            }
        }
        if fault == CollateralFault::ModuleOtherSigner {
            self.module_mrsigner[0] = 1;
        }
    }
}
