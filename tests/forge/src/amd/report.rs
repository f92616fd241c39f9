//! The attestation report of SEV-SNP: 1184 bytes, little-endian, signed with ECDSA P-384.
//! SEV-SNP firmware ABI 56860, section 7.3 table 23, section 2.2 (TCB_VERSION), section 10.1 (signature).

use super::{Amd, Product, SnpFault};
use crate::keys::{self, SigAlg};
use crate::x509::CertFault;

/// Bytes of a report.
pub const LENGTH: usize = 1184;
/// Bytes at the start of a report that the signature covers.
pub const SIGNED: usize = 0x2a0;

/// Security versions of the parts of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcb {
    /// FMC firmware; stands only in Turin's layout.
    pub fmc: u8,
    /// Boot loader.
    pub bootloader: u8,
    /// Secure processor operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Lowest microcode patch level of all cores.
    pub microcode: u8,
}

impl Default for Tcb {
    fn default() -> Self {
        Self { fmc: 1, bootloader: 4, tee: 0, snp: 24, microcode: 219 }
    }
}

impl Tcb {
    /// The eight bytes of TCB_VERSION in the product's layout.
    pub fn to_bytes(self, product: Product) -> [u8; 8] {
        match product {
            Product::Turin => [self.fmc, self.bootloader, self.tee, self.snp, 0, 0, 0, self.microcode],
            _ => [self.bootloader, self.tee, 0, 0, 0, 0, self.snp, self.microcode],
        }
    }
}

/// Which key the report says it is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// Versioned chip endorsement key, certified by the ASK.
    Vcek,
    /// Versioned loaded endorsement key, certified by the ASVK.
    Vlek,
}

/// Bits of the guest policy.
pub mod policy {
    /// SMT allowed.
    pub const SMT: u64 = 1 << 16;
    /// Reserved, must be one.
    pub const MUST_BE_ONE: u64 = 1 << 17;
    /// Migration agent allowed.
    pub const MIGRATE_MA: u64 = 1 << 18;
    /// Debugging allowed.
    pub const DEBUG: u64 = 1 << 19;
    /// Single socket required.
    pub const SINGLE_SOCKET: u64 = 1 << 20;
}

/// What the report is to say. [`SnpReport::new`] gives a sound guest of version 3.
#[derive(Clone, Debug)]
pub struct SnpReport {
    /// Version of the report: 2, 3, 4 or 5 are known.
    pub version: u32,
    /// Guest security version.
    pub guest_svn: u32,
    /// Guest policy; see [`policy`].
    pub policy: u64,
    /// Family identifier, chosen by the host unless an id block is used.
    pub family_id: [u8; 16],
    /// Image identifier, chosen by the host unless an id block is used.
    pub image_id: [u8; 16],
    /// Privilege level of the requester, 0xFFFFFFFF where the host asked.
    pub vmpl: u32,
    /// Platform information bits.
    pub platform_info: u64,
    /// AUTHOR_KEY_EN: the author key digest counts.
    pub author_key_en: bool,
    /// MASK_CHIP_KEY; with an unset `chip_id` the report then carries zeros there.
    pub mask_chip_key: bool,
    /// The key that signs, and that the report names.
    pub signing_key: SigningKey,
    /// What the guest bound, 64 bytes.
    pub report_data: [u8; 64],
    /// Launch measurement.
    pub measurement: [u8; 48],
    /// What the host handed over at launch.
    pub host_data: [u8; 32],
    /// Digest of the key that signed the id block.
    pub id_key_digest: [u8; 48],
    /// Digest of the key that certified the id key.
    pub author_key_digest: [u8; 48],
    /// Identifier of the guest.
    pub report_id: [u8; 32],
    /// Identifier of the migration agent, all ones where there is none.
    pub report_id_ma: [u8; 32],
    /// TCB now.
    pub current_tcb: Tcb,
    /// TCB for which the signing key was derived; its certificate says the same.
    pub reported_tcb: Tcb,
    /// TCB below which the platform cannot go.
    pub committed_tcb: Tcb,
    /// TCB when the guest was launched.
    pub launch_tcb: Tcb,
    /// Chip identifier; the hierarchy's chip where unset, zeros for VLEK or a masked chip.
    pub chip_id: Option<[u8; 64]>,
    /// Build, minor and major version of the firmware now.
    pub current_version: [u8; 3],
    /// Build, minor and major version below which the firmware cannot go.
    pub committed_version: [u8; 3],
    /// Mitigation vector at launch, version 5 only.
    pub launch_mit_vector: u64,
    /// Mitigation vector now, version 5 only.
    pub current_mit_vector: u64,
    /// The one thing that is wrong.
    pub fault: Option<SnpFault>,
    /// The one thing that is wrong with the ASK (or ASVK).
    pub authority_fault: Option<CertFault>,
}

impl SnpReport {
    /// A sound guest at VMPL 0 that binds `report_data`, signed with the VCEK.
    pub fn new(report_data: [u8; 64]) -> Self {
        Self {
            version: 3,
            guest_svn: 1,
            policy: policy::SMT | policy::MUST_BE_ONE,
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: 0,
            platform_info: 0x25,
            author_key_en: false,
            mask_chip_key: false,
            signing_key: SigningKey::Vcek,
            report_data,
            measurement: [0x4d; 48],
            host_data: [0; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            report_id: [0x1d; 32],
            report_id_ma: [0xff; 32],
            current_tcb: Tcb::default(),
            reported_tcb: Tcb::default(),
            committed_tcb: Tcb::default(),
            launch_tcb: Tcb::default(),
            chip_id: None,
            current_version: [29, 55, 1],
            committed_version: [29, 55, 1],
            launch_mit_vector: 0,
            current_mit_vector: 0,
            fault: None,
            authority_fault: None,
        }
    }

    /// Sets all four TCBs to the same value.
    pub fn with_tcb(mut self, tcb: Tcb) -> Self {
        self.current_tcb = tcb;
        self.reported_tcb = tcb;
        self.committed_tcb = tcb;
        self.launch_tcb = tcb;
        self
    }

    /// The first 0x2A0 bytes, without a fault.
    fn body(&self, amd: &Amd) -> Vec<u8> {
        let mut out = vec![0; SIGNED];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        let tcb = |tcb: Tcb| tcb.to_bytes(amd.product);
        put(0x00, &self.version.to_le_bytes());
        put(0x04, &self.guest_svn.to_le_bytes());
        put(0x08, &self.policy.to_le_bytes());
        put(0x10, &self.family_id);
        put(0x20, &self.image_id);
        put(0x30, &self.vmpl.to_le_bytes());
        put(0x34, &1u32.to_le_bytes());
        put(0x38, &tcb(self.current_tcb));
        put(0x40, &self.platform_info.to_le_bytes());
        put(0x48, &[self.key_info()]);
        put(0x50, &self.report_data);
        put(0x90, &self.measurement);
        put(0xc0, &self.host_data);
        put(0xe0, &self.id_key_digest);
        put(0x110, &self.author_key_digest);
        put(0x140, &self.report_id);
        put(0x160, &self.report_id_ma);
        put(0x180, &tcb(self.reported_tcb));
        if self.version >= 3 {
            put(0x188, &amd.product.cpuid());
        }
        put(0x1a0, &self.chip_id_of(amd));
        put(0x1e0, &tcb(self.committed_tcb));
        put(0x1e8, &self.current_version);
        put(0x1ec, &self.committed_version);
        put(0x1f0, &tcb(self.launch_tcb));
        if self.version >= 5 {
            put(0x1f8, &self.launch_mit_vector.to_le_bytes());
            put(0x200, &self.current_mit_vector.to_le_bytes());
        }
        out
    }

    fn key_info(&self) -> u8 {
        let key = match self.signing_key {
            SigningKey::Vcek => 0,
            SigningKey::Vlek => 1,
        };
        u8::from(self.author_key_en) | u8::from(self.mask_chip_key) << 1 | key << 2
    }

    fn chip_id_of(&self, amd: &Amd) -> [u8; 64] {
        match self.chip_id {
            Some(chip_id) => chip_id,
            None if self.mask_chip_key || self.signing_key == SigningKey::Vlek => [0; 64],
            None => amd.chip_id,
        }
    }
}

impl Amd {
    /// The signed report, 1184 bytes unless a fault says otherwise.
    pub fn report(&self, wanted: &SnpReport) -> Vec<u8> {
        let mut body = wanted.body(self);
        if let Some(fault) = wanted.fault {
            fault.in_body(&mut body, self);
        }
        let key = match wanted.signing_key {
            SigningKey::Vcek => &self.vcek,
            SigningKey::Vlek => &self.vlek,
        };
        let signature = keys::ecdsa_fixed(key, SigAlg::EcdsaSha384, &body, 48);
        let mut report = body;
        report.resize(LENGTH, 0);
        for (at, part) in [(SIGNED, &signature[..48]), (SIGNED + 72, &signature[48..])] {
            let little_endian: Vec<u8> = part.iter().rev().copied().collect();
            report[at..at + 48].copy_from_slice(&little_endian);
        }
        if let Some(fault) = wanted.fault {
            fault.in_report(&mut report);
        }
        report
    }
}
