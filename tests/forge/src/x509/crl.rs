//! A small writer of certificate revocation lists.
//! RFC 5280 sections 5.1, 5.2 and 5.3.

use super::{AUTHORITY_KEY_ID, CRL_NUMBER, Extension, algorithm, signed};
use crate::der;
use crate::keys::{Key, SigAlg};

/// One revoked certificate.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Content bytes of the serial number INTEGER.
    pub serial: Vec<u8>,
    /// Since when, unix seconds.
    pub at: i64,
    /// CRLReason; 1 is key compromise.
    pub reason: u8,
}

/// What is to be signed as a list. Every member may be changed before [`Crl::sign`].
#[derive(Clone, Debug)]
pub struct Crl {
    /// Issuer name, DER.
    pub issuer: Vec<u8>,
    /// Issued at, unix seconds.
    pub this_update: i64,
    /// Stale after, unix seconds.
    pub next_update: i64,
    /// Revoked certificates.
    pub revoked: Vec<Revoked>,
    /// Extensions of the list.
    pub extensions: Vec<Extension>,
    /// Algorithm named in the list and used to sign it.
    pub algorithm: SigAlg,
}

impl Crl {
    /// An empty list with a CRL number and the issuer's key identifier.
    pub fn new(issuer: Vec<u8>, issuer_key_id: &[u8], algorithm: SigAlg) -> Self {
        Self {
            issuer,
            this_update: 0,
            next_update: 0,
            revoked: Vec::new(),
            extensions: vec![
                Extension::new(CRL_NUMBER, false, der::integer(1)),
                Extension::authority_key(issuer_key_id),
            ],
            algorithm,
        }
    }

    /// Sets both dates, unix seconds.
    pub fn dated(mut self, this_update: i64, next_update: i64) -> Self {
        self.this_update = this_update;
        self.next_update = next_update;
        self
    }

    /// Sets the CRL number.
    pub fn numbered(mut self, number: u64) -> Self {
        let value = der::integer(number);
        self.extensions.retain(|e| e.oid != CRL_NUMBER);
        self.extensions.insert(0, Extension::new(CRL_NUMBER, false, value));
        self
    }

    /// Adds a revoked serial number, revoked for key compromise when the list was issued.
    pub fn revoking(mut self, serial: &[u8]) -> Self {
        self.revoked.push(Revoked { serial: serial.to_vec(), at: self.this_update, reason: 1 });
        self
    }

    /// Adds an issuing distribution point with these content bytes; critical as RFC 5280 demands.
    pub fn with_distribution_point(mut self, content: &[u8]) -> Self {
        let value = der::tlv(0x30, content);
        self.extensions.push(Extension::new("2.5.29.28", true, value));
        self
    }

    /// Makes it a delta list over the list numbered `base`.
    pub fn delta(mut self, base: u64) -> Self {
        let value = der::integer(base);
        self.extensions.push(Extension::new("2.5.29.27", true, value));
        self
    }

    /// Drops the authority key identifier.
    pub fn without_key_id(mut self) -> Self {
        self.extensions.retain(|e| e.oid != AUTHORITY_KEY_ID);
        self
    }

    /// Signs with the issuer's key; the whole list, DER.
    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let mut items = vec![
            der::integer(1),
            algorithm(self.algorithm),
            self.issuer.clone(),
            der::time(self.this_update),
            der::time(self.next_update),
        ];
        if !self.revoked.is_empty() {
            let entries: Vec<Vec<u8>> = self.revoked.iter().map(entry).collect();
            items.push(der::sequence(&entries));
        }
        let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::to_der).collect();
        items.push(der::explicit(0, &der::sequence(&extensions)));
        signed(&der::sequence(&items), self.algorithm, key)
    }
}

fn entry(revoked: &Revoked) -> Vec<u8> {
    let reason = Extension::new("2.5.29.21", false, der::enumerated(revoked.reason));
    der::sequence(&[der::raw_integer(&revoked.serial), der::time(revoked.at), der::sequence(&[reason.to_der()])])
}
