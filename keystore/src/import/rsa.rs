//! Is this RSA private key a good one?
//!
//! FIPS 186-5 appendix A.1 for sizes and distances; Nemec et al., *The Return of Coppersmith's
//! Attack* (2017), for the fingerprint of CVE-2017-15361.

use openssl::bn::{BigNum, BigNumRef};
use openssl::error::ErrorStack;
use openssl::pkey::Private;
use openssl::rsa::{Rsa, RsaPrivateKeyBuilder};

use crate::encoding::pkcs1::{RsaNumbers, bits};
use crate::error::KeystoreError;
use crate::key::KeyType;

/// Smallest public exponent; beneath it a short plaintext or a lax verifier becomes a hole.
const SMALLEST_E: u64 = 65_537;

/// Checks all of it and names its type; see [`crate::KeyMaterial::import`] for the errors.
pub fn check(numbers: &RsaNumbers<'_>) -> Result<KeyType, KeystoreError> {
    let key_type = KeyType::ALL
        .into_iter()
        .find(|t| t.rsa_bits() == Some(bits(numbers.n)))
        .ok_or(KeystoreError::Unsupported("the modulus must have 2048, 3072 or 4096 bits"))?;
    check_exponent(numbers.e)?;
    let odd = |number: &[u8]| number.last().is_some_and(|b| b & 1 == 1);
    if !odd(numbers.n) {
        return Err(KeystoreError::Malformed("the modulus is even"));
    }
    if numbers.p == numbers.q {
        return Err(KeystoreError::Malformed("the two primes are the same"));
    }
    let half = bits(numbers.n) / 2;
    if bits(numbers.p) != half || bits(numbers.q) != half {
        return Err(KeystoreError::Unsupported("the two primes must have half the bits of the modulus"));
    }
    if bits(numbers.d) <= half {
        return Err(KeystoreError::Unsupported("the private exponent is too short"));
    }
    let broken = |_: ErrorStack| KeystoreError::Malformed("the numbers are no RSA key");
    if distance(numbers.p, numbers.q).map_err(broken)? <= half - 100 {
        return Err(KeystoreError::Unsupported("the two primes are too close"));
    }
    let n = BigNum::from_slice(numbers.n).map_err(broken)?;
    if has_roca_fingerprint(&n).map_err(broken)? {
        return Err(KeystoreError::Unsupported("the key was made by the generator of CVE-2017-15361"));
    }
    // primes are prime, n = pq, ed = 1, and the three numbers for the remainder theorem fit
    match build(numbers).and_then(|key| key.check_key()) {
        Ok(true) => Ok(key_type),
        _ => Err(KeystoreError::Malformed("the numbers are no RSA key")),
    }
}

fn check_exponent(e: &[u8]) -> Result<(), KeystoreError> {
    if e.len() > 4 {
        return Err(KeystoreError::Unsupported("the public exponent must be below 2^32"));
    }
    let value = e.iter().fold(0_u64, |v, b| v << 8 | u64::from(*b));
    if value <= 1 || value % 2 == 0 {
        return Err(KeystoreError::Malformed("the public exponent must be odd and not 1"));
    }
    if value < SMALLEST_E {
        return Err(KeystoreError::Unsupported("the public exponent must be 65537 or more"));
    }
    Ok(())
}

/// Bits of the difference of two numbers.
fn distance(p: &[u8], q: &[u8]) -> Result<usize, ErrorStack> {
    let mut p = BigNum::from_slice(p)?;
    let mut q = BigNum::from_slice(q)?;
    let mut difference = BigNum::new()?;
    difference.checked_sub(&p, &q)?;
    let bits = difference.num_bits() as usize;
    // numbers of OpenSSL are freed without being zeroed
    p.clear();
    q.clear();
    difference.clear();
    Ok(bits)
}

fn build(numbers: &RsaNumbers<'_>) -> Result<Rsa<Private>, ErrorStack> {
    let number = BigNum::from_slice;
    let key = RsaPrivateKeyBuilder::new(number(numbers.n)?, number(numbers.e)?, number(numbers.d)?)?
        .set_factors(number(numbers.p)?, number(numbers.q)?)?
        .set_crt_params(number(numbers.dp)?, number(numbers.dq)?, number(numbers.qi)?)?
        .build();
    Ok(key)
}

/// Primes of that generator are `k M + (65537^a mod M)`, M a product of small primes: so the modulus is
/// a power of 65537 modulo each of them. A modulus made otherwise is so with chance below 2^-27.
fn has_roca_fingerprint(n: &BigNumRef) -> Result<bool, ErrorStack> {
    for prime in 3..=167_u32 {
        if (2..prime).any(|divisor| prime % divisor == 0) {
            continue;
        }
        let remainder = n.mod_word(prime)?;
        let mut power = 1_u64;
        let mut found = false;
        for _ in 0..prime {
            found |= power == remainder;
            power = power * 65_537 % u64::from(prime);
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}
