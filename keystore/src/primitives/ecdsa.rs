//! ECDSA signatures in the fixed form of JOSE, and their conversion from and to DER.
//!
//! RFC 7518 section 3.4: r and s, each as long as the field, big-endian, one behind the other.

use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::pkey::{Private, Public};

use crate::encoding::der;
use crate::error::KeystoreError;
use crate::key::Curve;

/// Signs a digest; the result has twice the length of the curve's field.
pub fn sign(key: &EcKey<Private>, curve: Curve, digest: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let run = || -> Result<Vec<u8>, ErrorStack> {
        let signature = EcdsaSig::sign(digest, key)?;
        let width = curve.field_length() as i32;
        let mut fixed = signature.r().to_vec_padded(width)?;
        fixed.extend_from_slice(&signature.s().to_vec_padded(width)?);
        Ok(fixed)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// Verifies a signature in fixed form; one that does not hold is `crypto-failed`.
pub fn verify(key: &EcKey<Public>, curve: Curve, digest: &[u8], fixed: &[u8]) -> Result<(), KeystoreError> {
    let (r, s) = halves(curve, fixed)?;
    let run = || -> Result<bool, ErrorStack> {
        let r = BigNum::from_slice(r)?;
        let s = BigNum::from_slice(s)?;
        EcdsaSig::from_private_components(r, s)?.verify(digest, key)
    };
    match run() {
        Ok(true) => Ok(()),
        _ => Err(KeystoreError::CryptoFailed),
    }
}

/// Turns the fixed form into DER; zero halves and wrong lengths are `crypto-failed`.
pub fn to_der(curve: Curve, fixed: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let (r, s) = halves(curve, fixed)?;
    let mut inner = der::unsigned(r);
    inner.extend_from_slice(&der::unsigned(s));
    Ok(der::element(der::SEQUENCE, &inner).to_vec())
}

/// Turns DER into the fixed form; anything but strict DER of two positive numbers that fit the field
/// is `crypto-failed`.
pub fn from_der(curve: Curve, bytes: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let parse = || -> Option<Vec<u8>> {
        let mut outer = der::Reader::new(bytes);
        let mut inner = der::Reader::new(outer.expect(der::SEQUENCE)?);
        outer.finish()?;
        let r = inner.unsigned()?;
        let s = inner.unsigned()?;
        inner.finish()?;
        let width = curve.field_length();
        let mut fixed = Vec::with_capacity(2 * width);
        for half in [r, s] {
            if half.iter().all(|b| *b == 0) {
                return None;
            }
            fixed.resize(fixed.len() + width.checked_sub(half.len())?, 0);
            fixed.extend_from_slice(half);
        }
        Some(fixed)
    };
    parse().ok_or(KeystoreError::CryptoFailed)
}

fn halves(curve: Curve, fixed: &[u8]) -> Result<(&[u8], &[u8]), KeystoreError> {
    let width = curve.field_length();
    if fixed.len() != 2 * width {
        return Err(KeystoreError::CryptoFailed);
    }
    let (r, s) = fixed.split_at(width);
    let zero = |half: &[u8]| half.iter().all(|b| *b == 0);
    if zero(r) || zero(s) {
        return Err(KeystoreError::CryptoFailed);
    }
    Ok((r, s))
}
