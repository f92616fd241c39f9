//! The cryptography of `jsonwebtoken`, on OpenSSL and of the tests' own, so that the library and we share no check.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use openssl::bn::BigNum;
use openssl::ec::EcGroup;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::{Padding, Rsa};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: no_signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

struct Check(Algorithm, PKey<Public>);

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let unfit = |_| ErrorKind::InvalidKeyFormat;
    let key = match (algorithm, key.kind()) {
        (
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
            DecodingKeyKind::RsaModulusExponent { n, e },
        ) => {
            let (n, e) = (BigNum::from_slice(n).map_err(unfit)?, BigNum::from_slice(e).map_err(unfit)?);
            PKey::from_rsa(Rsa::from_public_components(n, e).map_err(unfit)?).map_err(unfit)?
        }
        (Algorithm::ES256 | Algorithm::ES384, DecodingKeyKind::SecretOrDer(point)) => {
            let curve = if *algorithm == Algorithm::ES256 { Nid::X9_62_PRIME256V1 } else { Nid::SECP384R1 };
            let group = EcGroup::from_curve_name(curve).map_err(unfit)?;
            let mut context = openssl::bn::BigNumContext::new().map_err(unfit)?;
            let point = openssl::ec::EcPoint::from_bytes(&group, point, &mut context).map_err(unfit)?;
            PKey::from_ec_key(openssl::ec::EcKey::from_public_key(&group, &point).map_err(unfit)?).map_err(unfit)?
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(Check(*algorithm, key)))
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let wrong = |_| Error::new();
        let digest = match self.0 {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => MessageDigest::sha256(),
            Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => MessageDigest::sha384(),
            _ => MessageDigest::sha512(),
        };
        let mut checker = openssl::sign::Verifier::new(digest, &self.1).map_err(wrong)?;
        if matches!(self.0, Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512) {
            checker.set_rsa_padding(Padding::PKCS1_PSS).map_err(wrong)?;
            checker.set_rsa_pss_saltlen(openssl::sign::RsaPssSaltlen::DIGEST_LENGTH).map_err(wrong)?;
        }
        let der = match self.1.ec_key() {
            Err(_) => signature.clone(),
            Ok(key) => {
                let half = usize::try_from(key.group().degree()).unwrap() / 8;
                if signature.len() != 2 * half {
                    return Err(Error::new());
                }
                let number = |bytes: &[u8]| BigNum::from_slice(bytes).map_err(wrong);
                let (r, s) = signature.split_at(half);
                EcdsaSig::from_private_components(number(r)?, number(s)?).map_err(wrong)?.to_der().map_err(wrong)?
            }
        };
        match checker.verify_oneshot(&der, message) {
            Ok(true) => Ok(()),
            _ => Err(Error::new()),
        }
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

/// To be called before the library checks anything.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| PROVIDER.install_default().unwrap_or_else(|_| panic!("another provider is installed")));
}
