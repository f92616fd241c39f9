//! Encodings that several kinds of evidence share.

pub(crate) mod bytes;
pub(crate) mod x509;
