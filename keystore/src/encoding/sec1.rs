//! EC private keys in the form of SEC1.
//!
//! RFC 5915: version 1, the scalar as long as the field, the curve, the public point uncompressed.

use zeroize::Zeroizing;

use super::der::{self, Reader};
use crate::key::Curve;

/// An EC private key as read; curve and point may be missing in foreign ones.
pub struct EcNumbers<'a> {
    /// The scalar, big-endian, as it was written.
    pub scalar: &'a [u8],
    /// The content of the curve's object identifier.
    pub curve: Option<&'a [u8]>,
    /// The public point as it was encoded.
    pub point: Option<&'a [u8]>,
}

impl<'a> EcNumbers<'a> {
    /// Reads `ECPrivateKey`; `None` if it is not one with nothing behind it.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(bytes);
        let mut inner = Reader::new(outer.expect(der::SEQUENCE)?);
        outer.finish()?;
        if inner.unsigned()? != [1] {
            return None;
        }
        let scalar = inner.expect(der::OCTET_STRING)?;
        let mut curve = None;
        if inner.peek() == Some(der::CONTEXT_0) {
            let mut parameters = Reader::new(inner.expect(der::CONTEXT_0)?);
            curve = Some(parameters.expect(der::OBJECT_IDENTIFIER)?);
            parameters.finish()?;
        }
        let mut point = None;
        if inner.peek() == Some(der::CONTEXT_1) {
            let mut public = Reader::new(inner.expect(der::CONTEXT_1)?);
            let bits = public.expect(der::BIT_STRING)?;
            public.finish()?;
            // the first byte counts unused bits
            let (unused, encoded) = bits.split_first()?;
            if *unused != 0 {
                return None;
            }
            point = Some(encoded);
        }
        inner.finish()?;
        Some(Self { scalar, curve, point })
    }
}

/// Reads our own form, in which everything is present: scalar, x and y, each as long as the field.
pub fn read_own(curve: Curve, bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let numbers = EcNumbers::read(bytes)?;
    let width = curve.field_length();
    if numbers.curve? != curve.object_identifier() || numbers.scalar.len() != width {
        return None;
    }
    let (x, y) = coordinates(curve, numbers.point?)?;
    Some((numbers.scalar, x, y))
}

/// Splits an uncompressed point into its coordinates.
pub fn coordinates(curve: Curve, point: &[u8]) -> Option<(&[u8], &[u8])> {
    let (form, both) = point.split_first()?;
    if *form != 4 || both.len() != 2 * curve.field_length() {
        return None;
    }
    both.split_at_checked(curve.field_length())
}

/// Writes our own form, which names the curve.
pub fn write(curve: Curve, scalar: &[u8], x: &[u8], y: &[u8]) -> Zeroizing<Vec<u8>> {
    let oid = der::element(der::OBJECT_IDENTIFIER, curve.object_identifier());
    sequence(scalar, &der::element(der::CONTEXT_0, &oid), x, y)
}

/// Writes the form inside PKCS#8, which leaves the curve to what stands around it.
pub fn write_bare(scalar: &[u8], x: &[u8], y: &[u8]) -> Zeroizing<Vec<u8>> {
    sequence(scalar, &[], x, y)
}

fn sequence(scalar: &[u8], parameters: &[u8], x: &[u8], y: &[u8]) -> Zeroizing<Vec<u8>> {
    let point = der::sequence(der::BIT_STRING, &[&[0, 4], x, y]);
    der::sequence(
        der::SEQUENCE,
        &[
            &der::unsigned(&[1]),
            &der::element(der::OCTET_STRING, scalar),
            parameters,
            &der::element(der::CONTEXT_1, &point),
        ],
    )
}
