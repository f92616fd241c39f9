//! `keygate reference sign`: a document of reference values becomes a compact JWS. `docs/reference-values.md`; RFC 7515, RFC 7518,
//! RFC 8037. The key stays where it is: it belongs to whoever vouches for the values, and to no service.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::output::Output;
use super::references::{ReferenceFile, read};
use crate::broker::reference::{TYPE, public_jwk, thumbprint};

/// Arguments of `keygate reference sign`.
#[derive(Debug, Clone, Args)]
pub struct SignArgs {
    /// The signer's private key, PEM without a pass phrase: RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The document, `-` for standard input.
    #[arg(long = "in", value_name = "FILE|-")]
    input: PathBuf,
    /// Where the JWS goes: a new file, or `-` for standard output.
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    out: PathBuf,
}

/// Runs `keygate reference sign`.
pub fn run(args: &SignArgs, output: &Output) -> Result<Exit, Failure> {
    let document = ReferenceFile::read(&args.input)?.parsed(output)?;
    let name = args.key.display();
    let help = "name a private key in PEM, made for example by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
    let pem = zeroize::Zeroizing::new(read(&args.key, 64 * 1_024, help)?);
    // A pass phrase is never asked for.
    let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0))
        .map_err(|_| Failure::usage(format!("`{name}` holds no private key that can be read"), help))?;
    let jws = signed(&key, &document.canonical_text()).ok_or_else(|| {
        Failure::usage(
            format!("the key in `{name}` signs no reference values"),
            "take a key of RSA with 2048 to 4096 bits, P-256, P-384 or Ed25519",
        )
    })?;
    write(&args.out, &jws)?;
    if args.out != Path::new("-") {
        output.object(&json!({
            "name": document.name(), "serial": document.serial(), "expires": document.expires(),
            "written": args.out.display().to_string(),
        }));
    }
    Ok(Exit::Done)
}

fn write(out: &Path, jws: &str) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| {
        Failure::usage(
            format!("cannot write `{}`: {e}", out.display()),
            "name a new file in a folder that can be written",
        )
    };
    if out == Path::new("-") {
        return writeln!(std::io::stdout().lock(), "{jws}").map_err(cannot);
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(out).map_err(cannot)?;
    writeln!(file, "{jws}").map_err(cannot)
}

/// A compact JWS over a payload; none for a key of another type.
pub(super) fn signed(key: &PKey<Private>, payload: &str) -> Option<String> {
    let public = PKey::public_key_from_der(&key.public_key_to_der().ok()?).ok()?;
    let jwk = public_jwk(&public)?;
    let alg = match (key.id(), jwk.get("crv").and_then(Value::as_str)) {
        (Id::RSA, _) => "PS256",
        (Id::EC, Some("P-256")) => "ES256",
        (Id::EC, _) => "ES384",
        _ => "EdDSA",
    };
    let header = json!({"alg": alg, "typ": TYPE, "kid": thumbprint(&jwk)});
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = signature(key, alg, text.as_bytes()).ok()?;
    Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn signature(key: &PKey<Private>, alg: &str, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let (digest, size) = match alg {
        "EdDSA" => return Signer::new_without_digest(key)?.sign_oneshot_to_vec(message),
        "ES384" => (MessageDigest::sha384(), 48),
        _ => (MessageDigest::sha256(), 32),
    };
    let mut signer = Signer::new(digest, key)?;
    if alg == "PS256" {
        signer.set_rsa_padding(Padding::PKCS1_PSS)?;
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        signer.set_rsa_mgf1_md(digest)?;
        return signer.sign_oneshot_to_vec(message);
    }
    let both = EcdsaSig::from_der(&signer.sign_oneshot_to_vec(message)?)?;
    let (r, s) = (both.r().to_vec_padded(size)?, both.s().to_vec_padded(size)?);
    Ok([r, s].concat())
}

#[cfg(test)]
mod tests {
    use keygate_verifier::tokens::{KeySet, verify_jws};
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::rsa::Rsa;

    use super::*;
    use crate::broker::reference::ALGORITHMS;

    #[test]
    fn what_each_type_of_key_signs_is_good_under_that_key_and_no_other() {
        let ec =
            |curve| PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(curve).unwrap()).unwrap()).unwrap();
        let keys = [
            ("ES256", ec(Nid::X9_62_PRIME256V1)),
            ("ES384", ec(Nid::SECP384R1)),
            ("EdDSA", PKey::generate_ed25519().unwrap()),
            ("PS256", PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap()),
        ];
        let sets = keys.each_ref().map(|(_, key)| {
            let public = PKey::public_key_from_der(&key.public_key_to_der().unwrap()).unwrap();
            let mut jwk = public_jwk(&public).unwrap();
            jwk["kid"] = json!(thumbprint(&jwk));
            KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap()
        });
        for (n, (alg, key)) in keys.iter().enumerate() {
            let jws = signed(key, "{}").unwrap();
            for (m, set) in sets.iter().enumerate() {
                match verify_jws(&jws, set, &ALGORITHMS) {
                    Ok(read) => assert_eq!((n, read.header["alg"].as_str()), (m, Some(*alg))),
                    Err(why) => assert_ne!(n, m, "{alg}: {why}"),
                }
            }
        }
        assert!(signed(&ec(Nid::SECP521R1), "{}").is_none());
        assert!(signed(&PKey::from_rsa(Rsa::generate(1_024).unwrap()).unwrap(), "{}").is_none());
    }
}
