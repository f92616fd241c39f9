//! The cryptography of `jsonwebtoken`: ours, on OpenSSL, and only what is needed to check.
//!
//! RFC 7518 section 3.4. Signing does not pass here ([`super::signer`]); a provider that cannot sign cannot be made to.

use std::sync::{LazyLock, Once};

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::Public;
use sha2::{Digest as _, Sha256};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: no_signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

/// The curve, made once: making it costs a fifth of a check.
static P256: LazyLock<Option<EcGroup>> = LazyLock::new(|| EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).ok());

/// Makes this the provider of the process; a second call changes nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    // Somebody else's provider would only be installed by our own code, which has none.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    match algorithm {
        Algorithm::ES256 => Ok(Box::new(Es256::read(key.try_get_as_bytes()?)?)),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// ES256 under a public point.
struct Es256(EcKey<Public>);

impl Es256 {
    /// An uncompressed point, 65 bytes; that it lies on the curve is checked.
    fn read(point: &[u8]) -> Result<Self> {
        let unfit = |_| ErrorKind::InvalidEcdsaKey;
        if point.len() != 65 {
            return Err(ErrorKind::InvalidEcdsaKey.into());
        }
        let group = P256.as_ref().ok_or(ErrorKind::InvalidEcdsaKey)?;
        let mut context = BigNumContext::new().map_err(unfit)?;
        let point = EcPoint::from_bytes(group, point, &mut context).map_err(unfit)?;
        Ok(Self(EcKey::from_public_key(group, &point).map_err(unfit)?))
    }
}

impl Verifier<Vec<u8>> for Es256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let wrong = |_| signature::Error::new();
        let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
            return Err(signature::Error::new());
        };
        let r = BigNum::from_slice(r).map_err(wrong)?;
        let s = BigNum::from_slice(s).map_err(wrong)?;
        let signature = EcdsaSig::from_private_components(r, s).map_err(wrong)?;
        match signature.verify(&Sha256::digest(message), &self.0) {
            Ok(true) => Ok(()),
            _ => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}
