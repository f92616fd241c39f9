//! What can be wrong with an SGX or TDX quote: header, body, signatures, certification data, PCK.
//! Catalogue of bad inputs, sections 3 and 4.

faults! {
    /// One thing wrong with a quote of either kind; `on_tdx` tells which fit a TDX quote.
    SgxFault {
        /// The last byte is missing.
        Truncated => ("SGX-01", "malformed"),
        /// No bytes at all.
        Empty => ("SGX-01", "malformed"),
        /// Nothing after the header of 48 bytes.
        HeaderOnly => ("SGX-01", "malformed"),
        /// A byte other than zero follows.
        Trailing => ("SGX-02", "malformed"),
        /// 4,097 zeros follow, one more than agents emit.
        TooManyZeros => ("SGX-02", "malformed"),
        /// The length of the signature data is one too low.
        SignatureLengthLow => ("SGX-03", "malformed"),
        /// The length of the signature data is one too high.
        SignatureLengthHigh => ("SGX-03", "malformed"),
        /// The length of the signature data is 0xFFFFFFFF.
        SignatureLengthHuge => ("SGX-03", "malformed"),
        /// Quote version 0.
        VersionZero => ("SGX-04", "unsupported" | "malformed"),
        /// Quote version 2.
        VersionTwo => ("SGX-04", "unsupported" | "malformed"),
        /// Quote version 6.
        VersionSix => ("SGX-04", "unsupported" | "malformed"),
        /// Quote version 4, which has no SGX enclaves in practice; SGX only.
        VersionFour => ("SGX-04", "unsupported" | "malformed"),
        /// Quote version 5 with body type 1, an enclave report; SGX only.
        VersionFive => ("SGX-04", "unsupported" | "malformed"),
        /// TEE type that is neither SGX nor TDX.
        TeeTypeUnknown => ("SGX-04", "unsupported" | "malformed"),
        /// The header names the other TEE than the body is of.
        TeeTypeOther => ("SGX-04", "malformed" | "unsupported"),
        /// Attestation key type 3: ECDSA P-384.
        KeyTypeP384 => ("SGX-05", "unsupported"),
        /// Attestation key type 0: EPID unlinkable.
        KeyTypeEpid0 => ("SGX-05", "unsupported"),
        /// Attestation key type 1: EPID linkable.
        KeyTypeEpid1 => ("SGX-05", "unsupported"),
        /// QE vendor that is not Intel.
        QeVendor => ("SGX-06", "chain-untrusted"),
        /// The QE report binds another attestation key.
        KeyNotBound => ("SGX-07", "signature-invalid"),
        /// The QE report's last 32 bytes of report data are not zero.
        BoundTailSet => ("SGX-07", "signature-invalid"),
        /// The authentication data differ from the bound ones.
        AuthDataChanged => ("SGX-07", "signature-invalid"),
        /// The quote is signed by a key other than the one shown.
        ForeignSigner => ("SGX-07", "signature-invalid"),
        /// One bit of the report data changed after signing.
        BodyChanged => ("SGX-07", "signature-invalid"),
        /// One bit of the header's user data changed after signing.
        HeaderChanged => ("SGX-07", "signature-invalid"),
        /// The QE report is signed by another platform's PCK.
        QeReportOtherPck => ("SGX-08", "signature-invalid"),
        /// The PCK shown belongs to another platform of the same authority.
        PckOfOtherPlatform => ("SGX-08", "signature-invalid"),
        /// One bit of the QE report changed after signing.
        QeReportChanged => ("SGX-08", "signature-invalid"),
        /// The QE's signer is not the one of the identity.
        QeSigner => ("SGX-09", "tcb-rejected" | "chain-untrusted"),
        /// The QE's product is not the one of the identity.
        QeProduct => ("SGX-09", "tcb-rejected" | "chain-untrusted"),
        /// The QE's attributes differ under the mask: debug.
        QeAttributes => ("SGX-09", "tcb-rejected" | "chain-untrusted" | "debug-rejected"),
        /// The QE's miscselect differs under the mask.
        QeMiscSelect => ("SGX-09", "tcb-rejected" | "chain-untrusted"),
        /// The QE's version is below every level of the identity.
        QeSvn => ("SGX-09", "tcb-rejected"),
        /// Leaf and intermediate swapped.
        ChainSwapped => ("SGX-21", "chain-untrusted" | "malformed"),
        /// Only the leaf is there.
        ChainLeafOnly => ("SGX-21", "chain-untrusted" | "malformed"),
        /// Chain under a root with the right name and another key.
        SelfMadeRoot => ("SGX-21", "chain-untrusted"),
        /// Chain under the right root key with another name.
        RootRenamed => ("X509-13", "chain-untrusted"),
        /// The PCK certificate expired a second ago.
        PckExpired => ("SGX-21", "chain-untrusted"),
        /// The PCK certificate is valid from the next second.
        PckNotYetValid => ("SGX-21", "chain-untrusted"),
        /// The PCK certificate has an empty authority key identifier.
        PckEmptyKeyId => ("SGX-22", "chain-untrusted"),
        /// Certification data of type 1: PPID in plain text.
        CertType1 => ("SGX-23", "unsupported" | "malformed"),
        /// Certification data of type 2: PPID encrypted with RSA-2048.
        CertType2 => ("SGX-23", "unsupported" | "malformed"),
        /// Certification data of type 3: PPID encrypted with RSA-3072.
        CertType3 => ("SGX-23", "unsupported" | "malformed"),
        /// Certification data of type 4: PCK leaf only.
        CertType4 => ("SGX-23", "unsupported" | "malformed"),
        /// Certification data of type 6 where 5 belongs.
        CertType6 => ("SGX-23", "unsupported" | "malformed"),
        /// Certification data of type 7: platform manifest.
        CertType7 => ("SGX-23", "unsupported" | "malformed"),
        /// A thousand certificates.
        PemThousand => ("SGX-24", "too-large" | "malformed"),
        /// Eight authorities with the same name and other keys before the right one.
        SameNameAuthorities => ("X509-02", "chain-untrusted" | "too-large" | "malformed"),
        /// NUL bytes between the certificates.
        PemNul => ("SGX-24", "malformed"),
        /// A block with another label between the certificates.
        PemLabel => ("SGX-24", "malformed"),
        /// Text between the certificates.
        PemText => ("SGX-24", "malformed"),
        /// No certificate at all.
        PemEmpty => ("SGX-24", "malformed" | "chain-untrusted"),
        /// The PCK lacks the SGX extension.
        PckNoExtension => ("SGX-25", "malformed"),
        /// The PCK has the SGX extension twice.
        PckExtensionTwice => ("SGX-25", "malformed"),
        /// The PCK lacks the sixteenth component.
        PckMissingComponent => ("SGX-25", "malformed"),
        /// The PCK has the fifteenth component twice and no sixteenth.
        PckDuplicateComponent => ("SGX-25", "malformed"),
        /// The PCK's sixteenth component is 256.
        PckLargeComponent => ("SGX-25", "malformed"),
        /// The PCK's sixteenth component is negative.
        PckNegativeComponent => ("SGX-25", "malformed"),
        /// The PCK's sixteenth component is not minimal.
        PckPaddedComponent => ("SGX-25", "malformed"),
        /// The PCK's CPUSVN has 15 bytes.
        PckShortCpuSvn => ("SGX-25", "malformed"),
        /// The PCK lacks the FMSPC.
        PckNoFmspc => ("SGX-25", "malformed"),
        /// The PCK has two FMSPCs.
        PckFmspcTwice => ("SGX-25", "malformed"),
        /// The PCK's FMSPC has 7 bytes.
        PckLongFmspc => ("SGX-25", "malformed"),
        /// Enclave attribute DEBUG is set.
        Debug => ("SGX-26", "debug-rejected"),
        /// Enclave attribute INIT is not set.
        NotInitialised => ("SGX-27", "debug-rejected" | "malformed" | "tcb-rejected"),
        /// r of the quote's signature is zero.
        ZeroR => ("SGX-32", "signature-invalid"),
        /// s of the quote's signature is zero.
        ZeroS => ("SGX-32", "signature-invalid"),
        /// r of the quote's signature is the order of the curve.
        LargeR => ("SGX-32", "signature-invalid"),
        /// The attestation key is not on the curve.
        KeyNotOnCurve => ("SGX-32", "signature-invalid" | "malformed"),
        /// Length of the authentication data 65,535, with no more bytes.
        AuthDataLength => ("SGX-33", "malformed"),
        /// A report for local attestation instead of a quote.
        LocalReport => ("SGX-34", "malformed" | "unsupported"),
    }
}

impl SgxFault {
    /// Whether the fault can also be shown on a TDX quote.
    pub const fn on_tdx(self) -> bool {
        !matches!(self, Self::Debug | Self::NotInitialised | Self::LocalReport | Self::VersionFour | Self::VersionFive)
    }
}

faults! {
    /// One thing wrong with a TDX quote that no SGX quote can have.
    TdxFault {
        /// Body descriptor of version 5 names a type nobody knows.
        BodyTypeUnknown => ("SGX-04", "unsupported" | "malformed"),
        /// Body descriptor of version 5 gives the length of the other TD report.
        BodyLengthOther => ("SGX-04", "malformed"),
        /// Body descriptor of version 5 says SGX enclave report.
        BodyTypeSgx => ("SGX-04", "malformed" | "unsupported"),
        /// The header says version 3.
        VersionThree => ("SGX-04", "unsupported" | "malformed"),
        /// Outer certification data of type 5 instead of 6.
        OuterTypeFive => ("SGX-23", "unsupported" | "malformed"),
        /// TD attribute DEBUG is set.
        Debug => ("TDX-01", "debug-rejected"),
        /// A reserved bit of the TUD group is set.
        ReservedUnderDebug => ("TDX-01", "debug-rejected"),
        /// The TDX module is signed by somebody.
        SeamSigner => ("TDX-02", "tcb-rejected"),
        /// The TDX module has attributes.
        SeamAttributes => ("TDX-02", "tcb-rejected"),
        /// The TDX module's major version has no identity.
        ModuleUnknown => ("TDX-04", "tcb-rejected" | "collateral-unavailable"),
        /// The TDX module's version is below every level of its identity.
        ModuleSvnLow => ("TDX-04", "tcb-rejected"),
        /// The TDX module was updated to a lower version after launch; needs a TD 1.5 body.
        SecondSvnLower => ("TDX-06", "tcb-rejected"),
        /// The TDX module was updated since launch and the TD should be launched anew; needs a TD 1.5 body.
        RelaunchAdvised => ("TDX-06", "tcb-rejected"),
    }
}

impl TdxFault {
    /// Whether the fault can be shown on a quote of this version.
    pub const fn applies_to(self, version: super::TdxVersion) -> bool {
        match self {
            Self::BodyTypeUnknown | Self::BodyLengthOther | Self::BodyTypeSgx => {
                !matches!(version, super::TdxVersion::V4)
            }
            Self::SecondSvnLower | Self::RelaunchAdvised => {
                matches!(version, super::TdxVersion::V5Td15)
            }
            Self::VersionThree => matches!(version, super::TdxVersion::V4),
            _ => true,
        }
    }
}
