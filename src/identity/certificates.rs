//! Clients that are known by a certificate: under which CA, with which name, for which roles.
//!
//! RFC 5280 sections 4.2.1.6, 4.2.1.12 and 6; `bad-inputs.md` ADM-16, DISC-16. OpenSSL walks the chain; no address in a certificate is
//! dialled.

use std::fmt;
use std::path::PathBuf;

use keygate_verifier::UnixTime;
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::SslFiletype;
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::{X509Lookup, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509Ref, X509StoreContext};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::Person;

/// Longest chain from a client to its CA, certificates between.
const DEPTH: i32 = 4;
/// id-kp-clientAuth. RFC 5280 section 4.2.1.12.
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// The name that a certificate must have, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The one common name of its subject.
    CommonName(String),
    /// A DNS name among its alternative names.
    Dns(String),
    /// A URI among its alternative names.
    Uri(String),
}

impl Subject {
    /// Reads `CN=…`, `DNS=…` or `URI=…`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('=')?;
        match kind {
            _ if name.is_empty() => None,
            "CN" => Some(Self::CommonName(name.to_owned())),
            "DNS" => Some(Self::Dns(name.to_owned())),
            "URI" => Some(Self::Uri(name.to_owned())),
            _ => None,
        }
    }

    fn names(&self, certificate: &X509Ref) -> bool {
        match self {
            Self::CommonName(wanted) => {
                let mut names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
                let only = names.next().filter(|_| names.next().is_none());
                only.is_some_and(|name| name.data().to_string().is_ok_and(|name| name == *wanted))
            }
            Self::Dns(wanted) => alternative(certificate, |name| name.dnsname() == Some(wanted)),
            Self::Uri(wanted) => alternative(certificate, |name| name.uri() == Some(wanted)),
        }
    }
}

fn alternative(certificate: &X509Ref, fits: impl Fn(&openssl::x509::GeneralNameRef) -> bool) -> bool {
    certificate.subject_alt_names().is_some_and(|names| names.iter().any(fits))
}

/// What an operator says of one client.
pub struct CertificateSetup {
    /// `[a-z0-9._-]`; the caller is `cert:<name>`.
    pub name: String,
    /// The provider it is for; none: all.
    pub provider: Option<String>,
    /// Its CAs.
    pub authorities: Vec<X509>,
    /// A PEM file with their revocation lists, read whenever one of their clients connects.
    pub crl: Option<PathBuf>,
    /// Its name.
    pub subject: Subject,
    /// Our roles.
    pub roles: Vec<String>,
}

/// A client's certificate that was found good: which entries it is, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    entries: Vec<usize>,
    until: i64,
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerCertificate({:?})", self.entries)
    }
}

/// All entries.
#[derive(Default)]
pub(super) struct Certificates(pub(super) Vec<CertificateSetup>);

impl Certificates {
    /// Every CA that clients may have, each once.
    pub(super) fn authorities(&self) -> Vec<X509> {
        let mut all: Vec<X509> = Vec::new();
        for authority in self.0.iter().flat_map(|entry| &entry.authorities) {
            let known = all.iter().any(|known| known.to_der().ok() == authority.to_der().ok());
            if !known {
                all.push(authority.clone());
            }
        }
        all
    }

    /// What a certificate that came with its chain is good for; nothing: the client is nobody in particular.
    pub(super) fn examine(&self, leaf: &X509, chain: &StackRef<X509>, now: UnixTime) -> Option<PeerCertificate> {
        let is_entry = |entry: &CertificateSetup| {
            entry.subject.names(leaf)
                && is_for_clients(leaf)
                && is_certified(leaf, chain, entry, now).is_ok_and(|certified| certified)
        };
        let entries: Vec<usize> =
            self.0.iter().enumerate().filter(|(_, entry)| is_entry(entry)).map(|(index, _)| index).collect();
        let until = ends(leaf)?;
        (!entries.is_empty()).then_some(PeerCertificate { entries, until })
    }

    /// Who the client is at this provider: the first entry that is for it.
    pub(super) fn client(&self, peer: &PeerCertificate, provider: &str, now: UnixTime) -> Option<Person> {
        if peer.until < now.secs() {
            return None;
        }
        let mut entries = peer.entries.iter().filter_map(|index| self.0.get(*index));
        let entry = entries.find(|entry| entry.provider.as_deref().is_none_or(|only| only == provider))?;
        Some(Person { name: format!("cert:{}", entry.name), roles: entry.roles.clone(), until: peer.until })
    }
}

/// Whether a chain leads from `leaf` to a CA of the entry now, and it is on no list of that CA. Where lists are wanted, the CA's must be
/// there and in force.
fn is_certified(
    leaf: &X509,
    between: &StackRef<X509>,
    entry: &CertificateSetup,
    now: UnixTime,
) -> Result<bool, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in &entry.authorities {
        store.add_cert(authority.clone())?;
    }
    let mut rules = X509VerifyParam::new()?;
    rules.set_purpose(X509PurposeId::SSL_CLIENT)?;
    rules.set_depth(DEPTH);
    rules.set_time(now.secs());
    if let Some(lists) = &entry.crl {
        store.add_lookup(X509Lookup::file())?.load_crl_file(lists, SslFiletype::PEM)?;
        rules.set_flags(X509VerifyFlags::CRL_CHECK)?;
    }
    store.set_param(&rules)?;
    let store = store.build();
    X509StoreContext::new()?.init(&store, leaf, between, |context| {
        let certified = context.verify_cert()?;
        if !certified {
            tracing::info!(entry = entry.name, why = %context.error(), "a client's certificate does not hold");
        }
        Ok(certified)
    })
}

/// Whether it says that it is for clients: a certificate without purposes does not.
fn is_for_clients(leaf: &X509Ref) -> bool {
    let Ok(der) = leaf.to_der() else { return false };
    let Ok(certificate) = x509_cert::Certificate::from_der(&der) else { return false };
    let usage = certificate.tbs_certificate().get_extension::<ExtendedKeyUsage>();
    usage.is_ok_and(|usage| usage.is_some_and(|(_, usage)| usage.0.contains(&CLIENT_AUTH)))
}

/// When it ends, unix seconds.
fn ends(leaf: &X509Ref) -> Option<i64> {
    let left = Asn1Time::from_unix(0).ok()?.diff(leaf.not_after()).ok()?;
    Some(i64::from(left.days).saturating_mul(86_400).saturating_add(i64::from(left.secs)))
}

/// A chain in the form that OpenSSL takes.
///
/// # Errors
/// OpenSSL has no memory.
pub fn stack(chain: &[X509]) -> Result<Stack<X509>, ErrorStack> {
    let mut stack = Stack::new()?;
    for certificate in chain {
        stack.push(certificate.clone())?;
    }
    Ok(stack)
}
