//! Base64 in the three spellings evidence needs: standard, URL-safe without padding, and PEM.
//! RFC 4648 sections 4 and 5, RFC 7468 section 2.

/// Standard alphabet with padding, one line.
pub fn standard(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes)
}

/// URL-safe alphabet without padding.
pub fn url(bytes: &[u8]) -> String {
    standard(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// PEM block with lines of 64 characters and a final line feed.
pub fn pem(label: &str, der: &[u8]) -> String {
    let body = standard(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).unwrap());
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Certificates as PEM blocks, one after the other in the order given.
pub fn pem_chain<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    certificates.into_iter().map(|der| pem("CERTIFICATE", der)).collect()
}
