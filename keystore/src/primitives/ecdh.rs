//! Points on the curves and Diffie-Hellman over them.
//!
//! NIST SP 800-56A section 5.7.1.2, and 5.6.2.3.4 for what a foreign point must satisfy: on curves of
//! cofactor 1 that is coordinates below p that solve the equation.

use openssl::bn::BigNumContext;
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private, Public};
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
        let group = EcGroup::from_curve_name(curve.nid())?;
        let mut context = BigNumContext::new()?;
        // refuses coordinates from p upwards and points off the curve
        let point = EcPoint::from_bytes(&group, &encoded, &mut context)?;
        EcKey::from_public_key(&group, &point)
    };
    run().map_err(|_| malformed)
}

/// The shared secret: the x coordinate, as long as the field.
pub fn agree(
    private: &PKey<Private>,
    public: EcKey<Public>,
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let run = || -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let public = PKey::from_ec_key(public)?;
        let mut deriver = Deriver::new(private)?;
        deriver.set_peer(&public)?;
        Ok(Zeroizing::new(deriver.derive_to_vec()?))
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}
