//! What the keys cost: the floor that no design can leave out, and beside it what we do.
//!
//! `performance-floor.md` sections 4 and 8. Read a figure as the ratio to the `floor/` line of the
//! same run, never alone.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use keygate_keystore::operations::raw::{self, RawCiphertext, RawPlaintext, Rsa15};
use keygate_keystore::primitives::hash::Hash;
use keygate_keystore::primitives::{gcm, key_wrap, oaep};
use keygate_keystore::{KeyMaterial, KeyType, Recipient, RecipientPrivate, VersionId, Wrapping, operations, wrap};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;

fn rsa_key(material: &KeyMaterial) -> PKey<Private> {
    let rsa = Rsa::private_key_from_der(&material.sealed_form()).unwrap();
    PKey::from_rsa(rsa).unwrap()
}

fn floor(c: &mut Criterion) {
    let material = KeyMaterial::generate(KeyType::Rsa2048).unwrap();
    let kept = rsa_key(&material);
    let rsa = kept.rsa().unwrap();
    let (n, e) = (rsa.n().to_vec(), rsa.e().to_vec());
    let ciphertext = oaep::encrypt(&oaep::public_key(&n, &e).unwrap(), Hash::Sha256, &[7; 32]).unwrap();
    let mut group = c.benchmark_group("floor");
    group.bench_function("oaep_2048", |b| {
        b.iter(|| oaep::encrypt(&oaep::public_key(&n, &e).unwrap(), Hash::Sha256, black_box(&[7; 32])).unwrap());
    });
    group.bench_function("rsa2048_private_kept", |b| {
        b.iter(|| oaep::decrypt(&kept, Hash::Sha256, black_box(&ciphertext)).unwrap());
    });
    group.bench_function("rsa2048_private_fresh", |b| {
        let der = material.sealed_form();
        b.iter(|| {
            let rsa = Rsa::private_key_from_der(black_box(&der)).unwrap();
            oaep::decrypt(&PKey::from_rsa(rsa).unwrap(), Hash::Sha256, &ciphertext).unwrap()
        });
    });
    group.bench_function("gcm_32", |b| {
        b.iter(|| gcm::seal(black_box(&[7; 32]), &[0; 12], &[], &[7; 32]).unwrap());
    });
    group.bench_function("kwp_32", |b| {
        let padding = key_wrap::Padding::Kwp;
        b.iter(|| key_wrap::wrap(black_box(&[7; 32]), padding, &[7; 32]).unwrap());
    });
    group.finish();
}

/// From the sealed form of the target, as the store opens it, to the sealed answer.
fn release(c: &mut Criterion) {
    let recipients = [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::EcP256]
        .map(|key_type| (key_type, RecipientPrivate::generate(key_type).unwrap()));
    let mut group = c.benchmark_group("release");
    for target in [KeyType::Oct256, KeyType::EcP256, KeyType::Rsa2048] {
        let sealed = KeyMaterial::generate(target).unwrap().sealed_form();
        for (key_type, private) in &recipients {
            let recipient: &Recipient = private.recipient();
            for wrapping in Wrapping::ALL {
                if wrapping != Wrapping::Jwe && key_type.rsa_bits().is_none() {
                    continue;
                }
                let name = format!("{}_{}/to_{}", wrapping.as_str(), target.as_str(), key_type.as_str());
                group.bench_function(name, |b| {
                    b.iter(|| {
                        let key = KeyMaterial::from_sealed_form(target, black_box(&sealed)).unwrap();
                        let out = key.handed_out_form().unwrap();
                        wrap(recipient, wrapping, &out, key.content_type()).unwrap()
                    });
                });
            }
        }
    }
    group.finish();
}

const ENCRYPTION: [(&str, KeyType); 6] = [
    ("A256GCM", KeyType::Oct256),
    ("A256KW", KeyType::Oct256),
    ("A256KWP", KeyType::Oct256),
    ("RSA-OAEP-256", KeyType::Rsa2048),
    ("RSA-OAEP-256", KeyType::Rsa3072),
    ("RSA-OAEP-256", KeyType::Rsa4096),
];

fn data_wrap(c: &mut Criterion) {
    let version = VersionId::from_bytes([7; 16]);
    for (alg, key_type) in ENCRYPTION {
        let sealed = KeyMaterial::generate(key_type).unwrap().sealed_form();
        let open = || KeyMaterial::from_sealed_form(key_type, &sealed).unwrap();
        let ciphertext = operations::wrap(&open(), &version, alg, &[7; 32], &[]).unwrap();
        let name = format!("{alg}/{}", key_type.as_str());
        c.bench_function(&format!("wrap/{name}"), |b| {
            b.iter(|| operations::wrap(&open(), &version, alg, black_box(&[7; 32]), &[]).unwrap());
        });
        c.bench_function(&format!("unwrap/{name}"), |b| {
            b.iter(|| operations::unwrap(&open(), alg, black_box(&ciphertext), &[]).unwrap());
        });
    }
}

fn sign(c: &mut Criterion) {
    for (alg, key_type, length) in [
        ("ES256", KeyType::EcP256, 32),
        ("ES384", KeyType::EcP384, 48),
        ("ES512", KeyType::EcP521, 64),
        ("RS256", KeyType::Rsa2048, 32),
        ("PS256", KeyType::Rsa2048, 32),
        ("RS256", KeyType::Rsa3072, 32),
    ] {
        let sealed = KeyMaterial::generate(key_type).unwrap().sealed_form();
        let digest = vec![7; length];
        c.bench_function(&format!("sign/{alg}/{}", key_type.as_str()), |b| {
            b.iter(|| {
                let key = KeyMaterial::from_sealed_form(key_type, &sealed).unwrap();
                operations::sign(&key, alg, black_box(&digest)).unwrap()
            });
        });
    }
}

const RAW: [(&str, KeyType); 11] = [
    ("A256GCM", KeyType::Oct256),
    ("A256CBC", KeyType::Oct256),
    ("A256CBCPAD", KeyType::Oct256),
    ("A256KW", KeyType::Oct256),
    ("CKM_AES_KEY_WRAP_PAD", KeyType::Oct256),
    ("RSA-OAEP", KeyType::Rsa2048),
    ("RSA-OAEP-256", KeyType::Rsa2048),
    ("RSA1_5", KeyType::Rsa2048),
    ("RSA-OAEP", KeyType::Rsa3072),
    ("RSA-OAEP", KeyType::Rsa4096),
    ("RSA1_5", KeyType::Rsa4096),
];

fn raw_data(c: &mut Criterion) {
    for (alg, key_type) in RAW {
        let sealed = KeyMaterial::generate(key_type).unwrap().sealed_form();
        let open = || KeyMaterial::from_sealed_form(key_type, &sealed).unwrap();
        let plaintext = RawPlaintext {
            alg: alg.to_owned(),
            plaintext: vec![7; 32].into(),
            iv: alg.contains("CBC").then(|| vec![7; 16]),
            aad: Vec::new(),
            rsa1_5: Rsa15::Served,
        };
        let parts = raw::encrypt(&open(), &plaintext).unwrap();
        let ciphertext = RawCiphertext {
            alg: alg.to_owned(),
            ciphertext: parts.ciphertext,
            iv: parts.iv,
            tag: parts.tag,
            aad: Vec::new(),
            rsa1_5: Rsa15::Served,
        };
        let name = format!("{alg}/{}", key_type.as_str());
        c.bench_function(&format!("raw_encrypt/{name}"), |b| {
            b.iter(|| raw::encrypt(&open(), black_box(&plaintext)).unwrap());
        });
        c.bench_function(&format!("raw_decrypt/{name}"), |b| {
            b.iter(|| raw::decrypt(&open(), black_box(&ciphertext)).unwrap());
        });
    }
}

fn raw_sign(c: &mut Criterion) {
    for (alg, key_type) in [
        ("ES256", KeyType::EcP256),
        ("ES256K", KeyType::EcP256K),
        ("RS256", KeyType::Rsa2048),
        ("PS256", KeyType::Rsa2048),
        ("HS256", KeyType::Oct256),
    ] {
        let sealed = KeyMaterial::generate(key_type).unwrap().sealed_form();
        let open = || KeyMaterial::from_sealed_form(key_type, &sealed).unwrap();
        let signature = raw::sign(&open(), alg, &[7; 32]).unwrap();
        c.bench_function(&format!("raw_sign/{alg}/{}", key_type.as_str()), |b| {
            b.iter(|| raw::sign(&open(), alg, black_box(&[7; 32])).unwrap());
        });
        c.bench_function(&format!("raw_verify/{alg}/{}", key_type.as_str()), |b| {
            b.iter(|| raw::verify(&open(), alg, black_box(&[7; 32]), &signature).unwrap());
        });
    }
}

criterion_group!(benches, floor, release, data_wrap, sign, raw_data, raw_sign);
criterion_main!(benches);
