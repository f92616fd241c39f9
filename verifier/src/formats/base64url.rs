//! Base64url as Azure's clients write it: RFC 4648 section 5, without padding by the documents, with padding or in the alphabet of
//! section 4 by some of them.
//!
//! Only where bytes are carried, never where text is signed: a signed text has one form.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes as base64url without padding, as they stand in claims.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of base64url without padding, and of nothing else: one text for the same bytes.
pub(crate) fn decode_strict(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The bytes of a text in either alphabet, padded or not. `None` for any other character, wrong padding, or bits left over that
/// are set.
pub(crate) fn decode_lenient(text: &str) -> Option<Vec<u8>> {
    let url_safe = |byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    };
    LENIENT.decode(text.bytes().map(url_safe).collect::<Vec<u8>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_alphabet_with_and_without_padding() {
        for text in ["-_8=", "-_8", "+/8=", "+/8", "-/8"] {
            assert_eq!(decode_lenient(text).as_deref(), Some(&[0xfb, 0xff][..]), "{text}");
        }
        assert_eq!(decode_lenient("").as_deref(), Some(&[][..]));
        for bad in ["-_8==", "-_9", "-_8\n", "-_ 8", "-", "=", "a.b", "äöü="] {
            assert_eq!(decode_lenient(bad), None, "{bad}");
        }
    }
}
