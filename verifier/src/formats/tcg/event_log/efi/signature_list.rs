//! EFI_SIGNATURE_LIST: the entries of PK, KEK, db and dbx.
//!
//! UEFI 2.10, section 32.4.1. Catalogue of bad inputs, row TPM-28.

use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tcg::Bank;

use super::Guid;

/// The part at fault in refusals of this file.
const PART: &str = "signature-list";

/// The most entries of one variable that are read.
const MAX_ENTRIES: usize = 8_192;

/// EFI_CERT_SHA256_GUID: entries are digests of images.
const SHA256: Guid = Guid::new(0xc1c4_1626, 0x504c, 0x4092, [0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28]);
/// EFI_CERT_X509_SHA256_GUID: digests of a certificate's signed part, and a time of revocation.
const X509_SHA256: Guid = Guid::new(0x3bd2_a492, 0x96c0, 0x4079, [0xb4, 0x20, 0xfc, 0xf9, 0x8e, 0xf1, 0x03, 0xed]);

/// Reads the lists that fill a variable's value: each entry as 64 hex digits, in order. A digest stands for itself, a certificate
/// and whatever else for the SHA-256 of its bytes.
///
/// # Errors
/// `malformed.signature-list` where sizes do not fit into each other, `too-large.signature-list` beyond 8,192 entries.
pub(in super::super) fn entries(value: &[u8]) -> Result<Vec<String>, VerifyError> {
    let mut reader = Reader::new(value, PART);
    let mut found = Vec::new();
    while !reader.rest().is_empty() {
        let kind = Guid::of(*reader.array::<16>("SignatureType")?);
        let list = size(reader.u32_le("SignatureListSize")?);
        let header = size(reader.u32_le("SignatureHeaderSize")?);
        let each = size(reader.u32_le("SignatureSize")?);
        let Some(body) = list.checked_sub(28).and_then(|rest| rest.checked_sub(header)) else {
            return Err(VerifyError::malformed(PART, "a list is shorter than its header"));
        };
        // An entry is its owner's GUID and some data.
        if each <= 16 || !body.is_multiple_of(each) {
            return Err(VerifyError::malformed(PART, format!("entries of {each} bytes in a list of {body}")));
        }
        reader.take(header, "SignatureHeader")?;
        for entry in reader.take(body, "Signatures")?.chunks_exact(each) {
            if found.len() >= MAX_ENTRIES {
                return Err(VerifyError::too_large(PART, format!("more than {MAX_ENTRIES} entries")));
            }
            let data = entry.get(16..).unwrap_or_default();
            found.push(match (data.split_first_chunk::<32>(), data.len()) {
                (Some((digest, _)), 32) if kind == SHA256 => hex::encode(digest),
                (Some((digest, _)), 48) if kind == X509_SHA256 => hex::encode(digest),
                _ => hex::encode(Bank::Sha256.digest(&[data])),
            });
        }
    }
    Ok(found)
}

fn size(announced: u32) -> usize {
    usize::try_from(announced).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(list: u32, header: u32, each: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes =
            vec![0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28];
        for number in [list, header, each] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(body);
        bytes
    }

    #[test]
    fn tpm_28_sizes_of_signature_lists() {
        let body = [7; 96];
        assert_eq!(entries(&list(28 + 96, 0, 48, &body)).unwrap(), vec![hex::encode([7; 32]); 2]);
        assert_eq!(entries(&list(28, 0, 48, &[])).unwrap(), Vec::<String>::new());
        assert_eq!(entries(&[]).unwrap(), Vec::<String>::new());
        for (lists, header, each) in [
            (28 + 96, 0, 0),
            (28 + 96, 0, u32::MAX),
            (28 + 96, 0, 16),
            (28 + 96, 0, 47),
            (28 + 97, 0, 48),
            (27, 0, 48),
            (0, 0, 48),
            (u32::MAX, 0, 48),
            (28 + 96, u32::MAX, 48),
            (28 + 96, 97, 48),
        ] {
            let refused = entries(&list(lists, header, each, &body)).unwrap_err();
            assert_eq!(refused.full_code(), "malformed.signature-list", "{lists} {header} {each}");
        }
        let many = vec![0; 17 * (MAX_ENTRIES + 1)];
        let size = 28 + u32::try_from(many.len()).unwrap();
        assert_eq!(entries(&list(size, 0, 17, &many)).unwrap_err().full_code(), "too-large.signature-list");
    }
}
