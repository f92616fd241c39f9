//! The certificate table that the host hands to the guest with an extended report.
//! GHCB specification 56421 section 4.1.8.1: entries of GUID, offset and length, closed by zeros.

use super::SnpFault;

/// GUID of the VCEK entry, as stored.
pub const GUID_VCEK: [u8; 16] = guid(0x63da758d, 0xe664, 0x4564, 0xadc5f4b93be8accd);
/// GUID of the VLEK entry, as stored.
pub const GUID_VLEK: [u8; 16] = guid(0xa8074bc2, 0xa25a, 0x483e, 0xaae639c045a0b8a1);
/// GUID of the ASK entry, as stored.
pub const GUID_ASK: [u8; 16] = guid(0x4ab7b379, 0xbbac, 0x4fe4, 0xa02f05aef327c782);
/// GUID under which this forge stores the ASVK; the specification gives it none of its own.
pub const GUID_ASVK: [u8; 16] = GUID_ASK;
/// GUID of the ARK entry, as stored.
pub const GUID_ARK: [u8; 16] = guid(0xc0b406a4, 0xa803, 0x4952, 0x97433fb6014cd0ae);
/// GUID of the CRL entry, as stored.
pub const GUID_CRL: [u8; 16] = guid(0x92f81bc3, 0x5811, 0x4d3d, 0x97ffd19f88dc67ea);

/// The sixteen bytes of a GUID in the order of its text, as real tables carry them.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    ((a as u128) << 96 | (b as u128) << 80 | (c as u128) << 64 | d as u128).to_be_bytes()
}

const ENTRY: usize = 24;

/// A table of certificates (DER or PEM as handed in), wrong in one way where a fault is given.
pub fn certificate_table(certificates: &[([u8; 16], &[u8])], fault: Option<SnpFault>) -> Vec<u8> {
    let mut certificates = certificates.to_vec();
    if fault == Some(SnpFault::TableDuplicate) {
        certificates.push(certificates[0]);
    }
    let start = (certificates.len() + 1) * ENTRY;
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for (guid, certificate) in &certificates {
        let offset = (start + bytes.len()) as u32;
        entries.push((*guid, offset, certificate.len() as u32));
        bytes.extend_from_slice(certificate);
    }
    break_entries(&mut entries, fault);
    let mut out = Vec::new();
    for (guid, offset, length) in entries {
        out.extend(guid);
        out.extend(offset.to_le_bytes());
        out.extend(length.to_le_bytes());
    }
    if fault == Some(SnpFault::TableUnterminated) {
        return out;
    }
    out.extend([0; ENTRY]);
    out.extend(bytes);
    out
}

fn break_entries(entries: &mut [([u8; 16], u32, u32)], fault: Option<SnpFault>) {
    let last = entries.len() - 1;
    match fault {
        Some(SnpFault::TableBeyondEnd) => entries[last].2 += 1,
        Some(SnpFault::TableOverlap) => entries[last].1 -= 1,
        Some(SnpFault::TableZeroLength) => entries[0].2 = 0,
        Some(SnpFault::TableHugeLength) => entries[0].2 = u32::MAX,
        Some(SnpFault::TableIntoEntries) => entries[0].1 = 8,
        _ => {}
    }
}
