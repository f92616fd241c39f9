//! PEM blocks: certificates and revocation lists, strictly read. RFC 7468.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::VerifyError;

/// The most blocks that one text may hold.
const MAX_BLOCKS: usize = 16;

/// One block: its label and its DER.
pub(crate) struct Block {
    pub label: String,
    pub der: Vec<u8>,
}

/// Reads a text of PEM blocks. White space may stand between blocks or be missing (genuine quotes have an end and a beginning
/// on one line), and NUL bytes may stand at the end (quoting enclaves write one); any other text is refused.
pub(crate) fn read(text: &[u8], part: &'static str) -> Result<Vec<Block>, VerifyError> {
    let bad = |what: &'static str| VerifyError::malformed(part, what);
    let end = text.iter().rposition(|b| *b != 0).map_or(0, |last| last.saturating_add(1));
    let text =
        text.get(..end).and_then(|t| std::str::from_utf8(t).ok()).ok_or_else(|| bad("the certificates are no text"))?;
    let mut blocks = Vec::new();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let (label, body) = rest
            .strip_prefix("-----BEGIN ")
            .and_then(|r| r.split_once("-----"))
            .ok_or_else(|| bad("text stands outside of a pem block"))?;
        if blocks.len() >= MAX_BLOCKS {
            return Err(VerifyError::too_large(part, format!("more than {MAX_BLOCKS} pem blocks")));
        }
        let end = format!("-----END {label}-----");
        let (body, after) = body.split_once(&end).ok_or_else(|| bad("a pem block has no end"))?;
        let body: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let der = STANDARD.decode(body).map_err(|_| bad("a pem block is not base64"))?;
        blocks.push(Block { label: label.to_owned(), der });
        rest = after.trim_ascii_start();
    }
    Ok(blocks)
}

/// Certificates as PEM text, one after the other: lines of 64 characters, a line feed behind each line.
pub(crate) fn text(certificates: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for der in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(der);
        let mut rest = encoded.as_str();
        while let Some((line, after)) = rest.split_at_checked(64) {
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        if !rest.is_empty() {
            text.push_str(rest);
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// The certificates of a PEM text in the order they stand in; any other label is refused.
pub(crate) fn certificates(text: &[u8], part: &'static str) -> Result<Vec<Vec<u8>>, VerifyError> {
    read(text, part)?
        .into_iter()
        .map(|block| match block.label.as_str() {
            "CERTIFICATE" => Ok(block.der),
            _ => Err(VerifyError::malformed(part, "a pem block is not a certificate")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----";

    #[test]
    fn blocks_may_follow_each_other_without_a_line_between() {
        for between in ["", "\n", "\r\n\r\n"] {
            let text = format!("{BLOCK}{between}{BLOCK}\n\0");
            assert_eq!(certificates(text.as_bytes(), "pem").unwrap(), [[0x30, 0], [0x30, 0]], "{between:?}");
        }
    }

    #[test]
    fn what_is_written_is_what_openssl_writes() {
        let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        for bits in 0..24 {
            let mut name = openssl::x509::X509Name::builder().unwrap();
            name.append_entry_by_text("CN", &"n".repeat(1 + bits)).unwrap();
            let mut certificate = openssl::x509::X509::builder().unwrap();
            certificate.set_subject_name(&name.build()).unwrap();
            certificate.set_pubkey(&key).unwrap();
            certificate.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
            let certificate = certificate.build();
            let ours = text(&[certificate.to_der().unwrap()]);
            assert_eq!(ours.as_bytes(), certificate.to_pem().unwrap());
        }
    }

    #[test]
    fn sgx_24_text_nul_and_missing_ends_are_malformed() {
        for text in [
            format!("{BLOCK}text{BLOCK}"),
            format!("{BLOCK}\0{BLOCK}"),
            format!("{BLOCK}-----BEGIN CERTIFICATE-----\nMAA=\n"),
            "-----BEGIN CERTIFICATE-----\nM-A=\n-----END CERTIFICATE-----".to_owned(),
            BLOCK.replace("CERTIFICATE", "X509 CRL"),
        ] {
            assert_eq!(certificates(text.as_bytes(), "pem").unwrap_err().code(), "malformed", "{text:?}");
        }
        assert_eq!(certificates(BLOCK.repeat(17).as_bytes(), "pem").unwrap_err().code(), "too-large");
    }
}
