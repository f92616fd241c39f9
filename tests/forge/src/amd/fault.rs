//! What can be wrong with SEV-SNP evidence: the report, its signature, its certificates, its table.
//! Catalogue of bad inputs, section 5; SEV-SNP firmware ABI 56860 section 7.3.

use super::Amd;
use super::report::SIGNED;
use crate::keys;

faults! {
    /// One thing wrong with SEV-SNP evidence.
    SnpFault {
        /// Report version 0.
        VersionZero => ("SNP-01", "unsupported"),
        /// Report version 1.
        VersionOne => ("SNP-01", "unsupported"),
        /// Report version 6, newer than any known.
        VersionSix => ("SNP-01", "unsupported"),
        /// Report version 0xFFFFFFFF.
        VersionHuge => ("SNP-01", "unsupported"),
        /// The last byte is missing.
        OneByteShort => ("SNP-01", "malformed"),
        /// One byte follows.
        OneByteLong => ("SNP-01", "malformed"),
        /// No bytes at all.
        Empty => ("SNP-01", "malformed"),
        /// Signature algorithm 0 (invalid) instead of 1.
        SignatureAlgorithm => ("SNP-02", "signature-invalid"),
        /// A byte of r beyond the 48 is not zero.
        LongR => ("SNP-02", "signature-invalid"),
        /// A byte of s beyond the 48 is not zero.
        LongS => ("SNP-02", "signature-invalid"),
        /// r and s are big-endian.
        BigEndian => ("SNP-03", "signature-invalid"),
        /// r is zero.
        ZeroR => ("SNP-02", "signature-invalid"),
        /// s is zero.
        ZeroS => ("SNP-02", "signature-invalid"),
        /// s is the order of the curve or more.
        LargeS => ("SNP-02", "signature-invalid"),
        /// One bit of the measurement changed after signing.
        BodyChanged => ("SNP-02", "signature-invalid"),
        /// Reserved bytes after the key information are set.
        ReservedAfterKeyInfo => ("SNP-04", "malformed"),
        /// Reserved bytes before the chip identifier are set.
        ReservedBeforeChipId => ("SNP-04", "malformed"),
        /// Reserved bytes at the end of the signed part are set.
        ReservedBeforeSignature => ("SNP-04", "malformed"),
        /// A reserved byte of the reported TCB is set.
        ReservedInTcb => ("SNP-04", "malformed"),
        /// CPUID bytes, reserved in version 2, are set in a report of that version.
        CpuidInVersionTwo => ("SNP-04", "malformed"),
        /// The mitigation vector, reserved before version 5, is set in version 3.
        MitigationInVersionThree => ("SNP-04", "malformed"),
        /// The highest, reserved bit of the guest policy is set.
        ReservedInPolicy => ("SNP-04", "malformed"),
        /// Reserved bytes after the signature are set.
        ReservedAfterSignature => ("SNP-04", "malformed"),
        /// The VCEK's hardware identifier is another chip's.
        OtherChip => ("SNP-05", "chain-untrusted"),
        /// The VCEK's boot loader version is lower than reported.
        VcekTcbLower => ("SNP-07", "tcb-rejected"),
        /// The VCEK's microcode version is higher than reported.
        VcekTcbHigher => ("SNP-07", "tcb-rejected"),
        /// The committed TCB is lower than the reported one.
        CommittedBelowReported => ("SNP-08", "tcb-rejected"),
        /// The current TCB is lower than the committed one.
        CurrentBelowCommitted => ("SNP-08", "tcb-rejected"),
        /// The report's TCBs are laid out as those of the other family.
        OtherTcbLayout => ("SNP-09", "tcb-rejected"),
        /// Signed with the VLEK under the ASVK, while the report names the VCEK.
        VlekNamedVcek => ("SNP-10", "chain-untrusted"),
        /// Signed with the VCEK under the ASK, while the report names the VLEK.
        VcekNamedVlek => ("SNP-10", "chain-untrusted"),
        /// A VLEK certificate that says it is for another product.
        VlekOfOtherProduct => ("SNP-10", "chain-untrusted"),
        /// Signing key field 7: none.
        SigningKeyNone => ("SNP-11", "signature-invalid"),
        /// Signing key field 2: reserved.
        SigningKeyReserved => ("SNP-11", "signature-invalid"),
        /// Chain of another product.
        ChainOfOtherProduct => ("SNP-12", "chain-untrusted"),
        /// The ASVK stands where the ASK belongs.
        AsvkForAsk => ("SNP-12", "chain-untrusted"),
        /// Whole chain self-made under an ARK with the right name.
        SelfMadeArk => ("SNP-12", "chain-untrusted"),
        /// The ASK's signature has a salt of 32 bytes while 48 are named.
        AskWrongSalt => ("SNP-13", "chain-untrusted"),
        /// The VCEK's signature has a salt of 32 bytes while 48 are named.
        VcekWrongSalt => ("SNP-13", "chain-untrusted"),
        /// Table entry that reaches beyond the table.
        TableBeyondEnd => ("SNP-14", "malformed"),
        /// Two table entries that share bytes.
        TableOverlap => ("SNP-14", "malformed"),
        /// Table entry of length zero.
        TableZeroLength => ("SNP-14", "malformed"),
        /// Table entry of length 0xFFFFFFFF.
        TableHugeLength => ("SNP-14", "malformed"),
        /// Table without the closing entry of zeros.
        TableUnterminated => ("SNP-14", "malformed"),
        /// Table entry that points into the entries.
        TableIntoEntries => ("SNP-14", "malformed"),
        /// The same entry twice.
        TableDuplicate => ("SNP-14", "malformed"),
        /// Guest policy allows debugging.
        Debug => ("SNP-15", "debug-rejected"),
        /// The VCEK expired.
        VcekExpired => ("SNP-24", "chain-untrusted"),
        /// The VCEK is not yet valid.
        VcekNotYetValid => ("SNP-24", "chain-untrusted"),
        /// The VCEK lacks the boot loader version.
        VcekMissingSpl => ("SNP-27", "malformed"),
        /// The VCEK has the microcode version twice.
        VcekDuplicateSpl => ("SNP-27", "malformed"),
        /// The VCEK's microcode version is 256 and more.
        VcekSplTooLarge => ("SNP-27", "malformed"),
        /// The VCEK's microcode version is negative.
        VcekSplNegative => ("SNP-27", "malformed"),
        /// The VCEK lacks the hardware identifier.
        VcekMissingHwid => ("SNP-27", "malformed"),
        /// The VCEK's hardware identifier has one byte too few.
        VcekShortHwid => ("SNP-27", "malformed"),
        /// The VCEK's hardware identifier has one byte too many.
        VcekLongHwid => ("SNP-27", "malformed"),
        /// The VCEK's hardware identifier has the length of the other family.
        VcekForeignHwidLength => ("SNP-27", "malformed"),
        /// The VCEK names another product than its authority.
        VcekOtherProductName => ("SNP-12", "chain-untrusted"),
    }
}

impl SnpFault {
    /// Whether the fault shows only in the certificate table of the extended report.
    pub const fn is_table(self) -> bool {
        matches!(
            self,
            Self::TableBeyondEnd
                | Self::TableOverlap
                | Self::TableZeroLength
                | Self::TableHugeLength
                | Self::TableUnterminated
                | Self::TableIntoEntries
                | Self::TableDuplicate
        )
    }

    /// Changes the part that is signed, before it is signed.
    pub(super) fn in_body(self, body: &mut [u8], amd: &Amd) {
        let version = |n: u32| n.to_le_bytes();
        match self {
            Self::VersionZero => body[..4].copy_from_slice(&version(0)),
            Self::VersionOne => body[..4].copy_from_slice(&version(1)),
            Self::VersionSix => body[..4].copy_from_slice(&version(6)),
            Self::VersionHuge => body[..4].copy_from_slice(&version(u32::MAX)),
            Self::SignatureAlgorithm => body[0x34] = 0,
            Self::ReservedAfterKeyInfo => body[0x4d] = 1,
            Self::ReservedBeforeChipId => body[0x19f] = 1,
            Self::ReservedBeforeSignature => body[SIGNED - 1] = 1,
            Self::ReservedInTcb => body[0x180 + 5] = 1,
            Self::CpuidInVersionTwo => {
                body[..4].copy_from_slice(&version(2));
                body[0x188..0x18b].copy_from_slice(&amd.product.cpuid());
            }
            Self::MitigationInVersionThree => {
                body[..4].copy_from_slice(&version(3));
                body[0x188..0x18b].copy_from_slice(&amd.product.cpuid());
                body[0x1f8] = 1;
            }
            Self::ReservedInPolicy => body[0x0f] |= 0x80,
            Self::CommittedBelowReported => lower_microcode(body, &[0x1e0]),
            Self::CurrentBelowCommitted => lower_microcode(body, &[0x38]),
            Self::OtherTcbLayout => {
                let product = amd.product;
                let layout =
                    if product == super::Product::Turin { super::Product::Milan } else { super::Product::Turin };
                let bytes = flat_tcb().to_bytes(layout);
                for at in [0x38, 0x180, 0x1e0, 0x1f0] {
                    body[at..at + 8].copy_from_slice(&bytes);
                }
            }
            Self::VlekNamedVcek => body[0x48] &= !(7 << 2),
            Self::VcekNamedVlek => body[0x48] = body[0x48] & !(7 << 2) | 1 << 2,
            Self::SigningKeyNone => body[0x48] |= 7 << 2,
            Self::SigningKeyReserved => body[0x48] = body[0x48] & !(7 << 2) | 2 << 2,
            Self::Debug => body[0x0a] |= 1 << 3,
            _ => {}
        }
    }

    /// Changes the finished report, after it was signed.
    pub(super) fn in_report(self, report: &mut Vec<u8>) {
        let (r, s) = (SIGNED, SIGNED + 72);
        match self {
            Self::OneByteShort => report.truncate(report.len() - 1),
            Self::OneByteLong => report.push(0),
            Self::Empty => report.clear(),
            Self::LongR => report[r + 48] = 1,
            Self::LongS => report[s + 71] = 1,
            Self::BigEndian => {
                report[r..r + 48].reverse();
                report[s..s + 48].reverse();
            }
            Self::ZeroR => report[r..r + 48].fill(0),
            Self::ZeroS => report[s..s + 48].fill(0),
            Self::LargeS => {
                let mut order = keys::order(&keys::p384());
                order.reverse();
                report[s..s + 48].copy_from_slice(&order);
            }
            Self::BodyChanged => report[0x90] ^= 1,
            Self::ReservedAfterSignature => report[SIGNED + 144] = 1,
            _ => {}
        }
    }
}

/// A TCB whose reserved bytes stay zero in either layout.
pub(super) fn flat_tcb() -> super::Tcb {
    super::Tcb { fmc: 1, bootloader: 4, tee: 0, snp: 0, microcode: 219 }
}

fn lower_microcode(body: &mut [u8], at: &[usize]) {
    for at in at {
        body[at + 7] -= 1;
    }
}
