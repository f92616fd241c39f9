//! Names, lengths and credentials against real structures and another implementation.

use keygate_verifier::tpm::{Attest, Attested, ClockInfo, EndorsementRandomness, PublicArea, make_credential};
use openssl::md::Md;
use openssl::pkey::PKey;
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::symm::{Cipher, decrypt};

/// A file of the set's quotes; `None` where the set is absent.
fn vector(path: &str) -> Option<Vec<u8>> {
    crate::support::vectors_root()?;
    Some(crate::support::vector(&format!("evidence/tpm/{path}")))
}

#[test]
fn the_name_of_a_key_is_what_its_tpm_says() {
    let Some(area) = vector("tpm-swtpm-ecc/ak.tpm2b_public") else { return };
    let name = vector("tpm-swtpm-ecc/ak.name").unwrap();
    let public = PublicArea::parse(&area).unwrap();
    assert_eq!(public.name(), name);
    assert_eq!(PublicArea::parse(public.bytes()).unwrap(), public, "with and without its size");
    public.check_attestation_key().unwrap();
    assert!(public.check_endorsement_key().is_err());
    let ek = PublicArea::parse(&vector("tpm-swtpm-ecc/ek.tpm2b_public").unwrap()).unwrap();
    ek.check_endorsement_key().unwrap();
    assert_eq!(ek.check_attestation_key().unwrap_err().full_code(), "chain-untrusted.attestation-key");
    let windows = PublicArea::parse(&vector("tpm-gcp-windows-sha1/ak.tpmt_public").unwrap()).unwrap();
    assert_eq!(hex::encode(windows.name()), "000b4ce9b151f75089d74c15dabe9d520cffafbcafd5d43be0aad2e2d88d54717e2e");
    windows.check_attestation_key().unwrap();
}

/// Whether bytes are read.
type Reads = fn(&[u8]) -> bool;

#[test]
fn tpm_13_every_truncation_and_every_byte_more_is_refused() {
    let Some(message) = vector("tpm-swtpm-ecc/quote.msg") else { return };
    let attest = Attest::parse(&message).unwrap();
    assert_eq!(attest.clock, ClockInfo { clock: 2190, reset_count: 2, restart_count: 0, safe: true });
    assert_eq!(attest.firmware_version, 0x2019_1023_0016_3636);
    let Attested::Quote { selection, digest } = &attest.attested else { panic!("a quote") };
    assert_eq!(selection.banks().collect::<Vec<_>>(), [("sha256", vec![0, 1, 2, 3, 4, 5, 6, 7, 16, 23])]);
    assert_eq!(digest.len(), 32);
    let parsers: [(&str, Reads); 4] = [
        ("tpm-swtpm-ecc/quote.msg", |bytes| Attest::parse(bytes).is_ok()),
        ("tpm-swtpm-ecc/ak.tpm2b_public", |bytes| PublicArea::parse(bytes).is_ok()),
        ("tpm-swtpm-ecc/ek.tpm2b_public", |bytes| PublicArea::parse(bytes).is_ok()),
        ("tpm-gcp-windows-sha1/ak.tpmt_public", |bytes| PublicArea::parse(bytes).is_ok()),
    ];
    for (file, parses) in parsers {
        let bytes = vector(file).unwrap();
        assert!(parses(&bytes), "{file}");
        assert!((0..bytes.len()).all(|length| !parses(&bytes[..length])), "{file}: a truncation parses");
        assert!(!parses(&[bytes.as_slice(), &[0]].concat()), "{file}: a byte more parses");
    }
}

/// A TPMT_PUBLIC of an endorsement key by the TCG's template L-1 for this modulus.
fn endorsement_area(n: &[u8]) -> Vec<u8> {
    let mut area = vec![0, 1, 0, 0x0b, 0, 3, 0, 0xb2, 0, 32];
    area.extend([0x83; 32]);
    area.extend([0, 6, 0, 128, 0, 0x43, 0, 0x10, 8, 0, 0, 0, 0, 0, 1, 0]);
    area.extend_from_slice(n);
    area
}

#[test]
fn a_credential_is_what_its_key_opens_by_another_implementation() {
    let private = Rsa::generate(2048).unwrap();
    let ek = PublicArea::parse(&endorsement_area(&private.n().to_vec())).unwrap();
    let name = [&[0, 0x0b][..], &[9; 32]].concat();
    let random: [u8; 128] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let secret = [0x5a; 32];
    let made = make_credential(&ek, &name, &secret, &EndorsementRandomness(&random)).unwrap();
    assert_eq!((made.encrypted_seed.len(), made.blob.len()), (2 + 256, 2 + 0x44));

    // The seed, by OpenSSL's own OAEP.
    let key = PKey::from_rsa(private).unwrap();
    let mut context = PkeyCtx::new(&key).unwrap();
    context.decrypt_init().unwrap();
    context.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    context.set_rsa_oaep_md(Md::sha256()).unwrap();
    context.set_rsa_mgf1_md(Md::sha256()).unwrap();
    context.set_rsa_oaep_label(b"IDENTITY\0").unwrap();
    let mut seed = Vec::new();
    context.decrypt_to_vec(&made.encrypted_seed[2..], &mut seed).unwrap();
    assert_eq!(seed, random[..32]);

    // The cipher's key: SP 800-108 written out.
    let mac = |key: &[u8], parts: &[&[u8]]| {
        let key = PKey::hmac(key).unwrap();
        let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key).unwrap();
        parts.iter().for_each(|part| signer.update(part).unwrap());
        signer.sign_to_vec().unwrap()
    };
    let (integrity, hidden) = made.blob[4..].split_at(32);
    let cipher_key = mac(&seed, &[&[0, 0, 0, 1], b"STORAGE\0", &name, &[0, 0, 0, 128]]);
    let opened = decrypt(Cipher::aes_128_cfb128(), &cipher_key[..16], Some(&[0; 16]), hidden).unwrap();
    assert_eq!(opened, [&[0, 32][..], &secret].concat());
    let mac_key = mac(&seed, &[&[0, 0, 0, 1], b"INTEGRITY\0", &[0, 0, 1, 0]]);
    assert_eq!(mac(&mac_key, &[hidden, &name]), integrity);

    // For another name the same bytes are authenticated otherwise.
    let other = make_credential(&ek, &[&[0, 0x0b][..], &[8; 32]].concat(), &secret, &EndorsementRandomness(&random));
    assert_ne!(other.unwrap().blob, made.blob);
    let code =
        |secret: &[u8]| make_credential(&ek, &name, secret, &EndorsementRandomness(&random)).unwrap_err().full_code();
    assert_eq!(code(&[]), "malformed.credential");
    assert_eq!(code(&[0; 33]), "malformed.credential");
}

#[test]
fn a_credential_of_the_set_has_the_same_layout() {
    let Some(file) = vector("tpm-swtpm-ecc/cred.blob") else { return };
    let ek = PublicArea::parse(&vector("tpm-swtpm-ecc/ek.tpm2b_public").unwrap()).unwrap();
    let name = vector("tpm-swtpm-ecc/ak.name").unwrap();
    let secret = vector("tpm-swtpm-ecc/cred.secret").unwrap();
    let made = make_credential(&ek, &name, &secret, &EndorsementRandomness(&[7; 128])).unwrap();
    // The tool's header, eight bytes, then both structures.
    let sizes = |bytes: &[u8]| (bytes.len(), bytes[..2].to_vec(), bytes[0x46..0x48].to_vec());
    assert_eq!(sizes(&[made.blob, made.encrypted_seed].concat()), sizes(&file[8..]));
}
