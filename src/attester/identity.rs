//! The software attester's identity: a key on P-256 and the certificates above it, in one PEM file.
//!
//! RFC 5280 for the certificates, RFC 7468 for the file. Whoever has the file is the attester, so nobody else may read it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef, X509Ref};
use zeroize::Zeroizing;

use super::{AttesterError, present, read_bounded};

/// The most bytes of an identity file.
const MAX_IDENTITY: u64 = 64 * 1024;
/// How far before its making a new certificate begins, in seconds: clocks differ.
const BEFORE: i64 = 300;

/// A key and its certificates, leaf first and without the root. The key never leaves but into its own file.
pub struct SoftwareIdentity {
    key: EcKey<Private>,
    certificates: Vec<X509>,
}

impl SoftwareIdentity {
    /// Reads an identity file that nobody else may read. A root among the certificates is left out: the broker has it, or
    /// does not trust it.
    ///
    /// # Errors
    /// [`AttesterError`]: no such file, a file that others may read, or no identity in it.
    pub fn read(path: &Path) -> Result<Self, AttesterError> {
        let wrong = |detail: &str| AttesterError::Identity { path: path.to_owned(), detail: detail.to_owned() };
        present(path, "ask the operator of the broker for an identity")?;
        let mode = path.metadata().map_err(|_| wrong("it cannot be read"))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(wrong("others may read it"));
        }
        let pem = Zeroizing::new(read_bounded(path, MAX_IDENTITY)?);
        let key = PKey::private_key_from_pem(&pem).and_then(|key| key.ec_key());
        let key = key.map_err(|_| wrong("no private ec key in it"))?;
        if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
            return Err(wrong("the key is not on p-256"));
        }
        let mut certificates = X509::stack_from_pem(&pem).map_err(|_| wrong("the certificates do not parse"))?;
        let leaf = certificates.first().ok_or_else(|| wrong("no certificate in it"))?;
        let own = PKey::from_ec_key(key.clone())?;
        if !leaf.public_key().is_ok_and(|certified| certified.public_eq(&own)) {
            return Err(wrong("the first certificate is not of the key"));
        }
        let leaf = leaf.clone();
        certificates.retain(|certificate| certificate == &leaf || !is_root(certificate));
        Ok(Self { key, certificates })
    }

    /// A new identity for the attester called `name`, below a root that is made for it alone and whose key is dropped; both are
    /// valid for `seconds` from `now` (seconds since 1970). The root, in DER, is the anchor for an operator to add.
    ///
    /// # Errors
    /// [`AttesterError`]: OpenSSL failed.
    pub fn make(name: &str, now: i64, seconds: i64) -> Result<(Self, Vec<u8>), AttesterError> {
        let (root_key, key) = (new_key()?, new_key()?);
        let (root_name, leaf_name) =
            (common_name("software attester root", name)?, common_name("software attester", name)?);
        let validity = (now.saturating_sub(BEFORE), now.saturating_add(seconds));

        let mut root = builder(&root_name, &root_name, &root_key, validity)?;
        root.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        root.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
        let id = SubjectKeyIdentifier::new().build(&root.x509v3_context(None, None))?;
        root.append_extension(id)?;
        root.sign(&root_key, MessageDigest::sha256())?;
        let root = root.build();

        let mut leaf = builder(&leaf_name, &root_name, &key, validity)?;
        leaf.append_extension(BasicConstraints::new().critical().build()?)?;
        leaf.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        let above = AuthorityKeyIdentifier::new().keyid(true).build(&leaf.x509v3_context(Some(&root), None))?;
        leaf.append_extension(above)?;
        leaf.sign(&root_key, MessageDigest::sha256())?;
        Ok((Self { key: key.ec_key()?, certificates: vec![leaf.build()] }, root.to_der()?))
    }

    /// Writes the identity to a new file of mode 0600.
    ///
    /// # Errors
    /// [`AttesterError`]: the file exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AttesterError> {
        let failed = |source| AttesterError::Device { path: path.to_owned(), source };
        let mut pem = Zeroizing::new(self.key.private_key_to_pem()?);
        for certificate in &self.certificates {
            pem.extend(certificate.to_pem()?);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(&pem).and_then(|()| file.sync_all()).map_err(failed)
    }

    pub(super) fn key(&self) -> &EcKey<Private> {
        &self.key
    }

    /// The certificates as a header `x5c` carries them.
    pub(super) fn x5c(&self) -> Result<Vec<String>, ErrorStack> {
        self.certificates.iter().map(|certificate| certificate.to_der().map(|der| STANDARD.encode(der))).collect()
    }
}

fn is_root(certificate: &X509Ref) -> bool {
    let names = (certificate.subject_name().to_der(), certificate.issuer_name().to_der());
    matches!(names, (Ok(subject), Ok(issuer)) if subject == issuer)
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// A common name has at most 64 characters (RFC 5280 appendix A.1): a longer name is cut.
fn common_name(what: &str, name: &str) -> Result<X509Name, ErrorStack> {
    let text: String = format!("{what} {name}").chars().take(64).collect();
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, &text)?;
    Ok(builder.build())
}

fn builder(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKey<Private>,
    (not_before, not_after): (i64, i64),
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(Asn1Time::from_unix(not_before)?.as_ref())?;
    builder.set_not_after(Asn1Time::from_unix(not_after)?.as_ref())?;
    Ok(builder)
}
