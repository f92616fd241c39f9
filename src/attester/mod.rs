//! Evidence of this machine: the workload's side.
//!
//! RFC 9334 section 3, *Attester*; Keygate's contract, section 4 *Binding*. One file per attester, one list of names. Each asks
//! its device for evidence that carries what the broker wants to see in it; nothing here judges anything.

mod configfs;
mod error;
mod gramine;
mod identity;
mod nitro;
mod nsm;
mod sev_guest;
mod snp;
mod software;
mod tdx;
pub mod tpm;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

pub use error::AttesterError;
pub use identity::SoftwareIdentity;

/// What the evidence is to carry. Each kind takes the members that it has room for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// `bind`, for kinds with a field of 64 bytes: sgx, tdx, snp, software. Its first 32 are the qualifying data of a tpm.
    pub report_data: [u8; 64],
    /// The challenge, for nitro.
    pub nonce: [u8; 32],
    /// The recipient's SubjectPublicKeyInfo in DER, for nitro, at most 1,024 bytes; and for a tpm, to know its own key by.
    pub public_key_der: Vec<u8>,
    /// Label and `bind`, for nitro; at most 1,024 bytes.
    pub user_data: Vec<u8>,
    /// Seconds since 1970, for the software attester's statement.
    pub now: i64,
}

/// Something on this machine that makes evidence.
pub trait Attester: Send + Sync {
    /// The kind of its evidence, as requests name it.
    fn kind(&self) -> &'static str;

    /// Fresh evidence that carries `wanted`. Blocks while the device works; hardware takes up to seconds.
    ///
    /// # Errors
    /// [`AttesterError`]: the device is absent, busy or refuses.
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError>;

    /// A fresh recipient key that never leaves the hardware; evidence bound to it says so.
    ///
    /// # Errors
    /// [`AttesterError::NoResidentKey`] where the hardware makes none, which is the default.
    fn resident_key(&self) -> Result<Arc<dyn ResidentKey>, AttesterError> {
        Err(AttesterError::NoResidentKey { kind: self.kind() })
    }
}

/// An RSA key whose private half stays in the hardware.
pub trait ResidentKey: Send + Sync {
    /// The modulus, big-endian without leading zeros.
    fn modulus(&self) -> &[u8];
    /// The exponent, big-endian without leading zeros.
    fn exponent(&self) -> &[u8];
    /// SubjectPublicKeyInfo, DER.
    fn spki_der(&self) -> &[u8];
    /// Opens RSA-OAEP with SHA-256 in both places and an empty label. Blocks while the hardware works.
    ///
    /// # Errors
    /// [`AttesterError`]: the hardware is gone, or this was not made for the key.
    fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, AttesterError>;
}

/// Where attesters find what they need.
#[derive(Debug, Clone)]
pub struct Options {
    /// The root of device and system paths: `/`, or a copy of such a tree.
    pub root: PathBuf,
    /// The software attester's identity: a PEM file with one private key on P-256 and its certificates, leaf first.
    pub software_identity: Option<PathBuf>,
    /// What the software attester says it measured, 96 hex digits; by default the SHA-384 of this program's own file.
    pub software_measurement: Option<String>,
    /// What the software attester calls this machine; by default its host name.
    pub software_host: Option<String>,
    /// For the TPM.
    pub tpm: tpm::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            software_identity: None,
            software_measurement: None,
            software_host: None,
            tpm: tpm::Options::usual(PathBuf::from("/var/lib/keygate/tpm")),
        }
    }
}

impl Options {
    fn path(&self, below_root: &str) -> PathBuf {
        self.root.join(below_root)
    }
}

/// One attester: its name, what shows that it is here, and how it is made.
struct Known {
    name: &'static str,
    is_here: fn(&Options) -> bool,
    make: fn(&Options) -> Result<Box<dyn Attester>, AttesterError>,
}

/// Every attester on hardware, in the order in which `auto` looks for them: the innermost environment first, the TPM of the whole
/// machine last.
const HARDWARE: &[Known] = &[
    Known { name: "sgx", is_here: |options| options.path(gramine::DEVICE).exists(), make: gramine::make },
    Known { name: "nitro", is_here: |options| options.path(nitro::DEVICE).exists(), make: nitro::make },
    Known { name: "tdx", is_here: |options| options.path(tdx::DEVICE).exists(), make: tdx::make },
    Known { name: "snp", is_here: |options| options.path(snp::DEVICE).exists(), make: snp::make },
    Known { name: "tpm", is_here: tpm::is_here, make: tpm::make },
];

/// The names that [`choose`] knows.
pub const NAMES: &[&str] = &["auto", "snp", "tdx", "sgx", "nitro", "tpm", "software"];

/// The attester of this name. `auto` takes the hardware that is here and, only where there is none and an identity is given, the
/// software attester.
///
/// # Errors
/// [`AttesterError`]: an unknown name, no such device, an identity that cannot be read.
pub fn choose(name: &str, options: &Options) -> Result<Box<dyn Attester>, AttesterError> {
    if name == "auto" {
        return match HARDWARE.iter().find(|known| (known.is_here)(options)) {
            Some(known) => (known.make)(options),
            None if options.software_identity.is_some() => software::make(options),
            None => Err(AttesterError::Nothing),
        };
    }
    if name == "software" {
        return software::make(options);
    }
    let known = HARDWARE.iter().find(|known| known.name == name);
    (known.ok_or_else(|| AttesterError::Unknown { name: name.to_owned() })?.make)(options)
}

/// Fails with advice where `path` does not exist.
fn present(path: &Path, help: &'static str) -> Result<(), AttesterError> {
    match path.metadata() {
        Ok(_) => Ok(()),
        Err(source) => Err(AttesterError::Absent { path: path.to_owned(), source, help }),
    }
}

/// The bytes of a device file, at most `most`.
fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, AttesterError> {
    use std::io::Read as _;
    let failed = |source| AttesterError::Device { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(AttesterError::Answer { path: path.to_owned(), detail: format!("more than {most} bytes") });
    }
    Ok(bytes)
}

/// Writes all of `bytes` to a device file in one call, as such files want it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), AttesterError> {
    use std::io::Write as _;
    let failed = |source| AttesterError::Device { path: path.to_owned(), source };
    let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
    let written = file.write(bytes).map_err(failed)?;
    if written != bytes.len() {
        return Err(AttesterError::Answer {
            path: path.to_owned(),
            detail: format!("took {written} of {} bytes", bytes.len()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
