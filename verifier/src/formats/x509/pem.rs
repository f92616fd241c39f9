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

/// Reads a text of PEM blocks. White space may stand between blocks, and trailing NUL bytes at the end (quoting enclaves
/// write one); any other text is refused.
pub(crate) fn read(text: &[u8], part: &'static str) -> Result<Vec<Block>, VerifyError> {
    let bad = |what: &'static str| VerifyError::malformed(part, what);
    let end = text.iter().rposition(|b| *b != 0).map_or(0, |last| last.saturating_add(1));
    let text =
        text.get(..end).and_then(|t| std::str::from_utf8(t).ok()).ok_or_else(|| bad("the certificates are no text"))?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let label = line
            .strip_prefix("-----BEGIN ")
            .and_then(|l| l.strip_suffix("-----"))
            .ok_or_else(|| bad("text stands outside of a pem block"))?
            .to_owned();
        if blocks.len() >= MAX_BLOCKS {
            return Err(VerifyError::too_large(part, format!("more than {MAX_BLOCKS} pem blocks")));
        }
        let end_line = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            let line = lines.next().ok_or_else(|| bad("a pem block has no end"))?;
            if line == end_line {
                break;
            }
            body.push_str(line.trim());
        }
        let der = STANDARD.decode(body).map_err(|_| bad("a pem block is not base64"))?;
        blocks.push(Block { label, der });
    }
    Ok(blocks)
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
