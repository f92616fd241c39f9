//! Foreign keys put together by hand or by OpenSSL.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::Curve;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::Private;
use openssl::rsa::Rsa;
use serde_json::{Value, json};

/// A DER element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [header, content.to_vec()].concat()
}

/// A DER number that is not negative.
pub fn number(bytes: &[u8]) -> Vec<u8> {
    match bytes.first() {
        Some(first) if *first < 0x80 => element(2, bytes),
        _ => element(2, &[&[0], bytes].concat()),
    }
}

pub fn jwk_of_rsa(key: &Rsa<Private>) -> Value {
    let text = |number: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
    json!({
        "kty": "RSA",
        "n": text(key.n()),
        "e": text(key.e()),
        "d": text(key.d()),
        "p": text(key.p().unwrap()),
        "q": text(key.q().unwrap()),
        "dp": text(key.dmp1().unwrap()),
        "dq": text(key.dmq1().unwrap()),
        "qi": text(key.iqmp().unwrap()),
    })
}

pub fn jwk_of_ec(nid: Nid, curve: Curve) -> Value {
    let group = EcGroup::from_curve_name(nid).unwrap();
    let key = EcKey::generate(&group).unwrap();
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    let mut context = BigNumContext::new().unwrap();
    key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
    let width = curve.field_length() as i32;
    let text = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec_padded(width).unwrap());
    json!({
        "kty": "EC",
        "crv": curve.as_str(),
        "x": text(&x),
        "y": text(&y),
        "d": text(key.private_key()),
    })
}
