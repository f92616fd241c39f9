//! A bounds-checked reader of fixed layouts.
//!
//! Every read says what it reads, so that a truncated input is refused by the name of the missing piece. Nothing is copied,
//! nothing is allocated from a length that was read.

use crate::error::VerifyError;

/// Reads a slice from front to back.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`; `part` names the whole in refusals.
    pub fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { rest: bytes, part }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, field: &str) -> Result<&'a [u8], VerifyError> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(VerifyError::malformed(
                self.part,
                format!("`{field}` needs {count} bytes, {} are left", self.rest.len()),
            )),
        }
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, field: &str) -> Result<&'a [u8; N], VerifyError> {
        let left = self.rest.len();
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(VerifyError::malformed(self.part, format!("`{field}` needs {N} bytes, {left} are left"))),
        }
    }

    /// A little-endian 16-bit number.
    pub fn u16_le(&mut self, field: &str) -> Result<u16, VerifyError> {
        Ok(u16::from_le_bytes(*self.array(field)?))
    }
    /// A little-endian 32-bit number.
    pub fn u32_le(&mut self, field: &str) -> Result<u32, VerifyError> {
        Ok(u32::from_le_bytes(*self.array(field)?))
    }
    /// A little-endian 64-bit number.
    pub fn u64_le(&mut self, field: &str) -> Result<u64, VerifyError> {
        Ok(u64::from_le_bytes(*self.array(field)?))
    }

    /// One byte.
    pub fn u8(&mut self, field: &str) -> Result<u8, VerifyError> {
        Ok(u8::from_be_bytes(*self.array(field)?))
    }
    /// A big-endian 16-bit number.
    pub fn u16_be(&mut self, field: &str) -> Result<u16, VerifyError> {
        Ok(u16::from_be_bytes(*self.array(field)?))
    }
    /// A big-endian 32-bit number.
    pub fn u32_be(&mut self, field: &str) -> Result<u32, VerifyError> {
        Ok(u32::from_be_bytes(*self.array(field)?))
    }
    /// A big-endian 64-bit number.
    pub fn u64_be(&mut self, field: &str) -> Result<u64, VerifyError> {
        Ok(u64::from_be_bytes(*self.array(field)?))
    }

    /// Bytes behind their length in 16 bits big-endian, at most `most` of them: a TPM2B.
    pub fn sized_be(&mut self, field: &str, most: usize) -> Result<&'a [u8], VerifyError> {
        let length = usize::from(self.u16_be(field)?);
        if length > most {
            let detail = format!("`{field}` has {length} bytes, at most {most}");
            return Err(VerifyError::malformed(self.part, detail));
        }
        self.take(length, field)
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), VerifyError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(VerifyError::malformed(self.part, format!("{} bytes follow the end", self.rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_input_names_the_field() {
        let mut reader = Reader::new(&[1, 2, 3], "quote");
        assert_eq!(reader.u16_le("version").unwrap(), 0x0201);
        let refused = reader.u32_le("length").unwrap_err();
        assert_eq!(refused.code(), "malformed");
        assert!(refused.detail().contains("`length` needs 4 bytes, 1 are left"));
        assert_eq!(reader.finish().unwrap_err().code(), "malformed");
    }
}
