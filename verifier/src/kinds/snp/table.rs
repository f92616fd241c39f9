//! The certificate table that a host hands to its guest beside an extended report. A hint, never a reason to trust.
//!
//! GHCB specification (AMD 56421) section 4.1.8.1: entries of GUID, offset and length, closed by a zero entry; the pieces follow.

use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::x509::pem;

const PART: &str = "certificate-table";
/// Bytes of an entry: GUID, offset, length.
const ENTRY: usize = 24;
/// The most entries that a table may have.
const MAX_ENTRIES: usize = 16;

/// GUIDs in the order of their text, as tables carry them.
const ARK: [u8; 16] = 0xc0b406a4_a803_4952_9743_3fb6014cd0ae_u128.to_be_bytes();
const ASK: [u8; 16] = 0x4ab7b379_bbac_4fe4_a02f_05aef327c782_u128.to_be_bytes();
const VCEK: [u8; 16] = 0x63da758d_e664_4564_adc5_f4b93be8accd_u128.to_be_bytes();
const VLEK: [u8; 16] = 0xa8074bc2_a25a_483e_aae6_39c045a0b8a1_u128.to_be_bytes();
const CRL: [u8; 16] = 0x92f81bc3_5811_4d3d_97ff_d19f88dc67ea_u128.to_be_bytes();

/// What a table holds, DER each. Pieces under unknown GUIDs are left out.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Certificates, in the order of the table.
    pub certificates: Vec<Vec<u8>>,
    /// Revocation lists.
    pub crls: Vec<Vec<u8>>,
}

struct Entry<'a> {
    guid: [u8; 16],
    start: usize,
    end: usize,
    piece: &'a [u8],
}

impl Table {
    /// Reads a table; a piece may be DER or PEM.
    ///
    /// # Errors
    /// `malformed`: a piece that is empty, lies outside, overlaps another or the entries, stands twice, or is no certificate;
    /// a table without end. `too-large`: more than 16 entries.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let entries = entries(bytes)?;
        let mut table = Self::default();
        for entry in &entries {
            match entry.guid {
                ARK | ASK | VCEK | VLEK => table.certificates.extend(pieces(entry.piece, "CERTIFICATE")?),
                CRL => table.crls.extend(pieces(entry.piece, "X509 CRL")?),
                _ => {}
            }
        }
        if !entries.is_empty() && table.certificates.is_empty() && table.crls.is_empty() {
            return Err(bad("no entry has a known guid"));
        }
        Ok(table)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.crls.is_empty()
    }
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, VerifyError> {
    let mut reader = Reader::new(bytes, PART);
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut head = 0_usize;
    loop {
        let guid: [u8; 16] = *reader.array("guid")?;
        let start = usize::try_from(reader.u32_le("offset")?).unwrap_or(usize::MAX);
        let length = usize::try_from(reader.u32_le("length")?).unwrap_or(usize::MAX);
        head = head.saturating_add(ENTRY);
        if guid == [0; 16] {
            if start != 0 || length != 0 {
                return Err(bad("the closing entry is not zero"));
            }
            break;
        }
        if entries.len() >= MAX_ENTRIES {
            return Err(VerifyError::too_large(PART, format!("more than {MAX_ENTRIES} entries")));
        }
        let end = start.checked_add(length).ok_or_else(|| bad("an entry lies outside of the table"))?;
        let piece = bytes.get(start..end).ok_or_else(|| bad("an entry lies outside of the table"))?;
        if piece.is_empty() {
            return Err(bad("an entry is empty"));
        }
        if entries.iter().any(|e| e.guid == guid) {
            return Err(bad("a guid stands twice"));
        }
        if entries.iter().any(|e| start < e.end && e.start < end) {
            return Err(bad("two entries overlap"));
        }
        entries.push(Entry { guid, start, end, piece });
    }
    if entries.iter().any(|e| e.start < head) {
        return Err(bad("an entry lies in the list of entries"));
    }
    Ok(entries)
}

fn pieces(piece: &[u8], label: &str) -> Result<Vec<Vec<u8>>, VerifyError> {
    match piece.first() {
        Some(0x30) => Ok(vec![piece.to_vec()]),
        Some(b'-') => pem::read(piece, PART)?
            .into_iter()
            .map(|block| if block.label == label { Ok(block.der) } else { Err(bad("a pem block has another label")) })
            .collect(),
        _ => Err(bad("an entry is neither der nor pem")),
    }
}

fn bad(what: &'static str) -> VerifyError {
    VerifyError::malformed(PART, what)
}
