//! RSA private keys in the form of PKCS#1.
//!
//! RFC 8017 appendix A.1.2, with two primes.

use zeroize::Zeroizing;

use super::der::{self, Reader};

/// The numbers of an RSA private key, big-endian, without leading zeros.
pub struct RsaNumbers<'a> {
    /// The modulus.
    pub n: &'a [u8],
    /// The public exponent.
    pub e: &'a [u8],
    /// The private exponent.
    pub d: &'a [u8],
    /// One prime.
    pub p: &'a [u8],
    /// The other prime.
    pub q: &'a [u8],
    /// d modulo p - 1.
    pub dp: &'a [u8],
    /// d modulo q - 1.
    pub dq: &'a [u8],
    /// The inverse of q modulo p.
    pub qi: &'a [u8],
}

impl<'a> RsaNumbers<'a> {
    /// Reads `RSAPrivateKey`; `None` if it is not one with two primes and nothing behind it.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(bytes);
        let mut inner = Reader::new(outer.expect(der::SEQUENCE)?);
        outer.finish()?;
        if inner.unsigned()? != [0] {
            return None;
        }
        let numbers = Self {
            n: inner.unsigned()?,
            e: inner.unsigned()?,
            d: inner.unsigned()?,
            p: inner.unsigned()?,
            q: inner.unsigned()?,
            dp: inner.unsigned()?,
            dq: inner.unsigned()?,
            qi: inner.unsigned()?,
        };
        inner.finish()?;
        Some(numbers)
    }

    /// Writes `RSAPrivateKey`.
    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let numbers = [&[0][..], self.n, self.e, self.d, self.p, self.q, self.dp, self.dq, self.qi].map(der::unsigned);
        let parts: Vec<&[u8]> = numbers.iter().map(|n| n.as_slice()).collect();
        der::sequence(der::SEQUENCE, &parts)
    }
}

/// Length of a number in bits, given big-endian without leading zeros.
pub fn bits(number: &[u8]) -> usize {
    match number.first() {
        Some(first) => number.len() * 8 - first.leading_zeros() as usize,
        None => 0,
    }
}
