//! Names of endorsements: cache key, audit word and file name all at once.

use std::fmt;

/// Which of Intel's two technologies a document speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntelTee {
    /// SGX.
    Sgx,
    /// TDX.
    Tdx,
}

/// The CA that issued a PCK certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PckCa {
    /// Intel SGX PCK Processor CA.
    Processor,
    /// Intel SGX PCK Platform CA.
    Platform,
}

/// An AMD EPYC product line with its own ARK. Bergamo and Siena are products of the Genoa line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AmdProduct {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004, and 97x4 (Bergamo), 8004 (Siena).
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl AmdProduct {
    /// Every product line.
    pub const ALL: &'static [AmdProduct] = &[Self::Milan, Self::Genoa, Self::Turin];

    /// AMD's spelling, as in the key distribution service's addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// The product of an ARK's common name, `ARK-Milan`.
    pub fn from_ark_name(name: &str) -> Option<Self> {
        let product = name.strip_prefix("ARK-")?;
        Self::ALL.iter().copied().find(|p| p.as_str() == product)
    }
}

/// Which key signed a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AmdSigner {
    /// The chip's own key, under the ASK.
    Vcek,
    /// A key that AMD lent to a cloud provider, under the ASVK.
    Vlek,
}

/// A platform's security patch levels. SEV-SNP firmware ABI, TCB_VERSION.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AmdTcb {
    /// Fabric: Turin and later only.
    pub fmc: Option<u8>,
    /// Boot loader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// One endorsement, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CollateralId {
    /// TCB info of a platform family.
    IntelTcbInfo {
        /// SGX or TDX.
        tee: IntelTee,
        /// FMSPC, 6 bytes.
        fmspc: [u8; 6],
    },
    /// Identity of the quoting enclave.
    IntelQeIdentity {
        /// SGX or TDX.
        tee: IntelTee,
    },
    /// Revocation list of a PCK CA.
    IntelPckCrl {
        /// Which CA.
        ca: PckCa,
    },
    /// Revocation list of the Intel SGX Root CA.
    IntelRootCrl,
    /// The certificate of a chip's key at a patch level.
    AmdVcek {
        /// Product line.
        product: AmdProduct,
        /// Chip id: 64 bytes, Turin 8.
        chip_id: Vec<u8>,
        /// Reported TCB.
        tcb: AmdTcb,
    },
    /// ASK or ASVK of a product line.
    AmdIssuer {
        /// Product line.
        product: AmdProduct,
        /// ASK (VCEK) or ASVK (VLEK).
        signer: AmdSigner,
    },
    /// Revocation list of a product line.
    AmdCrl {
        /// Product line.
        product: AmdProduct,
        /// Which chain's list.
        signer: AmdSigner,
    },
}

impl fmt::Display for CollateralId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tee = |t: &IntelTee| match t {
            IntelTee::Sgx => "sgx",
            IntelTee::Tdx => "tdx",
        };
        let signer = |s: &AmdSigner| match s {
            AmdSigner::Vcek => "vcek",
            AmdSigner::Vlek => "vlek",
        };
        match self {
            Self::IntelTcbInfo { tee: t, fmspc } => write!(f, "intel-{}-tcb-info-{}", tee(t), hex::encode(fmspc)),
            Self::IntelQeIdentity { tee: t } => write!(f, "intel-{}-qe-identity", tee(t)),
            Self::IntelPckCrl { ca: PckCa::Processor } => f.write_str("intel-pck-crl-processor"),
            Self::IntelPckCrl { ca: PckCa::Platform } => f.write_str("intel-pck-crl-platform"),
            Self::IntelRootCrl => f.write_str("intel-root-crl"),
            Self::AmdVcek { product, chip_id, tcb } => {
                write!(f, "amd-{}-vcek-{}-", product.as_str().to_lowercase(), hex::encode(chip_id))?;
                if let Some(fmc) = tcb.fmc {
                    write!(f, "{fmc:02x}")?;
                }
                write!(f, "{:02x}{:02x}{:02x}{:02x}", tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode)
            }
            Self::AmdIssuer { product, signer: s } => {
                write!(f, "amd-{}-{}-issuer", product.as_str().to_lowercase(), signer(s))
            }
            Self::AmdCrl { product, signer: s } => {
                write!(f, "amd-{}-{}-crl", product.as_str().to_lowercase(), signer(s))
            }
        }
    }
}
