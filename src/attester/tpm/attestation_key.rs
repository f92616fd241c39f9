//! The attestation key: made in the TPM once, kept in a folder as only this TPM can load it, or given from outside.
//!
//! RFC 9683 section 4 (attestation keys of TPM 2.0); TCG *Trusted Platform Module Library*, part 1, section 23 (protected storage):
//! TPM2B_PRIVATE is encrypted to its parent and worth nothing elsewhere. It is kept from others all the same.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::{MessageDigest, hash};
use openssl::x509::X509;
use serde::{Deserialize, Serialize};

use super::Options;
use super::answers::Public;
use super::commands::{Loaded, Tpm};
use super::fault::TpmError;
use super::template::{self, AkKind};
use crate::attester::AttesterError;

/// The most bytes of the file; real ones have about five hundred.
const MAX_FILE: u64 = 16 * 1_024;
const MAX_CERTIFICATES: u64 = 64 * 1_024;
/// Certificates above the attestation key's own.
const MAX_CHAIN: usize = 8;

/// Where the attestation key comes from.
#[derive(Debug, Clone)]
pub enum AkSource {
    /// Ours: of this kind, kept in this folder.
    Own {
        /// ECC or RSA.
        kind: AkKind,
        /// The folder.
        folder: PathBuf,
    },
    /// One that somebody else put under a handle that lasts, with its certificate and those above, leaf first.
    Given {
        /// The handle, 0x81……….
        handle: u32,
        /// PEM or DER.
        certificates: Option<PathBuf>,
    },
}

/// What was found, or done, about our key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was there and is loaded.
    Kept,
    /// There was none: it was made.
    Made,
    /// The TPM did not load the one that was there: another was made, and the old file put aside.
    Replaced,
    /// It is not ours to keep.
    Given,
}

impl Standing {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Made => "made",
            Self::Replaced => "replaced",
            Self::Given => "given",
        }
    }
}

/// What stands in the folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// TPMT_PUBLIC, base64url.
    public: String,
    /// TPM2B_PRIVATE without its size, base64url.
    private: String,
}

/// An attestation key that is loaded.
pub struct AttestationKey<'t> {
    /// In the TPM.
    pub loaded: Loaded<'t>,
    /// Its public area.
    pub public: Public,
    /// Its certificate and those above, leaf first, DER.
    pub certificates: Vec<Vec<u8>>,
    /// What was found or done.
    pub standing: Standing,
}

impl AttestationKey<'_> {
    /// The name: TPM_ALG_ID of the hash, and the hash of the public area. Part 1, section 16.
    pub fn name(&self) -> Result<Vec<u8>, AttesterError> {
        name(&self.public)
    }
}

/// The name of an object by its public area.
pub fn name(public: &Public) -> Result<Vec<u8>, AttesterError> {
    let md = if public.name_hash == 0x000c { MessageDigest::sha384() } else { MessageDigest::sha256() };
    let mut name = public.name_hash.to_be_bytes().to_vec();
    name.extend_from_slice(&hash(md, &public.bytes)?);
    Ok(name)
}

/// Loads the attestation key; makes ours where there is none yet. One that the TPM does not load any more is replaced only where
/// `replace` says so: whoever trusts it must trust the new one first.
pub fn load<'t>(tpm: &'t Tpm, options: &Options, replace: bool) -> Result<AttestationKey<'t>, AttesterError> {
    let (kind, folder) = match &options.ak {
        AkSource::Given { handle, certificates } => {
            let certificates = certificates.as_deref().map(read_certificates).transpose()?.unwrap_or_default();
            let (loaded, public) = tpm.persistent(*handle)?;
            return Ok(AttestationKey { loaded, public, certificates, standing: Standing::Given });
        }
        AkSource::Own { kind, folder } => (*kind, folder),
    };
    let file = folder.join(format!("ak-{}.json", kind.as_str()));
    let kept = read(&file)?;
    let (parent, _) = tpm.primary(&template::parent())?;
    let standing = match kept {
        None => Standing::Made,
        Some((private, public)) => match tpm.load(&parent, &private, &public.bytes) {
            Ok(loaded) => {
                return Ok(AttestationKey { loaded, public, certificates: Vec::new(), standing: Standing::Kept });
            }
            Err(refused) if refused.is_foreign_key() && replace => Standing::Replaced,
            Err(refused) if refused.is_foreign_key() => return Err(TpmError::Estranged { path: file }.into()),
            Err(other) => return Err(other.into()),
        },
    };
    let (private, public) = tpm.create(&parent, &kind.template())?;
    let loaded = tpm.load(&parent, &private, &public.bytes)?;
    write(folder, &file, &private, &public)?;
    Ok(AttestationKey { loaded, public, certificates: Vec::new(), standing })
}

fn state(path: &Path, detail: impl ToString) -> AttesterError {
    TpmError::State { path: path.to_owned(), detail: detail.to_string() }.into()
}

/// What the file keeps; `None` where there is no file.
fn read(file: &Path) -> Result<Option<(Vec<u8>, Public)>, AttesterError> {
    let mode = match file.metadata() {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(state(file, format!("it cannot be read: {error}"))),
    };
    if mode & 0o077 != 0 {
        return Err(state(file, "others may read it"));
    }
    let bytes = crate::attester::read_bounded(file, MAX_FILE)?;
    let damaged = || state(file, "it is damaged: put it aside to have a new key made");
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| damaged());
    let public = Public::read(&decode(&kept.public)?).map_err(|_| damaged())?;
    Ok(Some((decode(&kept.private)?, public)))
}

/// Writes the file whole or not at all; one that is there already is put aside.
fn write(folder: &Path, file: &Path, private: &[u8], public: &Public) -> Result<(), AttesterError> {
    let cannot = |error: std::io::Error| state(file, format!("it cannot be written: {error}"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
    let kept = Kept { public: URL_SAFE_NO_PAD.encode(&public.bytes), private: URL_SAFE_NO_PAD.encode(private) };
    let text = serde_json::to_vec(&kept).map_err(|error| cannot(error.into()))?;
    let fresh = file.with_extension(format!("new-{}", std::process::id()));
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(cannot)?;
    let written = out.write_all(&text).and_then(|()| out.sync_all());
    let renamed = written.and_then(|()| {
        if file.exists() {
            fs::rename(file, file.with_extension("replaced"))?;
        }
        fs::rename(&fresh, file)
    });
    renamed.map_err(|error| {
        // Nothing of use is lost with it: the key is made anew.
        let _ = fs::remove_file(&fresh);
        cannot(error)
    })
}

/// Certificates of a file, PEM (leaf first) or one in DER, as DER.
pub fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, AttesterError> {
    let bytes = crate::attester::read_bounded(path, MAX_CERTIFICATES)?;
    let wrong = || AttesterError::from(TpmError::File { path: path.to_owned(), what: "list of certificates" });
    let all = match X509::from_der(&bytes) {
        Ok(one) => vec![one],
        Err(_) => X509::stack_from_pem(&bytes).map_err(|_| wrong())?,
    };
    if all.is_empty() || all.len() > MAX_CHAIN + 1 {
        return Err(wrong());
    }
    all.iter().map(|certificate| certificate.to_der().map_err(AttesterError::from)).collect()
}
