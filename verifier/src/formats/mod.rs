//! Encodings that several kinds of evidence share.

pub(crate) mod base64url;
pub(crate) mod bytes;
pub(crate) mod cbor;
pub(crate) mod cose;
pub(crate) mod jose;
pub(crate) mod json;
pub(crate) mod tcg;
pub(crate) mod tpm;
pub(crate) mod x509;
