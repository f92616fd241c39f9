//! A secret that only one TPM gives back, and only while a named key is loaded in it: TPM2_MakeCredential, made outside of a TPM.
//!
//! Part 1, sections 24 (credential protection), 11.4.10 (KDFa, KDFe), annexes B.10.4 (RSA) and C.6.4 (ECC: the seed is agreed).
//! Nothing is drawn here: the random bytes are handed in, so that the same inputs give the same credential.

use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcKey, EcPoint};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Signer;
use openssl::symm::{Cipher, encrypt};

use super::public::{Key, PublicArea, Symmetric};
use crate::error::VerifyError;
use crate::formats::tcg::Bank;
use crate::signatures;

const PART: &str = "credential";
const ENDORSEMENT_KEY: &str = "endorsement-key";
/// Label of seeds that protect credentials, with its terminating zero.
const IDENTITY: &[u8] = b"IDENTITY\0";
/// Label of the key that hides the secret.
const STORAGE: &[u8] = b"STORAGE\0";
/// Label of the key that authenticates it.
const INTEGRITY: &[u8] = b"INTEGRITY\0";

/// Random bytes for one credential: 64 for the seed, 64 for the padding of RSA or the ephemeral key of ECC. Never used twice.
pub struct EndorsementRandomness<'a>(pub &'a [u8; 128]);

/// What goes to the machine; TPM2_ActivateCredential takes both and gives the secret back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// TPM2B_ID_OBJECT: the hidden secret and what authenticates it together with the key's name.
    pub blob: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET: the seed, for the endorsement key alone.
    pub encrypted_seed: Vec<u8>,
}

/// Hides `secret` so that only the TPM of this endorsement key gives it back, and only for the key with this name.
///
/// `secret` has at most as many bytes as a digest of the endorsement key's name algorithm: 32 for SHA-256.
///
/// # Errors
/// `chain-untrusted.endorsement-key`: the key is none by its attributes, or has no cipher for its children; `malformed.credential`: an empty or
/// too long secret, a name that is none; `unsupported.credential`: OpenSSL failed.
pub fn make_credential(
    endorsement_key: &PublicArea,
    name: &[u8],
    secret: &[u8],
    random: &EndorsementRandomness<'_>,
) -> Result<Credential, VerifyError> {
    let hash = endorsement_key.name_hash;
    let cipher = check_endorsement_key(endorsement_key)?;
    if secret.is_empty() || secret.len() > hash.size() {
        return Err(VerifyError::malformed(PART, format!("a secret has 1 to {} bytes", hash.size())));
    }
    if name.len() < 2 || name.len() > 66 {
        return Err(VerifyError::malformed(PART, "the name is no name of an object"));
    }
    let (first, second) = random.0.split_at(64);
    let sealed = match endorsement_key.key() {
        Key::Rsa { n, e } => seal_rsa((n, e), hash, first, second),
        Key::Ec { point, .. } => agree_ec(point, hash, second),
    };
    let failed = |_| VerifyError::unsupported(PART, "the credential could not be made");
    let (seed, encrypted_seed) = sealed.map_err(failed)?;
    let blob = protect(&seed, hash, cipher, name, secret).map_err(failed)?;
    Ok(Credential { blob: sized(&blob), encrypted_seed: sized(&encrypted_seed) })
}

/// A storage key that cannot leave its TPM and was made in it: the templates of the TCG EK Credential Profile, section B.
///
/// # Errors
/// `chain-untrusted.endorsement-key`, with what is missing.
fn check_endorsement_key(public: &PublicArea) -> Result<Cipher, VerifyError> {
    let has = public.attributes();
    let refused = |why| Err(VerifyError::chain(ENDORSEMENT_KEY, format!("the key is no endorsement key: {why}")));
    let wanted = [
        (has.restricted(), "it is not restricted"),
        (has.decrypt(), "it does not decrypt"),
        (!has.sign(), "it signs"),
        (has.fixed_tpm(), "it is not fixed to its tpm"),
        (has.fixed_parent(), "it is not fixed to its parent"),
        (has.sensitive_data_origin(), "its secret part was not made by the tpm"),
    ];
    if let Some((_, why)) = wanted.iter().find(|(holds, _)| !holds) {
        return refused(*why);
    }
    match public.symmetric {
        Symmetric::AesCfb(128) => Ok(Cipher::aes_128_cfb128()),
        Symmetric::AesCfb(256) => Ok(Cipher::aes_256_cfb128()),
        _ => refused("it has no cipher for what it protects"),
    }
}

impl PublicArea {
    /// Whether the key is an endorsement key by its attributes: restricted, decrypting, made in its TPM and fixed there.
    ///
    /// # Errors
    /// `chain-untrusted.endorsement-key`, with what is missing.
    pub fn check_endorsement_key(&self) -> Result<(), VerifyError> {
        check_endorsement_key(self).map(drop)
    }
}

type Sealed = Result<(Vec<u8>, Vec<u8>), ErrorStack>;

/// The seed is `random`, as long as a digest; it goes through RSAES-OAEP with the name algorithm and the label. Annex B.10.4.
fn seal_rsa((n, e): (&[u8], &[u8]), hash: Bank, random: &[u8], padding: &[u8]) -> Sealed {
    let key = Rsa::from_public_components(BigNum::from_slice(n)?, BigNum::from_slice(e)?)?;
    let seed = random.get(..hash.size()).unwrap_or(random);
    let padding = padding.get(..hash.size()).unwrap_or(padding);
    let encoded = oaep(seed, hash, padding, n.len());
    let mut sealed = vec![0; n.len()];
    key.public_encrypt(&encoded, &mut sealed, Padding::NONE)?;
    Ok((seed.to_vec(), sealed))
}

/// EME-OAEP with a seed that is handed in. RFC 8017 section 7.1.1, step 2.
fn oaep(message: &[u8], hash: Bank, seed: &[u8], size: usize) -> Vec<u8> {
    let mut data = hash.digest(&[IDENTITY]);
    let fixed = hash.size().saturating_mul(2).saturating_add(message.len()).saturating_add(2);
    data.resize(hash.size().saturating_add(size.saturating_sub(fixed)), 0);
    data.push(1);
    data.extend_from_slice(message);
    xor(&mut data, |length| mgf1(seed, hash, length));
    let mut masked_seed = seed.to_vec();
    xor(&mut masked_seed, |length| mgf1(&data, hash, length));
    [&[0][..], &masked_seed, &data].concat()
}

fn xor(bytes: &mut [u8], mask: impl FnOnce(usize) -> Vec<u8>) {
    let mask = mask(bytes.len());
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

/// RFC 8017 appendix B.2.1.
fn mgf1(seed: &[u8], hash: Bank, length: usize) -> Vec<u8> {
    let blocks = (0u32..).flat_map(|counter| hash.digest(&[seed, &counter.to_be_bytes()]));
    blocks.take(length).collect()
}

/// The seed is agreed between an ephemeral key and the endorsement key: KDFe over the x of their product. Annex C.6.4.
fn agree_ec(point: &[u8], hash: Bank, random: &[u8]) -> Sealed {
    let theirs = signatures::ec_key(point).ok_or_else(ErrorStack::get)?;
    let size = point.len().saturating_sub(1) / 2;
    let group = theirs.group();
    let mut context = BigNumContext::new()?;
    // FIPS 186-5 appendix A.2.1: 64 bits more than the order has, reduced to 1 ..= order - 1.
    let random = BigNum::from_slice(random.get(..size.saturating_add(8)).unwrap_or(random))?;
    let mut order = BigNum::new()?;
    group.order(&mut order, &mut context)?;
    order.sub_word(1)?;
    let mut scalar = BigNum::new()?;
    scalar.nnmod(&random, &order, &mut context)?;
    scalar.add_word(1)?;
    let mut ours = EcPoint::new(group)?;
    ours.mul_generator2(group, &scalar, &mut context)?;
    let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
    ours.affine_coordinates(group, &mut x, &mut y, &mut context)?;
    let width = i32::try_from(size).unwrap_or(i32::MAX);
    let (x, y) = (x.to_vec_padded(width)?, y.to_vec_padded(width)?);

    let private = PKey::from_ec_key(EcKey::from_private_components(group, &scalar, &ours)?)?;
    let theirs = PKey::from_ec_key(theirs)?;
    let mut deriver = Deriver::new(&private)?;
    deriver.set_peer(&theirs)?;
    let shared = deriver.derive_to_vec()?;
    let their_x = point.get(1..).and_then(|rest| rest.get(..size)).unwrap_or_default();
    let seed = hash.digest(&[&1u32.to_be_bytes(), &shared, IDENTITY, &x, their_x]);
    Ok((seed, [sized(&x), sized(&y)].concat()))
}

/// Section 24.4 to 24.6: hidden by AES-CFB, authenticated together with the name.
fn protect(seed: &[u8], hash: Bank, cipher: Cipher, name: &[u8], secret: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = kdfa(hash, seed, STORAGE, name, cipher.key_len())?;
    let hidden = encrypt(cipher, &key, Some(&[0; 16]), &sized(secret))?;
    let key = kdfa(hash, seed, INTEGRITY, &[], hash.size())?;
    let integrity = hmac(hash, &key, &[&hidden, name])?;
    Ok([sized(&integrity), hidden].concat())
}

/// KDFa: SP 800-108 in counter mode over HMAC. Section 11.4.10.2. `label` with its terminating zero, `length` in bytes.
fn kdfa(hash: Bank, key: &[u8], label: &[u8], context: &[u8], length: usize) -> Result<Vec<u8>, ErrorStack> {
    let bits = u32::try_from(length.saturating_mul(8)).unwrap_or(u32::MAX).to_be_bytes();
    let mut derived = Vec::new();
    for counter in 1u32.. {
        if derived.len() >= length {
            break;
        }
        derived.extend(hmac(hash, key, &[&counter.to_be_bytes(), label, context, &bits])?);
    }
    derived.truncate(length);
    Ok(derived)
}

fn hmac(hash: Bank, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, ErrorStack> {
    let digest = match hash {
        Bank::Sha1 => MessageDigest::sha1(),
        Bank::Sha256 => MessageDigest::sha256(),
        Bank::Sha384 => MessageDigest::sha384(),
        Bank::Sha512 => MessageDigest::sha512(),
    };
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(digest, &key)?;
    for part in parts {
        signer.update(part)?;
    }
    signer.sign_to_vec()
}

/// A TPM2B: two bytes of length in front. What is made here is far below 64 KiB.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}
