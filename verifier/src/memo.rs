//! A memory of facts: "these bytes were signed by that key", and parsed forms of public bytes.
//!
//! A fact is not a verdict (P7): dates, revocation, deny lists and statuses are looked at every time. Only successes are
//! remembered, keyed by digests of key, message and signature. Bounded, public material only.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use openssl::sha::Sha256;

use crate::endorsements::Bytes;
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, Crl};
use crate::signatures::{Algorithm, PublicKey};

/// What was done so far. Exact, for tests and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Signatures checked with the public key (memory hits are not counted).
    pub signature_checks: u64,
    /// Certificates parsed.
    pub certificates_parsed: u64,
    /// Collateral documents and revocation lists parsed.
    pub documents_parsed: u64,
}

pub(crate) struct Memo {
    signed: Cache<[u8; 32], ()>,
    certificates: Cache<[u8; 32], Arc<Certificate>>,
    crls: Cache<[u8; 32], Arc<Crl>>,
    documents: Cache<[u8; 32], Arc<dyn Any + Send + Sync>>,
    signature_checks: AtomicU64,
    certificates_parsed: AtomicU64,
    documents_parsed: AtomicU64,
}

impl Memo {
    pub fn new() -> Self {
        Self {
            signed: Cache::new(65_536),
            certificates: Cache::new(16_384),
            crls: Cache::new(256),
            documents: Cache::new(1_024),
            signature_checks: AtomicU64::new(0),
            certificates_parsed: AtomicU64::new(0),
            documents_parsed: AtomicU64::new(0),
        }
    }

    pub fn counts(&self) -> Counts {
        Counts {
            signature_checks: self.signature_checks.load(Ordering::Relaxed),
            certificates_parsed: self.certificates_parsed.load(Ordering::Relaxed),
            documents_parsed: self.documents_parsed.load(Ordering::Relaxed),
        }
    }

    /// Checks a signature over bytes that will not come again (the evidence itself): nothing is remembered.
    pub fn check_fresh(&self, algorithm: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        self.signature_checks.fetch_add(1, Ordering::Relaxed);
        key.verify(algorithm, message, signature)
    }

    /// Checks a signature over bytes that come again and again (certificates, collateral, a quoting enclave's report): a
    /// success is remembered.
    pub fn check_kept(&self, algorithm: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let mut hash = Sha256::new();
        hash.update(&[algorithm.number()]);
        hash.update(&key.digest());
        hash.update(&openssl::sha::sha256(message));
        hash.update(&openssl::sha::sha256(signature));
        let fact = hash.finish();
        if self.signed.contains_key(&fact) {
            return true;
        }
        let good = self.check_fresh(algorithm, key, message, signature);
        if good {
            self.signed.insert(fact, ());
        }
        good
    }

    /// The same for bytes whose SHA-256 is known already. `seal` must fix message and signature both (a digest over the whole
    /// certificate, list or document), so that nothing is hashed again.
    pub fn check_sealed(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        seal: &[u8; 32],
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let mut hash = Sha256::new();
        // One byte more than `check_kept` puts in front: the two sorts of facts never meet.
        hash.update(&[0, algorithm.number()]);
        hash.update(&key.digest());
        hash.update(seal);
        let fact = hash.finish();
        if self.signed.contains_key(&fact) {
            return true;
        }
        let good = self.check_fresh(algorithm, key, message, signature);
        if good {
            self.signed.insert(fact, ());
        }
        good
    }

    /// The parsed form of a certificate in DER.
    pub fn certificate(&self, der: &[u8]) -> Result<Arc<Certificate>, VerifyError> {
        self.certificate_by_digest(openssl::sha::sha256(der), der)
    }

    /// The parsed form of a certificate that is held: its digest is known.
    pub fn held_certificate(&self, held: &Bytes) -> Result<Arc<Certificate>, VerifyError> {
        self.certificate_by_digest(held.digest, &held.der)
    }

    fn certificate_by_digest(&self, digest: [u8; 32], der: &[u8]) -> Result<Arc<Certificate>, VerifyError> {
        if let Some(known) = self.certificates.get(&digest) {
            return Ok(known);
        }
        self.certificates_parsed.fetch_add(1, Ordering::Relaxed);
        let parsed = Arc::new(Certificate::parse(der)?);
        self.certificates.insert(digest, Arc::clone(&parsed));
        Ok(parsed)
    }

    /// The parsed form of a revocation list in DER.
    pub fn crl(&self, der: &[u8]) -> Result<Arc<Crl>, VerifyError> {
        self.crl_by_digest(openssl::sha::sha256(der), der)
    }

    /// The parsed form of a revocation list that is held: its digest is known, and it may be long.
    pub fn held_crl(&self, held: &Bytes) -> Result<Arc<Crl>, VerifyError> {
        self.crl_by_digest(held.digest, &held.der)
    }

    fn crl_by_digest(&self, digest: [u8; 32], der: &[u8]) -> Result<Arc<Crl>, VerifyError> {
        if let Some(known) = self.crls.get(&digest) {
            return Ok(known);
        }
        self.documents_parsed.fetch_add(1, Ordering::Relaxed);
        let parsed = Arc::new(Crl::parse(der)?);
        self.crls.insert(digest, Arc::clone(&parsed));
        Ok(parsed)
    }

    /// The parsed form of any other public document, keyed by its digest.
    pub fn document<T: Send + Sync + 'static>(
        &self,
        digest: &[u8; 32],
        parse: impl FnOnce() -> Result<T, VerifyError>,
    ) -> Result<Arc<T>, VerifyError> {
        if let Some(known) = self.documents.get(digest)
            && let Ok(known) = known.downcast::<T>()
        {
            return Ok(known);
        }
        self.documents_parsed.fetch_add(1, Ordering::Relaxed);
        let parsed = Arc::new(parse()?);
        self.documents.insert(*digest, Arc::clone(&parsed) as Arc<dyn Any + Send + Sync>);
        Ok(parsed)
    }
}
