//! Private keys in the form of PKCS#8: made at the border, read at import.
//!
//! RFC 5208: version 0 without attributes. The form with a password and the one with attributes or a
//! public key (RFC 5958) are not served.

use zeroize::Zeroizing;

use super::der::{self, Reader};
use super::sec1;
use crate::error::KeystoreError;
use crate::key::Curve;

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// What a PKCS#8 structure holds.
pub enum PrivateKeyInfo<'a> {
    /// The bytes of `RSAPrivateKey`.
    Rsa(&'a [u8]),
    /// The curve, and the bytes of `ECPrivateKey`.
    Ec(Curve, &'a [u8]),
}

/// Reads `PrivateKeyInfo`.
///
/// With a password, with attributes, or of another algorithm or curve it is `unsupported`; anything
/// else that is not exactly one is `malformed`.
pub fn read(bytes: &[u8]) -> Result<PrivateKeyInfo<'_>, KeystoreError> {
    let malformed = || KeystoreError::Malformed("not a private key in PKCS#8");
    let mut outer = Reader::new(bytes);
    let mut info = Reader::new(outer.expect(der::SEQUENCE).ok_or_else(malformed)?);
    outer.finish().ok_or_else(malformed)?;
    if info.peek() == Some(der::SEQUENCE) {
        return Err(KeystoreError::Unsupported("the private key is encrypted: decrypt it first"));
    }
    let version = info.unsigned().ok_or_else(malformed)?;
    if version != [0] {
        return Err(KeystoreError::Unsupported("not version 0 of PKCS#8"));
    }
    let mut algorithm = Reader::new(info.expect(der::SEQUENCE).ok_or_else(malformed)?);
    let key = info.expect(der::OCTET_STRING).ok_or_else(malformed)?;
    if info.peek() == Some(der::CONTEXT_0) {
        return Err(KeystoreError::Unsupported("attributes in PKCS#8 are not served"));
    }
    info.finish().ok_or_else(malformed)?;
    let name = algorithm.expect(der::OBJECT_IDENTIFIER).ok_or_else(malformed)?;
    match name {
        RSA_ENCRYPTION => {
            let parameters = algorithm.expect(der::NULL).ok_or_else(malformed)?;
            if !parameters.is_empty() {
                return Err(malformed());
            }
            algorithm.finish().ok_or_else(malformed)?;
            Ok(PrivateKeyInfo::Rsa(key))
        }
        EC_PUBLIC_KEY => {
            if algorithm.peek() == Some(der::SEQUENCE) {
                return Err(KeystoreError::Unsupported("only named curves are served"));
            }
            let curve = algorithm.expect(der::OBJECT_IDENTIFIER).ok_or_else(malformed)?;
            algorithm.finish().ok_or_else(malformed)?;
            Ok(PrivateKeyInfo::Ec(Curve::from_object_identifier(curve)?, key))
        }
        _ => Err(KeystoreError::Unsupported("neither an RSA nor an EC private key")),
    }
}

/// Writes `PrivateKeyInfo` around `RSAPrivateKey`.
pub fn write_rsa(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    let parameters = der::element(der::NULL, &[]);
    write(RSA_ENCRYPTION, &parameters, pkcs1)
}

/// Writes `PrivateKeyInfo` around `ECPrivateKey`, given in our own form. The curve is named outside
/// alone: some readers refuse it inside. `None` if it is not our own form.
pub fn write_ec(curve: Curve, own: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (scalar, x, y) = sec1::read_own(curve, own)?;
    let inner = sec1::write_bare(scalar, x, y);
    let parameters = der::element(der::OBJECT_IDENTIFIER, curve.object_identifier());
    Some(write(EC_PUBLIC_KEY, &parameters, &inner))
}

fn write(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let name = der::element(der::OBJECT_IDENTIFIER, algorithm);
    der::sequence(
        der::SEQUENCE,
        &[
            &der::unsigned(&[0]),
            &der::sequence(der::SEQUENCE, &[&name, parameters]),
            &der::element(der::OCTET_STRING, key),
        ],
    )
}
