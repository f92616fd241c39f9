//! What is wished for ([`CollateralId`]) and what is held ([`Endorsements`]).
//!
//! Endorsements in the sense of RFC 9334 section 8.2: vendor certificates, TCB information, revocation lists. Held pieces
//! are only hints until a verification has checked their signatures, dates and fit.

mod archive;
mod enrolled;
mod id;
mod recognise;

use std::sync::{Arc, OnceLock};

use crate::dcap::Reading;
use crate::error::VerifyError;
use crate::formats::x509::Crl;
use crate::memo::Memo;

pub use enrolled::EnrolledKey;
pub use id::{AmdProduct, AmdSigner, AmdTcb, CollateralId, IntelTee, PckCa};

/// A document that Intel signs as text: TCB info or QE identity, with its signature and the certificates of its signer.
#[derive(Debug)]
pub struct SignedDocument {
    /// The exact bytes that are signed (a JSON object, not re-serialised).
    pub text: Vec<u8>,
    /// ECDSA P-256 signature, r ‖ s, 64 bytes.
    pub signature: Vec<u8>,
    /// The signer's chain, DER each.
    pub chain: Vec<Vec<u8>>,
    pub(crate) digest: [u8; 32],
    /// SHA-256 over digest and signature: fixes both.
    pub(crate) seal: [u8; 32],
    /// What the document says, read once when first wanted.
    pub(crate) reading: Reading,
}

impl SignedDocument {
    /// A document from its parts.
    pub fn new(text: Vec<u8>, signature: Vec<u8>, chain: Vec<Vec<u8>>) -> Self {
        let digest = openssl::sha::sha256(&text);
        let seal = openssl::sha::sha256(&[digest.as_slice(), &signature].concat());
        Self { text, signature, chain, digest, seal, reading: Reading::default() }
    }
    /// SHA-256 of the text.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// Public bytes with their digest.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub der: Vec<u8>,
    pub digest: [u8; 32],
    /// The same as a revocation list, read once when first wanted.
    crl: OnceLock<Result<Arc<Crl>, VerifyError>>,
}

impl Bytes {
    /// The bytes with their digest.
    pub fn new(der: &[u8]) -> Self {
        Self { der: der.to_vec(), digest: openssl::sha::sha256(der), crl: OnceLock::new() }
    }

    /// Its reading as a revocation list. Goes when the bytes go: a list that came with a request is not kept beyond it.
    pub fn crl(&self, memo: &Memo) -> Result<Arc<Crl>, VerifyError> {
        self.crl.get_or_init(|| memo.parsed(|| Crl::parse(&self.der))).clone()
    }
}

/// Everything held for one verification. Cheap to clone: pieces are shared. No piece stands twice.
#[derive(Debug, Clone, Default)]
pub struct Endorsements {
    tcb_infos: Vec<Arc<SignedDocument>>,
    qe_identities: Vec<Arc<SignedDocument>>,
    certificates: Vec<Arc<Bytes>>,
    crls: Vec<Arc<Bytes>>,
    enrolled: Vec<Arc<EnrolledKey>>,
}

/// The most pieces of one sort that a set may hold.
const MAX_PIECES: usize = 4_096;

impl Endorsements {
    /// Adds a TCB info document.
    pub fn add_tcb_info(&mut self, document: Arc<SignedDocument>) {
        add_document(&mut self.tcb_infos, document);
    }
    /// Adds a QE identity document.
    pub fn add_qe_identity(&mut self, document: Arc<SignedDocument>) {
        add_document(&mut self.qe_identities, document);
    }
    /// Adds a certificate in DER.
    pub fn add_certificate(&mut self, der: &[u8]) {
        add_bytes(&mut self.certificates, der);
    }
    /// Adds a revocation list in DER.
    pub fn add_crl(&mut self, der: &[u8]) {
        add_bytes(&mut self.crls, der);
    }
    /// Adds everything that another set holds.
    pub fn extend(&mut self, other: &Endorsements) {
        for d in &other.tcb_infos {
            self.add_tcb_info(Arc::clone(d));
        }
        for d in &other.qe_identities {
            self.add_qe_identity(Arc::clone(d));
        }
        for b in &other.certificates {
            share(&mut self.certificates, b);
        }
        for b in &other.crls {
            share(&mut self.crls, b);
        }
        for key in &other.enrolled {
            self.add_enrolled(Arc::clone(key));
        }
    }
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.tcb_infos.is_empty()
            && self.qe_identities.is_empty()
            && self.certificates.is_empty()
            && self.crls.is_empty()
            && self.enrolled.is_empty()
    }
    /// How many pieces are held.
    pub fn len(&self) -> usize {
        [self.tcb_infos.len(), self.qe_identities.len(), self.certificates.len(), self.crls.len(), self.enrolled.len()]
            .iter()
            .sum()
    }
    /// Whether the same TCB info, QE identity, certificate or list is held already, by the SHA-256 of its bytes.
    pub fn holds(&self, digest: &[u8; 32]) -> bool {
        self.tcb_infos.iter().chain(&self.qe_identities).any(|d| d.digest == *digest)
            || self.certificates.iter().chain(&self.crls).any(|b| b.digest == *digest)
    }

    /// Adds a key of a machine that was enrolled; the last of a name counts.
    pub fn add_enrolled(&mut self, key: Arc<EnrolledKey>) {
        self.enrolled.retain(|known| known.public.name() != key.public.name());
        if self.enrolled.len() < MAX_PIECES {
            self.enrolled.push(key);
        }
    }
    /// The enrolled key with this name.
    pub(crate) fn enrolled(&self, name: &[u8]) -> Option<&EnrolledKey> {
        self.enrolled.iter().map(Arc::as_ref).find(|key| key.public.name() == name)
    }

    pub(crate) fn tcb_infos(&self) -> &[Arc<SignedDocument>] {
        &self.tcb_infos
    }
    pub(crate) fn qe_identities(&self) -> &[Arc<SignedDocument>] {
        &self.qe_identities
    }
    pub(crate) fn certificates(&self) -> &[Arc<Bytes>] {
        &self.certificates
    }
    pub(crate) fn crls(&self) -> &[Arc<Bytes>] {
        &self.crls
    }
}

fn add_document(list: &mut Vec<Arc<SignedDocument>>, document: Arc<SignedDocument>) {
    let known = list.iter().any(|d| d.digest == document.digest && d.signature == document.signature);
    if !known && list.len() < MAX_PIECES {
        list.push(document);
    }
}

fn add_bytes(list: &mut Vec<Arc<Bytes>>, der: &[u8]) {
    let digest = openssl::sha::sha256(der);
    if list.iter().all(|b| b.digest != digest) && list.len() < MAX_PIECES {
        list.push(Arc::new(Bytes { der: der.to_vec(), digest, crl: OnceLock::new() }));
    }
}

fn share(list: &mut Vec<Arc<Bytes>>, bytes: &Arc<Bytes>) {
    if list.iter().all(|b| b.digest != bytes.digest) && list.len() < MAX_PIECES {
        list.push(Arc::clone(bytes));
    }
}
