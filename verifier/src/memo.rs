//! A memory of facts: "these bytes were signed by that key", and parsed forms of public bytes.
//!
//! A fact is not a verdict (P7): dates, revocation, deny lists and statuses are looked at every time. Only successes are
//! remembered, keyed by digests of key, message and signature. Bounded in bytes, since anybody can send certificates; public
//! material only. Collateral keeps its own reading and is not remembered here.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use openssl::sha::Sha256;

use crate::endorsements::Bytes;
use crate::error::VerifyError;
use crate::formats::x509::Certificate;
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

/// The most bytes of parsed certificates, and of other parsed documents, that are remembered.
const MAX_WEIGHT: u64 = 32 << 20;

/// The reading of a document of any sort, and about how many bytes it takes.
#[derive(Clone)]
struct Document {
    reading: Arc<dyn Any + Send + Sync>,
    weight: usize,
}

pub(crate) struct Memo {
    signed: Cache<[u8; 32], ()>,
    certificates: Cache<[u8; 32], Arc<Certificate>>,
    documents: Cache<[u8; 32], Document>,
    signature_checks: AtomicU64,
    certificates_parsed: AtomicU64,
    documents_parsed: AtomicU64,
}

impl Memo {
    pub fn new() -> Self {
        Self {
            signed: Cache::new(65_536),
            certificates: weighed(|certificate: &Arc<Certificate>| certificate.weight()),
            documents: weighed(|document: &Document| document.weight),
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

    /// About how many bytes of parsed material are remembered now.
    pub fn weight(&self) -> u64 {
        self.certificates.run_pending_tasks();
        self.documents.run_pending_tasks();
        self.certificates.weighted_size().saturating_add(self.documents.weighted_size())
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

    /// Parses a document whose holder keeps the reading: here it is only counted. What a request brought goes with the request.
    pub fn parsed<T>(&self, parse: impl FnOnce() -> Result<T, VerifyError>) -> Result<Arc<T>, VerifyError> {
        self.documents_parsed.fetch_add(1, Ordering::Relaxed);
        parse().map(Arc::new)
    }

    /// The parsed form of a small public document that comes inside of evidence, keyed by its digest; `weight`: about how many
    /// bytes the reading takes.
    pub fn document<T: Send + Sync + 'static>(
        &self,
        digest: &[u8; 32],
        weight: usize,
        parse: impl FnOnce() -> Result<T, VerifyError>,
    ) -> Result<Arc<T>, VerifyError> {
        if let Some(known) = self.documents.get(digest)
            && let Ok(known) = known.reading.downcast::<T>()
        {
            return Ok(known);
        }
        let parsed = self.parsed(parse)?;
        let reading = Arc::clone(&parsed) as Arc<dyn Any + Send + Sync>;
        self.documents.insert(*digest, Document { reading, weight });
        Ok(parsed)
    }
}

/// A cache that holds at most [`MAX_WEIGHT`] bytes.
fn weighed<V: Clone + Send + Sync + 'static>(weight: fn(&V) -> usize) -> Cache<[u8; 32], V> {
    let weigher = move |_: &[u8; 32], value: &V| u32::try_from(weight(value)).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(MAX_WEIGHT).weigher(weigher).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_05_what_is_remembered_is_bounded_in_bytes() {
        let memo = Memo::new();
        for number in 0..1_000_u64 {
            let digest = openssl::sha::sha256(&number.to_be_bytes());
            memo.document(&digest, 1 << 20, || Ok(number)).unwrap();
        }
        assert!((1 << 20..=MAX_WEIGHT).contains(&memo.weight()), "{} bytes", memo.weight());
        // What is larger than everything together is read and not remembered.
        let large = [0xff; 32];
        for _ in 0..2 {
            memo.document(&large, 64 << 20, || Ok(1)).unwrap();
            assert!(memo.weight() <= MAX_WEIGHT);
        }
        assert_eq!(memo.counts().documents_parsed, 1_002);
    }
}
