//! The vendors' root certificates, pinned by SHA-256 and embedded.
//!
//! Each file is data taken from a published package; the digest is checked when the anchors are made, and a test compares
//! the files with an independent set. The AMD signing keys (ASK) are no anchors: they are endorsements that spare a fetch,
//! believed only by their signature under the pinned ARK.

use std::sync::LazyLock;

use crate::anchors::AnchorScope;
use crate::endorsements::{AmdProduct, Bytes};
use crate::kinds::EvidenceKind;

/// An embedded root: what it is, where the bytes came from, when it ends.
pub(crate) struct Root {
    pub file: &'static str,
    pub der: &'static [u8],
    pub sha256: [u8; 32],
    pub scopes: &'static [AnchorScope],
}

/// Intel SGX Root CA. Source: `dcap-qvl 0.7.1, src/TrustedRootCA.der`. Ends 2049-12-31T23:59:59Z.
pub(crate) static INTEL_SGX_ROOT_CA: Root = Root {
    file: "intel-sgx-root-ca.der",
    der: include_bytes!("intel-sgx-root-ca.der"),
    sha256: [
        0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35, 0x0e, 0x74,
        0x24, 0x96, 0x43, 0x99, 0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3,
    ],
    scopes: &[AnchorScope::Intel(EvidenceKind::Sgx), AnchorScope::Intel(EvidenceKind::Tdx)],
};

/// ARK-Milan. Source: `sev 8.0.0, src/certs/snp/builtin/milan/ark.pem`. Ends 2045-10-22T17:23:05Z.
pub(crate) static AMD_ARK_MILAN: Root = Root {
    file: "amd-ark-milan.der",
    der: include_bytes!("amd-ark-milan.der"),
    sha256: [
        0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1, 0xf4, 0x21, 0x0d, 0xe4, 0x9e, 0xf5, 0x55,
        0x30, 0x82, 0x87, 0xd4, 0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd,
    ],
    scopes: &[AnchorScope::Amd(AmdProduct::Milan)],
};

/// ARK-Genoa. Source: `sev 8.0.0, src/certs/snp/builtin/genoa/ark.pem`. Ends 2047-01-26T15:34:37Z.
pub(crate) static AMD_ARK_GENOA: Root = Root {
    file: "amd-ark-genoa.der",
    der: include_bytes!("amd-ark-genoa.der"),
    sha256: [
        0x4c, 0x65, 0x98, 0xd1, 0x9c, 0x18, 0x71, 0x9c, 0x5d, 0xfd, 0x4a, 0x7d, 0x33, 0x5f, 0x67, 0x4e, 0x5b, 0xfe,
        0x1d, 0x8f, 0x80, 0x0c, 0xea, 0x2c, 0xf2, 0x70, 0xc1, 0x0d, 0x10, 0x3d, 0xb2, 0xf1,
    ],
    scopes: &[AnchorScope::Amd(AmdProduct::Genoa)],
};

/// ARK-Turin. Source: `sev 8.0.0, src/certs/snp/builtin/turin/ark.pem`. Ends 2048-05-15T20:03:12Z.
pub(crate) static AMD_ARK_TURIN: Root = Root {
    file: "amd-ark-turin.der",
    der: include_bytes!("amd-ark-turin.der"),
    sha256: [
        0x1f, 0x08, 0x41, 0x61, 0xa4, 0x4b, 0xb6, 0xd9, 0x37, 0x78, 0xa9, 0x04, 0x87, 0x7d, 0x48, 0x19, 0xca, 0xfa,
        0x5d, 0x05, 0xef, 0x41, 0x93, 0xb2, 0xde, 0xd9, 0xdd, 0x9c, 0x73, 0xdd, 0x3f, 0x6a,
    ],
    scopes: &[AnchorScope::Amd(AmdProduct::Turin)],
};

/// AWS Nitro Enclaves Root G1. Source: `attestation-doc-validation 0.10.1, src/nitro.pem`. Ends 2049-10-28T14:28:05Z.
pub(crate) static AWS_NITRO_ENCLAVES_ROOT_G1: Root = Root {
    file: "aws-nitro-enclaves-root-g1.der",
    der: include_bytes!("aws-nitro-enclaves-root-g1.der"),
    sha256: [
        0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e, 0xd7,
        0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
    ],
    scopes: &[AnchorScope::Nitro],
};

/// Every embedded root.
pub(crate) static ALL: &[&Root] =
    &[&INTEL_SGX_ROOT_CA, &AMD_ARK_MILAN, &AMD_ARK_GENOA, &AMD_ARK_TURIN, &AWS_NITRO_ENCLAVES_ROOT_G1];

/// ASK of Milan (`sev` 8.0.0, src/certs/snp/builtin/milan/ask.pem), SHA-256 67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b. Ends 2045-10-22T18:24:20Z.
const AMD_ASK_MILAN: &[u8] = include_bytes!("amd-ask-milan.der");
/// ASK of Genoa (`sev` 8.0.0, src/certs/snp/builtin/genoa/ask.pem), SHA-256 5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521. Ends 2047-10-31T13:33:48Z.
const AMD_ASK_GENOA: &[u8] = include_bytes!("amd-ask-genoa.der");
/// ASK of Turin (`sev` 8.0.0, src/certs/snp/builtin/turin/ask.pem), SHA-256 5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185. Ends 2048-05-15T20:25:21Z.
const AMD_ASK_TURIN: &[u8] = include_bytes!("amd-ask-turin.der");

/// The ASK of a product: an endorsement that is always at hand.
pub(crate) fn amd_ask(product: AmdProduct) -> &'static Bytes {
    static MILAN: LazyLock<Bytes> = LazyLock::new(|| Bytes::new(AMD_ASK_MILAN));
    static GENOA: LazyLock<Bytes> = LazyLock::new(|| Bytes::new(AMD_ASK_GENOA));
    static TURIN: LazyLock<Bytes> = LazyLock::new(|| Bytes::new(AMD_ASK_TURIN));
    match product {
        AmdProduct::Milan => &MILAN,
        AmdProduct::Genoa => &GENOA,
        AmdProduct::Turin => &TURIN,
    }
}
