//! UEFI_VARIABLE_DATA: a variable as firmware measures it.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 10.2.6: GUID, number of characters, number of bytes, name, value.

use super::{Guid, utf16};

/// The vendor GUID of SecureBoot, PK and KEK. UEFI 2.10, section 3.3.
pub(in super::super) const GLOBAL: Guid =
    Guid::new(0x8be4_df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
/// The vendor GUID of db and dbx. UEFI 2.10, section 32.6.1.
pub(in super::super) const SECURITY: Guid =
    Guid::new(0xd719_b2cb, 0x3d3a, 0x4596, [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f]);

/// The longest name that is read, in bytes.
const MAX_NAME: u64 = 1024;

/// A measured variable.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Variable<'a> {
    pub vendor: Guid,
    pub name: String,
    pub value: &'a [u8],
}

impl<'a> Variable<'a> {
    /// Reads a variable that fills `bytes`. `None` where they are none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (vendor, rest) = bytes.split_first_chunk::<16>()?;
        let (characters, rest) = rest.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let length = u64::from_le_bytes(*characters).checked_mul(2).filter(|length| *length <= MAX_NAME)?;
        let (name, value) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        if u64::try_from(value.len()) != Ok(u64::from_le_bytes(*size)) {
            return None;
        }
        Some(Self { vendor: Guid::of(*vendor), name: utf16(name)?, value })
    }

    /// Whether it is this variable.
    pub fn is(&self, vendor: Guid, name: &str) -> bool {
        self.vendor == vendor && self.name == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(characters: u64, size: u64) -> Vec<u8> {
        let mut bytes = GLOBAL.0.to_vec();
        bytes.extend(characters.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(b"P\0K\0\x01");
        bytes
    }

    #[test]
    fn lengths_must_fill_the_bytes() {
        let good = bytes(2, 1);
        let read = Variable::parse(&good).unwrap();
        assert!(read.is(GLOBAL, "PK") && read.value == [1]);
        for (characters, size) in [(2, 0), (2, 2), (1, 1), (3, 1), (u64::MAX, 1), (1 << 63, 1), (2, u64::MAX)] {
            assert!(Variable::parse(&bytes(characters, size)).is_none(), "{characters} {size}");
        }
        assert!(Variable::parse(&good[..31]).is_none());
    }
}
