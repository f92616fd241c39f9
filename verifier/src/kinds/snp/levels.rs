//! Product lines, and the patch levels that each lays out in its own way.
//!
//! SEV-SNP firmware ABI (AMD 56860) section 2.2 (TCB_VERSION); processor models by CPUID.

use super::wire::reserved;
use crate::endorsements::{AmdProduct, AmdTcb};
use crate::error::VerifyError;

/// Eight bytes of TCB_VERSION. Which byte says what depends on the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawTcb(pub [u8; 8]);

impl RawTcb {
    /// The levels in the product's layout; `None` where a reserved byte is set.
    pub fn read(self, product: AmdProduct) -> Option<AmdTcb> {
        match (product, self.0) {
            (AmdProduct::Turin, [fmc, bootloader, tee, snp, 0, 0, 0, microcode]) => {
                Some(AmdTcb { fmc: Some(fmc), bootloader, tee, snp, microcode })
            }
            (AmdProduct::Milan | AmdProduct::Genoa, [bootloader, tee, 0, 0, 0, 0, snp, microcode]) => {
                Some(AmdTcb { fmc: None, bootloader, tee, snp, microcode })
            }
            _ => None,
        }
    }
}

/// The four levels that a report speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tcbs {
    /// What the signing key was derived for.
    pub reported: AmdTcb,
    /// Below it the platform cannot go back.
    pub committed: AmdTcb,
    /// What runs now.
    pub current: AmdTcb,
    /// What ran when the guest was launched or imported.
    pub launch: AmdTcb,
}

/// CPUID of the processor, from report version 3.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpuid {
    pub family: u8,
    pub model: u8,
    pub stepping: u8,
}

impl Cpuid {
    /// The product line of a family and model; Bergamo and Siena are models of Genoa.
    fn product(self) -> Option<AmdProduct> {
        match (self.family, self.model) {
            (0x19, 0x00..=0x0f) => Some(AmdProduct::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(AmdProduct::Genoa),
            (0x1a, 0x00..=0x11) => Some(AmdProduct::Turin),
            _ => None,
        }
    }
}

/// The products whose layout the levels fit. CPUID names one; before it, the chip id tells Turin (8 bytes) from the others.
pub(super) fn products(
    cpuid: Option<Cpuid>,
    chip_id: &[u8; 64],
    tcbs: &[RawTcb],
) -> Result<Vec<AmdProduct>, VerifyError> {
    let possible = match cpuid {
        Some(cpuid) => vec![cpuid.product().ok_or_else(|| {
            let detail = format!("processor family {:#x} model {:#x} is not known", cpuid.family, cpuid.model);
            VerifyError::unsupported("report-processor", detail)
        })?],
        None => match chip_id.iter().rposition(|b| *b != 0) {
            None => AmdProduct::ALL.to_vec(),
            Some(0..=7) => vec![AmdProduct::Turin],
            Some(_) => vec![AmdProduct::Milan, AmdProduct::Genoa],
        },
    };
    let fitting: Vec<_> =
        possible.into_iter().filter(|product| tcbs.iter().all(|raw| raw.read(*product).is_some())).collect();
    if fitting.is_empty() {
        return Err(reserved("a byte of a tcb version"));
    }
    Ok(fitting)
}
