//! Is this EC private key a good one?
//!
//! NIST SP 800-56A section 5.6.2.1: the scalar lies in [1, n - 1] and makes the public point.

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::EcPoint;
use openssl::error::ErrorStack;

use crate::error::KeystoreError;
use crate::key::Curve;
use crate::primitives::ecdh;

/// The two coordinates of a point, each as long as the field.
type Coordinates = (Vec<u8>, Vec<u8>);

/// Checks the scalar, and the point if one is given; gives the coordinates of the public point.
pub fn check(curve: Curve, scalar: &[u8], point: Option<(&[u8], &[u8])>) -> Result<Coordinates, KeystoreError> {
    if scalar.len() != curve.field_length() {
        return Err(KeystoreError::Malformed("the scalar has not the length of the field"));
    }
    let made =
        public_point(curve, scalar).ok().flatten().ok_or(KeystoreError::Malformed("the scalar is out of range"))?;
    match point {
        Some((x, y)) if x != made.0 || y != made.1 => {
            Err(KeystoreError::Malformed("the public point does not belong to the scalar"))
        }
        _ => Ok(made),
    }
}

/// Scalar times generator, or nothing if the scalar is zero or not below the order.
fn public_point(curve: Curve, scalar: &[u8]) -> Result<Option<Coordinates>, ErrorStack> {
    let group = ecdh::group(curve)?;
    let mut context = BigNumContext::new_secure()?;
    let mut order = BigNum::new()?;
    group.order(&mut order, &mut context)?;
    let mut number = BigNum::new_secure()?;
    number.copy_from_slice(scalar)?;
    number.set_const_time();
    if number.num_bits() == 0 || number >= order {
        number.clear();
        return Ok(None);
    }
    let mut point = EcPoint::new(group)?;
    let multiplied = point.mul_generator2(group, &number, &mut context);
    // numbers of OpenSSL are freed without being zeroed
    number.clear();
    multiplied?;
    let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
    point.affine_coordinates(group, &mut x, &mut y, &mut context)?;
    let width = curve.field_length() as i32;
    Ok(Some((x.to_vec_padded(width)?, y.to_vec_padded(width)?)))
}
