//! A throw-away AMD hierarchy: ARK, ASK, ASVK, VCEK, VLEK, their CRL and the reports they sign.
//! AMD 57230 (VCEK certificates and KDS) sections 3 and 4; SEV-SNP firmware ABI 56860 section 7.3.

mod certificates;
mod document;
mod evidence;
mod extensions;
mod fault;
mod report;
mod table;

pub use document::{azure_document, azure_endorsements};
pub use evidence::SnpEvidence;
pub use fault::SnpFault;
pub use report::{SigningKey, SnpReport, Tcb, policy};
pub use table::{GUID_ARK, GUID_ASK, GUID_ASVK, GUID_CRL, GUID_VCEK, GUID_VLEK, certificate_table};

use crate::keys::{self, Key};
use std::sync::OnceLock;

/// AMD product lines, each with an own ARK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// EPYC 7003: family 19h, model 01h.
    Milan,
    /// EPYC 9004: family 19h, model 11h.
    Genoa,
    /// EPYC 9005: family 1Ah, model 02h; chip identifiers of 8 bytes and an FMC in the TCB.
    Turin,
}

impl Product {
    /// Every product.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// Name as it stands in certificates: `Milan`, `Genoa` or `Turin`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// CPUID family, model and stepping in a report of version 3 or later.
    pub const fn cpuid(self) -> [u8; 3] {
        match self {
            Self::Milan => [0x19, 0x01, 0x01],
            Self::Genoa => [0x19, 0x11, 0x01],
            Self::Turin => [0x1a, 0x02, 0x01],
        }
    }

    /// Bytes of the hardware identifier: 64, on Turin 8.
    pub const fn hwid_length(self) -> usize {
        match self {
            Self::Turin => 8,
            _ => 64,
        }
    }

    /// A product that this one must not be mistaken for.
    pub const fn other(self) -> Self {
        match self {
            Self::Milan => Self::Genoa,
            Self::Genoa => Self::Turin,
            Self::Turin => Self::Milan,
        }
    }
}

/// One product's authorities and one chip.
pub struct Amd {
    /// Product line of the chip.
    pub product: Product,
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    /// Chip identifier as reports carry it: 64 bytes, on Turin 8 followed by zeros.
    pub chip_id: [u8; 64],
    vcek: Key,
    vlek: Key,
}

impl Amd {
    /// A hierarchy valid around `now` (unix seconds) and a chip with a key of its own.
    pub fn new(product: Product, now: i64) -> Self {
        let vcek = keys::p384();
        let seed = keys::sha512(&keys::spki(&vcek));
        let mut chip_id = [0; 64];
        let length = product.hwid_length();
        chip_id[..length].copy_from_slice(&seed[..length]);
        Self { product, now, chip_id, vcek, vlek: keys::p384() }
    }

    /// The chip's private key, to sign something else with.
    pub fn vcek_key(&self) -> &Key {
        &self.vcek
    }

    /// The provider's private key, to sign something else with.
    pub fn vlek_key(&self) -> &Key {
        &self.vlek
    }
}

/// The RSA-4096 key of an authority; parsed once per process.
pub(crate) struct Authorities {
    pub(crate) ark: Key,
    pub(crate) ask: Key,
    pub(crate) asvk: Key,
}

macro_rules! authorities {
    ($product:literal) => {{
        static KEYS: OnceLock<Authorities> = OnceLock::new();
        KEYS.get_or_init(|| Authorities {
            ark: keys::from_pem(include_str!(concat!("../data/throw-away-ark-", $product, ".pem"))),
            ask: keys::from_pem(include_str!(concat!("../data/throw-away-ask-", $product, ".pem"))),
            asvk: keys::from_pem(include_str!(concat!("../data/throw-away-asvk-", $product, ".pem"))),
        })
    }};
}

/// Keys of a product's authorities.
pub(crate) fn authorities(product: Product) -> &'static Authorities {
    match product {
        Product::Milan => authorities!("milan"),
        Product::Genoa => authorities!("genoa"),
        Product::Turin => authorities!("turin"),
    }
}

/// An RSA-4096 key that belongs to no hierarchy.
pub(crate) fn rogue_authority_key() -> Key {
    keys::from_pem(include_str!("../data/throw-away-rogue.pem"))
}

#[cfg(test)]
mod tests;
