//! What UEFI firmware measures: variables and the signature lists in them.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 10.2.6 (UEFI_VARIABLE_DATA); UEFI 2.10 section 32.4.1.

pub(super) mod signature_list;
pub(super) mod variable;

/// EFI_GUID, 16 bytes: three little-endian numbers and eight bytes. UEFI 2.10, appendix A.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Guid([u8; 16]);

impl Guid {
    /// From the parts as they are written: `8be4df61`, `93ca`, `11d2`, and the last eight bytes.
    pub const fn new(first: u32, second: u16, third: u16, rest: [u8; 8]) -> Self {
        let [a, b, c, d] = first.to_le_bytes();
        let [e, f] = second.to_le_bytes();
        let [g, h] = third.to_le_bytes();
        let [i, j, k, l, m, n, o, p] = rest;
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// From the bytes of a structure.
    pub const fn of(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Upper-case, with hyphens: `8BE4DF61-93CA-11D2-AA0D-00E098032B8C`.
    pub fn text(&self) -> String {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        let first = u32::from_le_bytes([a, b, c, d]);
        let (second, third) = (u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
        let [i, j, tail @ ..] = rest;
        format!("{first:08X}-{second:04X}-{third:04X}-{i:02X}{j:02X}-{}", hex::encode_upper(tail))
    }
}

/// UTF-16 of little-endian bytes, without zero characters at its end. `None` where it is no text: an odd length, a lone surrogate,
/// a control character inside.
pub(super) fn utf16(bytes: &[u8]) -> Option<String> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let text = String::from_utf16(&units).ok()?;
    let text = text.trim_end_matches('\0');
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_written_as_azure_writes_it() {
        let global = Guid::new(0x8be4_df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
        assert_eq!(global.text(), "8BE4DF61-93CA-11D2-AA0D-00E098032B8C");
    }

    #[test]
    fn text_is_text_or_nothing() {
        assert_eq!(utf16(b"d\0b\0").as_deref(), Some("db"));
        assert_eq!(utf16(b"d\0b\0\0\0").as_deref(), Some("db"));
        for bad in [&b"d\0b"[..], b"d\0\0\0b\0", b"\x00\xd8", b"\n\0"] {
            assert_eq!(utf16(bad), None, "{bad:?}");
        }
    }
}
