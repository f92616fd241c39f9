//! A vault in Key Vault's dialect: keys that were brought there, a verifier whose tokens count, and what clients ask.
//!
//! `keyvault-api.md` sections 2 and 3; `secure-key-release.md` sections 3 and 4; `performance-floor.md` section 8 (T17, T19 to T21). The
//! keys come from here, so that every answer can be opened or checked. A machine keeps its recipient's key; tokens, nonces and inputs
//! are fresh for each request.

mod answer;
mod verifier;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumRef};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use serde_json::{Value, json};

use crate::Fallible;
use crate::crypto::{KeyWrap, oaep_open, oaep_seal, rs256_holds, rsa_public};
use crate::scenario::Scenario;
use crate::server::Keygate;
use crate::shot::{Shot, made};
use crate::wire::Door;

pub use verifier::{ISSUER, Verifier};

/// The version of the dialect that is spoken.
const VERSION: &str = "api-version=7.4";
/// How released keys are sealed.
const ENC: &str = "RSA_AES_KEY_WRAP_256";
/// Machines that ask for releases, each with a key of its own.
const WORKLOADS: usize = 8;
/// The key that is released, and those that are used in the clear by a role.
const RELEASED: &str = "load-kv-released";
const RSA: &str = "load-kv-rsa";
const EC: &str = "load-kv-ec";
const OCT: &str = "load-kv-oct";

/// What is asked of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A release to a token of the verifier.
    Release,
    /// `wrapkey`.
    Wrap(Cipher),
    /// `unwrapkey`.
    Unwrap(Cipher),
    /// `sign` with RS256.
    SignRs256,
    /// `sign` with ES256.
    SignEs256,
}

/// With what keys are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// `RSA-OAEP-256`, 2048 bits.
    Rsa,
    /// `A256KW`.
    Aes,
}

/// A machine: its recipient's key.
struct Workload {
    key: PKey<Private>,
    /// The public JWK as its tokens name it.
    jwk: Value,
}

/// A vault and everybody who has to do with it.
pub struct Vault<'a> {
    verifier: &'a Verifier,
    workloads: Vec<Arc<Workload>>,
    released: [u8; 32],
    rsa: PKey<Private>,
    rsa_public: PKey<Public>,
    ec: EcKey<Private>,
    oct: [u8; 32],
    user: Arc<str>,
    ca: X509,
    host: Arc<str>,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn random<const N: usize>() -> Fallible<[u8; N]> {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(bytes)
}

fn number(n: &BigNumRef) -> Value {
    json!(b64(&n.to_vec()))
}

impl Workload {
    fn new(name: &str) -> Fallible<Self> {
        let key = Rsa::generate(2048)?;
        let jwk =
            json!({"kty": "RSA", "kid": name, "key_ops": ["encrypt"], "n": number(key.n()), "e": number(key.e())});
        Ok(Self { key: PKey::from_rsa(key)?, jwk })
    }
}

impl<'a> Vault<'a> {
    /// Makes the keys and brings them to a server that believes `verifier`.
    pub async fn open(keygate: &Keygate, door: &Door, ca_pem: &[u8], verifier: &'a Verifier) -> Fallible<Self> {
        let officer = keygate.create_credential("load-officer", &["key-officer", "rule-officer"])?;
        let user = keygate.create_credential("load-user", &["key-user"])?;
        let vault = Self::new(verifier, &user, X509::from_pem(ca_pem)?, &door.host)?;
        for (name, body) in vault.imports()? {
            door.put(&format!("/keys/{name}?{VERSION}"), &officer, body.to_string()).await?;
        }
        Ok(vault)
    }

    /// With new keys, which nobody has yet.
    fn new(verifier: &'a Verifier, user: &str, ca: X509, host: &Arc<str>) -> Fallible<Self> {
        let rsa = Rsa::generate(2048)?;
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let workload = |n| Ok(Arc::new(Workload::new(&format!("machine-{n}"))?));
        Ok(Self {
            verifier,
            workloads: (0..WORKLOADS).map(workload).collect::<Fallible<_>>()?,
            released: random()?,
            rsa_public: rsa_public(rsa.n(), rsa.e())?,
            rsa: PKey::from_rsa(rsa)?,
            ec: EcKey::generate(&group)?,
            oct: random()?,
            user: user.into(),
            ca,
            host: Arc::clone(host),
        })
    }

    /// The keys as `import` takes them.
    fn imports(&self) -> Fallible<[(&'static str, Value); 4]> {
        let rsa = self.rsa.rsa()?;
        let part = |n: Option<&BigNumRef>| n.map(number).ok_or("an RSA key without its primes");
        let mut context = openssl::bn::BigNumContext::new()?;
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        self.ec.public_key().affine_coordinates(self.ec.group(), &mut x, &mut y, &mut context)?;
        let wide = |n: &BigNumRef| Fallible::Ok(json!(b64(&n.to_vec_padded(32)?)));
        let policy = json!({"data": b64(self.verifier.rule().as_bytes())});
        Ok([
            (
                RELEASED,
                json!({
                    "key": {"kty": "oct-HSM", "k": b64(&self.released)},
                    "attributes": {"exportable": true}, "release_policy": policy,
                }),
            ),
            (
                RSA,
                json!({"key": {
                    "kty": "RSA", "n": number(rsa.n()), "e": number(rsa.e()), "d": number(rsa.d()),
                    "p": part(rsa.p())?, "q": part(rsa.q())?, "dp": part(rsa.dmp1())?, "dq": part(rsa.dmq1())?,
                    "qi": part(rsa.iqmp())?,
                }}),
            ),
            (
                EC,
                json!({"key": {
                    "kty": "EC", "crv": "P-256", "x": wide(&x)?, "y": wide(&y)?, "d": wide(self.ec.private_key())?,
                }}),
            ),
            (OCT, json!({"key": {"kty": "oct", "k": b64(&self.oct)}})),
        ])
    }

    /// `count` requests of a scenario.
    pub fn shots(&self, ask: Ask, count: usize) -> Fallible<Vec<Shot>> {
        made(count, || match ask {
            Ask::Release => self.release(),
            Ask::Wrap(cipher) => self.wrap(cipher),
            Ask::Unwrap(cipher) => self.unwrap(cipher),
            Ask::SignRs256 => self.sign_rs256(),
            Ask::SignEs256 => self.sign_es256(),
        })
    }

    fn release(&self) -> Fallible<Shot> {
        let [pick, nonce @ ..] = random::<17>()?;
        let workload = &self.workloads[usize::from(pick) % self.workloads.len()];
        let nonce = b64(&nonce);
        let body = json!({"target": self.verifier.token(&workload.jwk)?, "nonce": nonce, "enc": ENC});
        let expect = answer::Expect {
            ca: self.ca.clone(),
            host: Arc::clone(&self.host),
            key: RELEASED,
            nonce,
            workload: Arc::clone(workload),
            secret: self.released,
        };
        let shot = Shot::served(path(RELEASED, "release"), body.to_string().into_bytes()).by(&self.user);
        Ok(shot.checked(move |body| expect.met_by(body)))
    }

    fn wrap(&self, cipher: Cipher) -> Fallible<Shot> {
        let plain = random::<32>()?;
        match cipher {
            Cipher::Rsa => {
                let key = self.rsa.clone();
                Ok(self.used(RSA, "wrapkey", "RSA-OAEP-256", &plain, move |value| match oaep_open(&key, value) {
                    Ok(opened) => opened == plain,
                    Err(_) => false,
                }))
            }
            Cipher::Aes => {
                let wrapped = KeyWrap::Blocks.seal(&self.oct, &plain)?;
                Ok(self.used(OCT, "wrapkey", "A256KW", &plain, move |value| value == wrapped))
            }
        }
    }

    fn unwrap(&self, cipher: Cipher) -> Fallible<Shot> {
        let plain = random::<32>()?;
        let (key, alg, wrapped) = match cipher {
            Cipher::Rsa => (RSA, "RSA-OAEP-256", oaep_seal(&self.rsa_public, &plain)?),
            Cipher::Aes => (OCT, "A256KW", KeyWrap::Blocks.seal(&self.oct, &plain)?),
        };
        Ok(self.used(key, "unwrapkey", alg, &wrapped, move |value| value == plain))
    }

    fn sign_rs256(&self) -> Fallible<Shot> {
        let (digest, key) = (random::<32>()?, self.rsa_public.clone());
        Ok(self.used(RSA, "sign", "RS256", &digest, move |value| rs256_holds(&key, &digest, value)))
    }

    fn sign_es256(&self) -> Fallible<Shot> {
        let digest = random::<32>()?;
        let key = EcKey::from_public_key(self.ec.group(), self.ec.public_key())?;
        Ok(self.used(EC, "sign", "ES256", &digest, move |value| es256_holds(&key, &digest, value)))
    }

    /// A use of a key by the role, and what its value must be.
    fn used(
        &self,
        key: &'static str,
        verb: &str,
        alg: &str,
        value: &[u8],
        holds: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Shot {
        let body = json!({"alg": alg, "value": b64(value)}).to_string();
        Shot::served(path(key, verb), body.into_bytes()).by(&self.user).checked(move |body| {
            let told: Value = serde_json::from_slice(body)?;
            let named = told["kid"].as_str().is_some_and(|kid| kid.contains(&format!("/keys/{key}/")));
            let value = URL_SAFE_NO_PAD.decode(told["value"].as_str().ok_or("the answer holds no value")?)?;
            match named && holds(&value) {
                true => Ok(()),
                false => Err(format!("the value of `{key}` is not what was asked for").into()),
            }
        })
    }
}

fn path(key: &str, verb: &str) -> String {
    format!("/keys/{key}//{verb}?{VERSION}")
}

fn es256_holds(key: &EcKey<Public>, digest: &[u8; 32], signature: &[u8]) -> bool {
    let check = || {
        let (r, s) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32)?;
        let (r, s) = (BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?);
        EcdsaSig::from_private_components(r, s).ok()?.verify(digest, key).ok()
    };
    check() == Some(true)
}

/// What a scenario asks of a vault, where it does.
pub fn asked_by(scenario: Scenario) -> Option<Ask> {
    match scenario {
        Scenario::KvRelease => Some(Ask::Release),
        Scenario::KvWrapRsa => Some(Ask::Wrap(Cipher::Rsa)),
        Scenario::KvWrapAes => Some(Ask::Wrap(Cipher::Aes)),
        Scenario::KvUnwrapRsa => Some(Ask::Unwrap(Cipher::Rsa)),
        Scenario::KvUnwrapAes => Some(Ask::Unwrap(Cipher::Aes)),
        Scenario::KvSignRs256 => Some(Ask::SignRs256),
        Scenario::KvSignEs256 => Some(Ask::SignEs256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::answer::forged;
    use super::*;
    use crate::crypto::rs256_sign;

    /// The value that the vault's keys give for what a request asks.
    fn value_of(vault: &Vault<'_>, ask: Ask, asked: &Value) -> Vec<u8> {
        let input = URL_SAFE_NO_PAD.decode(asked["value"].as_str().unwrap()).unwrap();
        let digest = || input.clone().try_into().unwrap();
        match ask {
            Ask::Release => panic!("a release has no value"),
            Ask::Wrap(Cipher::Rsa) => oaep_seal(&vault.rsa_public, &input).unwrap(),
            Ask::Wrap(Cipher::Aes) => KeyWrap::Blocks.seal(&vault.oct, &input).unwrap(),
            Ask::Unwrap(Cipher::Rsa) => oaep_open(&vault.rsa, &input).unwrap(),
            Ask::Unwrap(Cipher::Aes) => KeyWrap::Blocks.open(&vault.oct, &input).unwrap(),
            Ask::SignRs256 => rs256_sign(&vault.rsa, &digest()).unwrap(),
            Ask::SignEs256 => {
                let signature = EcdsaSig::sign(&input, &vault.ec).unwrap();
                [signature.r().to_vec_padded(32).unwrap(), signature.s().to_vec_padded(32).unwrap()].concat()
            }
        }
    }

    #[test]
    fn values_are_looked_at() {
        let (verifier, authority) = (Verifier::new().unwrap(), forged::Authority::new());
        let vault = Vault::new(&verifier, "kg_user", authority.ca.clone(), &"localhost".into()).unwrap();
        for scenario in Scenario::ALL {
            let Some(ask) = asked_by(scenario).filter(|ask| *ask != Ask::Release) else { continue };
            let [one, two] = &vault.shots(ask, 2).unwrap()[..] else { panic!("two were asked for") };
            assert_ne!(one.body, two.body, "{ask:?}: every input is fresh");
            assert_eq!(one.bearer.as_deref(), Some("kg_user"));
            let asked: Value = serde_json::from_slice(&one.body).unwrap();
            let key = one.path.split('/').nth(2).unwrap();
            let answer = |key: &str, value: &[u8]| {
                json!({"kid": format!("https://localhost/keys/{key}/1"), "value": b64(value)}).to_string().into_bytes()
            };
            let right = value_of(&vault, ask, &asked);
            let (first, second) = (one.check.as_ref().unwrap(), two.check.as_ref().unwrap());
            first(&answer(key, &right)).unwrap();
            assert!(second(&answer(key, &right)).is_err(), "{ask:?}: of another request");
            assert!(first(&answer("another", &right)).is_err(), "{ask:?}: by another key");
            let mut changed = right.clone();
            changed[0] ^= 1;
            assert!(first(&answer(key, &changed)).is_err(), "{ask:?}: changed");
            assert!(first(&answer(key, &right[1..])).is_err(), "{ask:?}: too short");
            assert!(first(b"{}").is_err());
        }
    }

    #[test]
    fn a_release_is_opened() {
        let (verifier, authority) = (Verifier::new().unwrap(), forged::Authority::new());
        let vault = Vault::new(&verifier, "kg_user", authority.ca.clone(), &"localhost".into()).unwrap();
        let shot = vault.release().unwrap();
        let asked: Value = serde_json::from_slice(&shot.body).unwrap();
        let token = asked["target"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let recipient = claims["x-ms-runtime"]["keys"][0].clone();
        assert!(vault.workloads.iter().any(|workload| workload.jwk == recipient));

        let check = shot.check.unwrap();
        let sound =
            forged::Release { nonce: asked["nonce"].clone(), ..forged::Release::of(&recipient, &vault.released) };
        check(&authority.answer(&sound)).unwrap();
        let refused = |what: &str, release: forged::Release| {
            assert!(check(&authority.answer(&release)).is_err(), "{what}");
        };
        refused("nonce", forged::Release { nonce: json!("another"), ..sound.clone() });
        refused("enc", forged::Release { enc: "CKM_RSA_AES_KEY_WRAP", ..sound.clone() });
        refused("sealed otherwise", forged::Release { sealed_as: "CKM_RSA_AES_KEY_WRAP", ..sound.clone() });
        refused("key asked for", forged::Release { asked: "another", ..sound.clone() });
        refused("key given", forged::Release { given: "another", ..sound.clone() });
        refused("recipient", forged::Release { recipient: json!("machine-x"), ..sound.clone() });
        refused("secret", forged::Release { secret: [9; 32], ..sound.clone() });
        refused("algorithm", forged::Release { alg: "RS384", ..sound.clone() });
        refused("signature", forged::Release { is_signed: false, ..sound.clone() });
        refused("host", forged::Release { host: "elsewhere", ..sound.clone() });
        assert!(check(&forged::Authority::new().answer(&sound)).is_err(), "authority");
    }
}
