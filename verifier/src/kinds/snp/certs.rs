//! What AMD certifies about a signing key: product, chip or provider, and the patch levels it was derived for.
//!
//! VCEK and VLEK certificates and KDS interface (AMD 57230) section 3.1: extensions below 1.3.6.1.4.1.3704.1.

use der::asn1::ObjectIdentifier;

use crate::endorsements::{AmdProduct, AmdSigner, AmdTcb};
use crate::error::VerifyError;
use crate::formats::x509::Certificate;

const PART: &str = "vek-certificate";
const ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1");
const STRUCT_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.1");
const PRODUCT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const LEVELS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3");
const BOOTLOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const RESERVED: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.4"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.5"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.6"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.7"),
];
const HWID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const CSP_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");
/// The arc in DER without tag and length, to find it in bytes that do not parse.
const ARC_BYTES: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01];

/// For which chip or provider a key was made.
#[derive(Debug)]
pub(super) enum Holder {
    /// A chip, by its identifier as reports carry it: Turin's 8 bytes are followed by zeros.
    Chip([u8; 64]),
    /// A cloud provider, by the name that AMD gave it.
    Provider(String),
}

/// What the certificate of a VCEK or VLEK says.
#[derive(Debug)]
pub(super) struct Vek {
    pub product: AmdProduct,
    pub holder: Holder,
    pub tcb: AmdTcb,
}

/// Whether a certificate is that of a VCEK or VLEK: it has some of AMD's extensions.
pub(super) fn is_vek(certificate: &Certificate) -> bool {
    certificate.extensions().iter().any(|e| below(&e.id, &ARC))
}

/// Whether bytes that are no certificate were meant to be one of a VCEK or VLEK.
pub(super) fn resembles_vek(bytes: &[u8]) -> bool {
    bytes.windows(ARC_BYTES.len()).any(|w| w == ARC_BYTES)
}

/// The product line that the certificate names; a stepping may follow it (`Milan-B0`).
pub(super) fn product(certificate: &Certificate) -> Result<AmdProduct, VerifyError> {
    let name = ia5(required(certificate, &PRODUCT, "product name")?, "product name")?;
    match name.split('-').next() {
        Some("Milan") => Ok(AmdProduct::Milan),
        Some("Genoa" | "Bergamo" | "Siena") => Ok(AmdProduct::Genoa),
        Some("Turin") => Ok(AmdProduct::Turin),
        _ => Err(VerifyError::unsupported(PART, format!("the product `{name}` is not known"))),
    }
}

/// Which sort of key is certified: a VLEK names a provider, a VCEK a chip.
pub(super) fn signer(certificate: &Certificate) -> Result<AmdSigner, VerifyError> {
    match (certificate.extension(&HWID), certificate.extension(&CSP_ID)) {
        (Some(_), Some(_)) => Err(bad("both a chip and a provider are named")),
        (_, None) => Ok(AmdSigner::Vcek),
        (None, Some(_)) => Ok(AmdSigner::Vlek),
    }
}

impl Vek {
    /// Reads all of AMD's extensions.
    ///
    /// # Errors
    /// `malformed`: one is missing or out of range; `unsupported`: a product or level that is not known.
    pub fn read(certificate: &Certificate) -> Result<Self, VerifyError> {
        let product = product(certificate)?;
        integer(required(certificate, &STRUCT_VERSION, "structure version")?, "structure version")?;
        for extension in certificate.extensions().iter().filter(|e| below(&e.id, &LEVELS)) {
            let level = integer(&extension.value, "patch level")?;
            if ![BOOTLOADER, TEE, SNP, MICROCODE, FMC].contains(&extension.id) {
                reserved_level(&extension.id, level)?;
            }
        }
        let level = |id, name| integer(required(certificate, id, name)?, name);
        let fmc = match (product, certificate.extension(&FMC)) {
            (AmdProduct::Turin, _) => Some(level(&FMC, "fmc level")?),
            (_, None) => None,
            (_, Some(_)) => return Err(bad("an fmc level is certified for a product without fmc")),
        };
        let tcb = AmdTcb {
            fmc,
            bootloader: level(&BOOTLOADER, "boot loader level")?,
            tee: level(&TEE, "tee level")?,
            snp: level(&SNP, "snp firmware level")?,
            microcode: level(&MICROCODE, "microcode level")?,
        };
        let holder = match signer(certificate)? {
            AmdSigner::Vcek => Holder::Chip(chip(required(certificate, &HWID, "hardware id")?, product)?),
            AmdSigner::Vlek => {
                Holder::Provider(ia5(required(certificate, &CSP_ID, "provider id")?, "provider id")?.to_owned())
            }
        };
        Ok(Self { product, holder, tcb })
    }
}

/// Levels 4 to 7 have no place in a report: they are zero, or the key was derived for something unseen.
fn reserved_level(id: &ObjectIdentifier, level: u8) -> Result<(), VerifyError> {
    if !RESERVED.contains(id) {
        return Err(VerifyError::unsupported(PART, format!("the patch level `{id}` is not known")));
    }
    if level != 0 {
        return Err(VerifyError::tcb(PART, format!("the reserved patch level `{id}` is {level}")));
    }
    Ok(())
}

/// The hardware identifier: as it is in older certificates, as an OCTET STRING in newer ones.
fn chip(value: &[u8], product: AmdProduct) -> Result<[u8; 64], VerifyError> {
    let length: u8 = match product {
        AmdProduct::Turin => 8,
        AmdProduct::Milan | AmdProduct::Genoa => 64,
    };
    let bytes = match value {
        [4, inner, rest @ ..] if *inner == length && rest.len() == usize::from(length) => rest,
        raw if raw.len() == usize::from(length) => raw,
        _ => return Err(VerifyError::malformed(PART, format!("the hardware id is not of {length} bytes"))),
    };
    let mut id = [0; 64];
    for (to, from) in id.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(id)
}

/// A DER INTEGER from 0 to 255 in its one encoding.
fn integer(value: &[u8], name: &str) -> Result<u8, VerifyError> {
    match value {
        [2, 1, small @ 0..=0x7f] => Ok(*small),
        [2, 2, 0, large @ 0x80..=0xff] => Ok(*large),
        _ => Err(VerifyError::malformed(PART, format!("the {name} is no integer from 0 to 255"))),
    }
}

fn ia5<'a>(value: &'a [u8], name: &str) -> Result<&'a str, VerifyError> {
    let wrong = || VerifyError::malformed(PART, format!("the {name} is no text"));
    match value {
        [0x16, length @ 1..=0x7f, text @ ..] if text.len() == usize::from(*length) && text.is_ascii() => {
            std::str::from_utf8(text).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

fn required<'a>(certificate: &'a Certificate, id: &ObjectIdentifier, name: &str) -> Result<&'a [u8], VerifyError> {
    certificate.extension(id).ok_or_else(|| VerifyError::malformed(PART, format!("the {name} is missing")))
}

fn below(id: &ObjectIdentifier, arc: &ObjectIdentifier) -> bool {
    id.as_bytes().strip_prefix(arc.as_bytes()).is_some_and(|rest| !rest.is_empty())
}

fn bad(what: &'static str) -> VerifyError {
    VerifyError::malformed(PART, what)
}
