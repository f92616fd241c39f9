//! The platform's certificate: its chain as the quote carries it, and Intel's SGX extension in the leaf.
//!
//! Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, section 1.3.5. The extension is read strictly:
//! a member that is missing, stands twice or is out of range refuses the certificate.

use std::sync::Arc;

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode, Reader as _};

use crate::anchors::Anchor;
use crate::endorsements::PckCa;
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, pem};
use crate::memo::Memo;

const PART: &str = "pck-chain";
const SGX_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");

/// The chain of a quote: the leaf first, its CAs behind it in any order.
pub(crate) struct PckChain {
    pub leaf: Arc<Certificate>,
    /// Every other certificate of the quote but the anchors themselves.
    pub others: Vec<Arc<Certificate>>,
    /// The CA that issued the leaf, by name.
    pub issuer: Arc<Certificate>,
    pub platform: PckExtension,
    pub ca: PckCa,
}

/// What the leaf says about the platform.
#[derive(Debug)]
pub(crate) struct PckExtension {
    /// 16 bytes, unless the certificate leaves it out.
    pub ppid: Option<Vec<u8>>,
    /// The sixteen SGX TCB components.
    pub components: [u8; 16],
    pub pce_svn: u16,
    pub pce_id: [u8; 2],
    pub fmspc: [u8; 6],
}

impl PckChain {
    /// The chain of a quote, parsed once per text of it.
    ///
    /// # Errors
    /// `malformed` or `too-large` for text that is no chain; `chain-untrusted` when the first certificate is no leaf or its issuer,
    /// a PCK CA, does not stand behind it.
    pub fn read<'a>(
        text: &[u8],
        anchors: impl Iterator<Item = &'a Anchor> + Clone,
        memo: &Memo,
    ) -> Result<Arc<Self>, VerifyError> {
        let weight = text.len().saturating_mul(4);
        memo.document(&openssl::sha::sha256(text), weight, || Self::parse(text, anchors, memo))
    }

    fn parse<'a>(
        text: &[u8],
        anchors: impl Iterator<Item = &'a Anchor> + Clone,
        memo: &Memo,
    ) -> Result<Self, VerifyError> {
        let mut certificates = Vec::new();
        for (place, der) in pem::certificates(text, PART)?.into_iter().enumerate() {
            // The root that quotes carry behind the leaf is a pinned anchor already, and the path ends there.
            if place == 0 || anchors.clone().all(|anchor| anchor.certificate().der() != der) {
                certificates.push(memo.certificate(&der)?);
            }
        }
        let mut certificates = certificates.into_iter();
        let leaf =
            certificates.next().ok_or_else(|| VerifyError::malformed(PART, "no certificate stands in the quote"))?;
        let others: Vec<_> = certificates.collect();
        if leaf.is_ca() {
            return Err(VerifyError::chain(PART, "the first certificate in the quote is not the platform's"));
        }
        let extension = leaf.extension(&SGX_EXTENSION).ok_or_else(|| bad("is missing"))?;
        let platform = PckExtension::parse(extension)?;
        let issuer = others
            .iter()
            .find(|c| c.subject() == leaf.issuer())
            .cloned()
            .ok_or_else(|| VerifyError::chain(PART, "the issuer of the PCK certificate is not in the quote"))?;
        let ca = match issuer.common_name().as_deref() {
            Some("Intel SGX PCK Processor CA") => PckCa::Processor,
            Some("Intel SGX PCK Platform CA") => PckCa::Platform,
            _ => {
                return Err(VerifyError::chain(
                    PART,
                    "the issuer of the PCK certificate is neither processor nor platform CA",
                ));
            }
        };
        Ok(Self { leaf, others, issuer, platform, ca })
    }
}

type Entries<'a> = Vec<(ObjectIdentifier, AnyRef<'a>)>;

impl PckExtension {
    /// Reads the extension's value in DER.
    fn parse(der: &[u8]) -> Result<Self, VerifyError> {
        let outer = AnyRef::from_der(der).map_err(|_| bad("is not der"))?;
        let members = entries(outer)?;
        let tcb = entries(member(&members, &[2])?)?;
        let mut components = [0; 16];
        for (n, component) in (1u8..).zip(components.iter_mut()) {
            let value = member(&tcb, &[2, n])?;
            *component = value.decode_as::<u8>().map_err(|_| bad("has a component outside 0 to 255"))?;
        }
        let pce_svn = member(&tcb, &[2, 17])?.decode_as::<u16>().map_err(|_| bad("has a pcesvn outside 0 to 65535"))?;
        octets::<16>(member(&tcb, &[2, 18])?, "cpusvn")?;
        let ppid = match member(&members, &[1]) {
            Ok(value) => Some(octets::<16>(value, "ppid")?.to_vec()),
            Err(_) => None,
        };
        Ok(Self {
            ppid,
            components,
            pce_svn,
            pce_id: octets(member(&members, &[3])?, "pceid")?,
            fmspc: octets(member(&members, &[4])?, "fmspc")?,
        })
    }
}

fn bad(what: &str) -> VerifyError {
    VerifyError::malformed("pck-extension", format!("the SGX extension {what}"))
}

/// A sequence of pairs of object identifier and value; no identifier twice.
fn entries(any: AnyRef<'_>) -> Result<Entries<'_>, VerifyError> {
    let read = any.sequence(|reader| -> Result<Entries<'_>, der::Error> {
        let mut list = Vec::new();
        while !reader.is_finished() {
            list.push(reader.sequence(|pair| -> Result<_, der::Error> {
                Ok((ObjectIdentifier::decode(pair)?, AnyRef::decode(pair)?))
            })?);
        }
        Ok(list)
    });
    let list = read.map_err(|_: der::Error| bad("is no sequence of named values"))?;
    let twice =
        list.iter().enumerate().any(|(i, (id, _))| list.iter().skip(i.saturating_add(1)).any(|(other, _)| other == id));
    if twice {
        return Err(bad("has a member twice"));
    }
    Ok(list)
}

/// The member whose identifier is the extension's own followed by `arcs`, each of which is one byte in DER.
fn member<'a>(list: &Entries<'a>, arcs: &[u8]) -> Result<AnyRef<'a>, VerifyError> {
    let is_it = |id: &ObjectIdentifier| id.as_bytes().strip_prefix(SGX_EXTENSION.as_bytes()) == Some(arcs);
    list.iter().find(|(id, _)| is_it(id)).map(|(_, value)| *value).ok_or_else(|| bad(&format!("lacks member {arcs:?}")))
}

fn octets<const N: usize>(value: AnyRef<'_>, name: &str) -> Result<[u8; N], VerifyError> {
    value
        .decode_as::<&OctetStringRef>()
        .ok()
        .and_then(|octets| octets.as_bytes().try_into().ok())
        .ok_or_else(|| bad(&format!("has a {name} that is not {N} bytes")))
}
