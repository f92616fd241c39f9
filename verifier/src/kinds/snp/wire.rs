//! The attestation report as the firmware lays it out: 1184 bytes, little-endian.
//!
//! SEV-SNP firmware ABI (AMD 56860) sections 2.2 (TCB_VERSION), 7.3 (ATTESTATION_REPORT), 10 (signature).

use super::levels::{Cpuid, RawTcb, Tcbs, products};
use crate::endorsements::{AmdProduct, AmdSigner};
use crate::error::VerifyError;
use crate::formats::bytes::Reader;

/// Bytes of a report.
pub(super) const LENGTH: usize = 0x4a0;
/// Bytes at the front of a report that the signature covers.
const SIGNED: usize = 0x2a0;
const PART: &str = "report";

/// Bits of POLICY that have a meaning before report version 5; bit 17 is reserved and must be one.
const POLICY_BITS: u64 = 0x01ff_ffff;
/// PAGE_SWAP_DISABLE, from report version 5.
const POLICY_PAGE_SWAP: u64 = 1 << 25;
const POLICY_MUST_BE_ONE: u64 = 1 << 17;
/// Bits of PLATFORM_INFO that have a meaning before report version 5.
const PLATFORM_BITS: u64 = 0x3f;
/// TIO_EN, from report version 5.
const PLATFORM_TIO: u64 = 1 << 7;
/// AUTHOR_KEY_EN, MASK_CHIP_KEY, SIGNING_KEY.
const KEY_INFO_BITS: u32 = 0x1f;

/// Major, minor and build of the SNP firmware.
#[derive(Debug, Clone, Copy)]
pub(super) struct Firmware {
    pub major: u8,
    pub minor: u8,
    pub build: u8,
}

/// A report of a known version whose reserved parts are as they must be. Nothing about it is believed yet.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub version: u32,
    pub guest_svn: u32,
    pub policy: u64,
    pub family_id: &'a [u8; 16],
    pub image_id: &'a [u8; 16],
    pub vmpl: u32,
    signature_algorithm: u32,
    current_tcb: RawTcb,
    pub platform_info: u64,
    key_info: u32,
    pub report_data: &'a [u8; 64],
    pub measurement: &'a [u8; 48],
    pub host_data: &'a [u8; 32],
    pub id_key_digest: &'a [u8; 48],
    pub author_key_digest: &'a [u8; 48],
    pub report_id: &'a [u8; 32],
    pub report_id_ma: &'a [u8; 32],
    reported_tcb: RawTcb,
    pub cpuid: Option<Cpuid>,
    pub chip_id: &'a [u8; 64],
    committed_tcb: RawTcb,
    pub current_version: Firmware,
    pub committed_version: Firmware,
    launch_tcb: RawTcb,
    /// Mitigations verified at launch and now, from version 5.
    pub mitigations: Option<(u64, u64)>,
    signed: &'a [u8],
    r: &'a [u8; 72],
    s: &'a [u8; 72],
    /// The product lines that these bytes can come from: one from version 3 on, up to three before.
    pub products: Vec<AmdProduct>,
}

impl<'a> Report<'a> {
    /// Reads the report at the front of `bytes`; hands back what follows it.
    ///
    /// # Errors
    /// `malformed`: too short, or something reserved is set; `unsupported`: an unknown version or processor.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), VerifyError> {
        let Some((report, rest)) = bytes.split_at_checked(LENGTH) else {
            return Err(VerifyError::malformed(PART, format!("{} bytes, a report has {LENGTH}", bytes.len())));
        };
        let mut reader = Reader::new(report, PART);
        let version = reader.u32_le("version")?;
        if !(2..=5).contains(&version) {
            return Err(VerifyError::unsupported(
                "report-version",
                format!("report version {version}, known are 2 to 5"),
            ));
        }
        let guest_svn = reader.u32_le("guest svn")?;
        let policy = reader.u64_le("policy")?;
        let family_id = reader.array("family id")?;
        let image_id = reader.array("image id")?;
        let vmpl = reader.u32_le("vmpl")?;
        let signature_algorithm = reader.u32_le("signature algorithm")?;
        let current_tcb = RawTcb(*reader.array("current tcb")?);
        let platform_info = reader.u64_le("platform info")?;
        let key_info = reader.u32_le("key info")?;
        zero(&mut reader, 4, "the bytes after the key info")?;
        let report_data = reader.array("report data")?;
        let measurement = reader.array("measurement")?;
        let host_data = reader.array("host data")?;
        let id_key_digest = reader.array("id key digest")?;
        let author_key_digest = reader.array("author key digest")?;
        let report_id = reader.array("report id")?;
        let report_id_ma = reader.array("report id of the migration agent")?;
        let reported_tcb = RawTcb(*reader.array("reported tcb")?);
        let cpuid = if version >= 3 {
            let [family, model, stepping] = *reader.array("cpuid")?;
            Some(Cpuid { family, model, stepping })
        } else {
            zero(&mut reader, 3, "the bytes before the chip id")?;
            None
        };
        zero(&mut reader, 21, "the bytes before the chip id")?;
        let chip_id = reader.array("chip id")?;
        let committed_tcb = RawTcb(*reader.array("committed tcb")?);
        let current_version = firmware(&mut reader)?;
        let committed_version = firmware(&mut reader)?;
        let launch_tcb = RawTcb(*reader.array("launch tcb")?);
        let mitigations = if version >= 5 {
            Some((reader.u64_le("launch mitigations")?, reader.u64_le("current mitigations")?))
        } else {
            zero(&mut reader, 16, "the bytes before the signature")?;
            None
        };
        zero(&mut reader, 152, "the bytes before the signature")?;
        let r = reader.array("signature r")?;
        let s = reader.array("signature s")?;
        zero(&mut reader, 368, "the bytes after the signature")?;
        reader.finish()?;
        let tcbs = [reported_tcb, committed_tcb, current_tcb, launch_tcb];
        let parsed = Self {
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            signature_algorithm,
            current_tcb,
            platform_info,
            key_info,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id,
            report_id_ma,
            reported_tcb,
            cpuid,
            chip_id,
            committed_tcb,
            current_version,
            committed_version,
            launch_tcb,
            mitigations,
            signed: report.get(..SIGNED).unwrap_or_default(),
            r,
            s,
            products: products(cpuid, chip_id, &tcbs)?,
        };
        parsed.reserved_bits()?;
        Ok((parsed, rest))
    }

    fn reserved_bits(&self) -> Result<(), VerifyError> {
        let (policy, platform) = match self.version {
            5.. => (POLICY_BITS | POLICY_PAGE_SWAP, PLATFORM_BITS | PLATFORM_TIO),
            _ => (POLICY_BITS, PLATFORM_BITS),
        };
        if self.policy & !policy != 0 || self.policy & POLICY_MUST_BE_ONE == 0 {
            return Err(reserved("a bit of the policy"));
        }
        if self.platform_info & !platform != 0 {
            return Err(reserved("a bit of the platform info"));
        }
        if self.key_info & !KEY_INFO_BITS != 0 {
            return Err(reserved("a bit of the key info"));
        }
        Ok(())
    }

    /// Which key the report says it is signed with; the algorithm is looked at too.
    ///
    /// # Errors
    /// `signature-invalid`: another algorithm than ECDSA P-384 with SHA-384, no signature, or a reserved kind of key.
    pub fn signer(&self) -> Result<AmdSigner, VerifyError> {
        if self.signature_algorithm != 1 {
            return Err(VerifyError::signature(PART, "the signature algorithm is not ecdsa p-384 with sha-384"));
        }
        match self.signing_key() {
            0 => Ok(AmdSigner::Vcek),
            1 => Ok(AmdSigner::Vlek),
            7 => Err(VerifyError::signature(PART, "the report is not signed")),
            other => Err(VerifyError::signature(PART, format!("the report names the reserved signing key {other}"))),
        }
    }

    /// SIGNING_KEY: 0 is VCEK, 1 VLEK, 7 none.
    pub fn signing_key(&self) -> u32 {
        (self.key_info >> 2) & 7
    }
    /// AUTHOR_KEY_EN.
    pub fn author_key_enabled(&self) -> bool {
        self.key_info & 1 != 0
    }
    /// MASK_CHIP_KEY: the firmware writes no signature.
    pub fn chip_key_masked(&self) -> bool {
        self.key_info & 2 != 0
    }
    /// Whether the chip identifier is left out of the report.
    pub fn chip_masked(&self) -> bool {
        self.chip_id.iter().all(|b| *b == 0)
    }

    /// The four levels in the product's layout.
    ///
    /// # Errors
    /// `malformed`: a reserved byte is set.
    pub fn tcbs(&self, product: AmdProduct) -> Result<Tcbs, VerifyError> {
        let read = |raw: RawTcb| raw.read(product).ok_or_else(|| reserved("a byte of a tcb version"));
        Ok(Tcbs {
            reported: read(self.reported_tcb)?,
            committed: read(self.committed_tcb)?,
            current: read(self.current_tcb)?,
            launch: read(self.launch_tcb)?,
        })
    }

    /// The bytes that are signed, as they came.
    pub fn signed(&self) -> &'a [u8] {
        self.signed
    }

    /// r ‖ s big-endian, 96 bytes.
    ///
    /// # Errors
    /// `signature-invalid`: a number does not fit into 48 bytes.
    pub fn signature(&self) -> Result<[u8; 96], VerifyError> {
        let mut out = [0; 96];
        for (half, field) in out.chunks_exact_mut(48).zip([self.r, self.s]) {
            let (number, above) = field.split_at_checked(48).unwrap_or_default();
            if above.iter().any(|b| *b != 0) {
                return Err(VerifyError::signature(PART, "a number of the signature is too large"));
            }
            for (to, from) in half.iter_mut().zip(number.iter().rev()) {
                *to = *from;
            }
        }
        Ok(out)
    }
}

fn firmware(reader: &mut Reader<'_>) -> Result<Firmware, VerifyError> {
    let [build, minor, major] = *reader.array("firmware version")?;
    zero(reader, 1, "the byte after a firmware version")?;
    Ok(Firmware { major, minor, build })
}

fn zero(reader: &mut Reader<'_>, count: usize, what: &str) -> Result<(), VerifyError> {
    if reader.take(count, what)?.iter().any(|b| *b != 0) {
        return Err(reserved(what));
    }
    Ok(())
}

pub(super) fn reserved(what: &str) -> VerifyError {
    VerifyError::malformed(PART, format!("{what} must be as reserved and is not"))
}
