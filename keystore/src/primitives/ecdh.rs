//! Points on the curves and Diffie-Hellman over them.
//!
//! NIST SP 800-56A section 5.7.1.2, and 5.6.2.3.4 for what a foreign point must satisfy: on curves of
//! cofactor 1 that is coordinates below p that solve the equation.

use std::sync::OnceLock;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::error::ErrorStack;
use openssl::pkey::{Private, Public};
use zeroize::Zeroizing;

use crate::error::KeystoreError;
use crate::key::Curve;

/// Reads a point from its coordinates; wrong lengths and points off the curve are `malformed`.
pub fn public_key(curve: Curve, x: &[u8], y: &[u8]) -> Result<EcKey<Public>, KeystoreError> {
    let malformed = KeystoreError::Malformed("the coordinates are not a point on the curve");
    let width = curve.field_length();
    if x.len() != width || y.len() != width {
        return Err(malformed);
    }
    let mut encoded = Vec::with_capacity(1 + 2 * width);
    encoded.push(4);
    encoded.extend_from_slice(x);
    encoded.extend_from_slice(y);
    let run = || -> Result<EcKey<Public>, ErrorStack> {
        let group = group(curve)?;
        let mut context = BigNumContext::new()?;
        // refuses coordinates from p upwards and points off the curve
        let point = EcPoint::from_bytes(group, &encoded, &mut context)?;
        EcKey::from_public_key(group, &point)
    };
    run().map_err(|_| malformed)
}

/// A fresh pair, and the coordinates of its public point.
pub struct Ephemeral {
    /// The private half, for one agreement.
    pub private: EcKey<Private>,
    /// First coordinate, as long as the field.
    pub x: Vec<u8>,
    /// Second coordinate.
    pub y: Vec<u8>,
}

/// Makes a fresh pair.
pub fn ephemeral(curve: Curve) -> Result<Ephemeral, KeystoreError> {
    let run = || -> Result<Ephemeral, ErrorStack> {
        let group = group(curve)?;
        let key = EcKey::generate(group)?;
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        let mut context = BigNumContext::new()?;
        key.public_key().affine_coordinates(group, &mut x, &mut y, &mut context)?;
        let width = curve.field_length() as i32;
        Ok(Ephemeral { private: key, x: x.to_vec_padded(width)?, y: y.to_vec_padded(width)? })
    };
    run().map_err(|_| KeystoreError::Randomness)
}

/// The shared secret: the x coordinate, as long as the field.
///
/// The point was checked when [`public_key`] read it; on curves of cofactor 1 nothing more is to be
/// checked. The multiplication is the one that OpenSSL's own agreement runs, in constant time. It is
/// asked for directly, because handing both keys to its provider makes the curve anew for each.
pub fn agree(private: &EcKey<Private>, public: &EcKey<Public>) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let run = || -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let (group, peer) = (private.group(), public.public_key());
        let width = group.degree().div_ceil(8) as i32;
        let mut context = BigNumContext::new()?;
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        let mut point = EcPoint::new(group)?;
        point.mul2(group, peer, private.private_key(), &mut context)?;
        point.affine_coordinates(group, &mut x, &mut y, &mut context)?;
        let shared = Zeroizing::new(x.to_vec_padded(width)?);
        // A freed point is not wiped: the peer's, which is no secret, takes its place.
        x.clear();
        y.clear();
        peer.affine_coordinates(group, &mut x, &mut y, &mut context)?;
        point.set_affine_coordinates(group, &x, &y, &mut context)?;
        Ok(shared)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// The curve as OpenSSL has it. Made once for each: making it costs a third of a point multiplication.
pub(crate) fn group(curve: Curve) -> Result<&'static EcGroup, ErrorStack> {
    static GROUPS: [OnceLock<EcGroup>; 4] = [const { OnceLock::new() }; 4];
    let [p256, p384, p521, p256k] = &GROUPS;
    let kept = match curve {
        Curve::P256 => p256,
        Curve::P384 => p384,
        Curve::P521 => p521,
        Curve::P256K => p256k,
    };
    if let Some(group) = kept.get() {
        return Ok(group);
    }
    let made = EcGroup::from_curve_name(curve.nid())?;
    Ok(kept.get_or_init(|| made))
}
