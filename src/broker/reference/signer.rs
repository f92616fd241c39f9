//! Who may sign reference values: a public key or certificate that the operator names, for which provider and which names.
//!
//! `config/default.toml` (`[[reference_signers]]`); RFC 7515, RFC 7638. The configuration is what counts, at every use: nothing in an
//! object says whom to trust.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::ProviderId;
use keygate_verifier::tokens::{Jws, JwsAlgorithm, KeySet, TokenFault, verify_jws};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::bn::{BigNum, BigNumContext};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, PKeyRef, Public};
use openssl::sha::sha256;
use openssl::x509::X509;
use serde_json::{Value, json};

use crate::broker::caller::matches;
use crate::broker::error::{Code, Fault};

/// What signatures may be made with.
pub const ALGORITHMS: [JwsAlgorithm; 5] =
    [JwsAlgorithm::ES256, JwsAlgorithm::ES384, JwsAlgorithm::PS256, JwsAlgorithm::RS256, JwsAlgorithm::EdDSA];

/// A signer of the configuration.
#[derive(Debug, Clone)]
pub struct ReferenceSigner {
    name: String,
    provider: Option<ProviderId>,
    names: Vec<String>,
    keys: KeySet,
    from: Option<i64>,
    until: Option<i64>,
}

impl ReferenceSigner {
    /// Reads a signer's file: one certificate or one public key, PEM; RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519. `provider`: the
    /// one it counts at, none: all. `names`: patterns of names it may sign, `*` stands for any text; none: all.
    ///
    /// # Errors
    /// `config-invalid`.
    pub fn read(name: &str, provider: Option<ProviderId>, names: Vec<String>, pem: &[u8]) -> Result<Self, Fault> {
        let invalid = |why: &str| Fault::new(Code::ConfigInvalid, "").because(why);
        let text = std::str::from_utf8(pem).map_err(|_| invalid("it is no PEM"))?;
        if text.contains("PRIVATE KEY") {
            return Err(invalid("it holds a private key, which belongs to the signer alone"));
        }
        let (key, from, until) = match text.contains("BEGIN CERTIFICATE") {
            true => {
                let certificates = X509::stack_from_pem(pem).unwrap_or_default();
                let [certificate] = certificates.as_slice() else {
                    return Err(invalid("it does not hold exactly one certificate"));
                };
                let times = (seconds(certificate.not_before()), seconds(certificate.not_after()));
                let (Some(from), Some(until)) = times else { return Err(invalid("its certificate has no dates")) };
                let key = certificate.public_key().map_err(|_| invalid("its certificate has no key"))?;
                (key, Some(from), Some(until))
            }
            false => {
                let key =
                    PKey::public_key_from_pem(pem).map_err(|_| invalid("it holds no certificate or public key"))?;
                (key, None, None)
            }
        };
        let unfit = || invalid("its key is none of RSA with 2048 to 4096 bits, P-256, P-384 and Ed25519");
        let mut jwk = public_jwk(&key).ok_or_else(unfit)?;
        jwk["kid"] = json!(thumbprint(&jwk));
        let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).map_err(|_| unfit())?;
        if keys.len() != 1 {
            return Err(unfit());
        }
        Ok(Self { name: name.to_owned(), provider, names, keys, from, until })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counts_at(&self, provider: &ProviderId) -> bool {
        self.provider.as_ref().is_none_or(|own| own == provider)
    }

    pub(super) fn may_sign(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|pattern| matches(pattern, name))
    }

    pub(super) fn verify(&self, jws: &str) -> Result<Jws, TokenFault> {
        verify_jws(jws, &self.keys, &ALGORITHMS)
    }

    /// From when until when its certificate is good, unix seconds; none of a bare key.
    pub(super) fn life(&self) -> (Option<i64>, Option<i64>) {
        (self.from, self.until)
    }
}

fn seconds(time: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(since.days) * 86_400 + i64::from(since.secs))
}

/// The public members of a key as a JWK; none for a key that signs no reference values.
pub fn public_jwk(key: &PKeyRef<Public>) -> Option<Value> {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key.id() {
        Id::RSA if (2_048..=4_096).contains(&key.bits()) => {
            let rsa = key.rsa().ok()?;
            Some(json!({"kty": "RSA", "n": b64(&rsa.n().to_vec()), "e": b64(&rsa.e().to_vec())}))
        }
        Id::EC => {
            let key = key.ec_key().ok()?;
            let (curve, size) = match key.group().curve_name()? {
                Nid::X9_62_PRIME256V1 => ("P-256", 32),
                Nid::SECP384R1 => ("P-384", 48),
                _ => return None,
            };
            let mut context = BigNumContext::new().ok()?;
            let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
            key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context).ok()?;
            let (x, y) = (x.to_vec_padded(size).ok()?, y.to_vec_padded(size).ok()?);
            Some(json!({"kty": "EC", "crv": curve, "x": b64(&x), "y": b64(&y)}))
        }
        Id::ED25519 => Some(json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&key.raw_public_key().ok()?)})),
        _ => None,
    }
}

/// The RFC 7638 thumbprint of [`public_jwk`], base64url: the `kid` of the signer.
pub fn thumbprint(jwk: &Value) -> String {
    URL_SAFE_NO_PAD.encode(sha256(keygate_policies::canonical::text(jwk).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::rsa::Rsa;

    fn pem(key: &PKey<openssl::pkey::Private>) -> Vec<u8> {
        key.public_key_to_pem().unwrap()
    }

    fn ec(curve: Nid) -> PKey<openssl::pkey::Private> {
        PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(curve).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_signer_is_one_public_key_of_a_type_that_signs() {
        let read = |pem: &[u8]| ReferenceSigner::read("ci", None, Vec::new(), pem);
        let good = [
            ec(Nid::X9_62_PRIME256V1),
            ec(Nid::SECP384R1),
            PKey::generate_ed25519().unwrap(),
            PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap(),
        ];
        for key in &good {
            assert!(read(&pem(key)).is_ok(), "{:?}", key.id());
            let why = read(&key.private_key_to_pem_pkcs8().unwrap()).unwrap_err();
            assert!(why.inner.contains("private"), "{}", why.inner);
        }
        for bad in
            [pem(&ec(Nid::SECP521R1)), pem(&PKey::from_rsa(Rsa::generate(1_024).unwrap()).unwrap()), b"x".to_vec()]
        {
            assert_eq!(read(&bad).unwrap_err().code, Code::ConfigInvalid);
        }
    }

    #[test]
    fn names_are_patterns_and_a_provider_is_exact() {
        let key = pem(&ec(Nid::X9_62_PRIME256V1));
        let provider = ProviderId::parse("blue").unwrap();
        let signer = ReferenceSigner::read("ci", Some(provider.clone()), vec!["fleet-*".into()], &key).unwrap();
        assert!(signer.may_sign("fleet-a") && !signer.may_sign("fleet") && !signer.may_sign("my-fleet-a"));
        assert!(signer.counts_at(&provider) && !signer.counts_at(&ProviderId::parse("red").unwrap()));
        let any = ReferenceSigner::read("ci", None, Vec::new(), &key).unwrap();
        assert!(any.may_sign("x") && any.counts_at(&provider));
    }
}
