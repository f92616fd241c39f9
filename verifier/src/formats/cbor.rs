//! A strict reader of CBOR: what a schema asks for, in the one canonical encoding, and nothing else.
//!
//! RFC 8949 section 4.2.1. There is no "any value": the caller names the type of every item, so tags, floats, simple values and
//! deeper nesting than the schema's have no place to stand, and nothing recurses. Integers and lengths must take their
//! shortest form. Indefinite lengths exist only for maps and arrays, and only where the caller lets them.

use crate::error::VerifyError;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

/// How a map or an array may say its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// In its head.
    Definite,
    /// In its head, or by a break at its end.
    Either,
}

/// How many items are still to come in a map or an array.
#[derive(Debug)]
pub(crate) enum Items {
    /// This many.
    Left(u64),
    /// Until the break.
    UntilBreak,
}

/// Reads items from front to back. Copies nothing; allocates nothing.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`; `part` names the whole in refusals.
    pub fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { rest: bytes, part }
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, field: &str) -> Result<u64, VerifyError> {
        self.head(UNSIGNED, field, "an unsigned integer")
    }

    /// An integer of either sign, -2^63 to 2^63-1.
    pub fn integer(&mut self, field: &str) -> Result<i64, VerifyError> {
        let negative = self.peek_major() == Some(NEGATIVE);
        let magnitude = self.head(if negative { NEGATIVE } else { UNSIGNED }, field, "an integer")?;
        let value = i64::try_from(magnitude).map_err(|_| self.bad(format!("`{field}` is out of range")))?;
        Ok(if negative { !value } else { value })
    }

    /// A byte string of definite length.
    pub fn bytes(&mut self, field: &str) -> Result<&'a [u8], VerifyError> {
        let length = self.head(BYTES, field, "a byte string")?;
        self.take(length, field)
    }

    /// A byte string, or `None` for null.
    pub fn bytes_or_null(&mut self, field: &str) -> Result<Option<&'a [u8]>, VerifyError> {
        if self.rest.first() == Some(&NULL) {
            self.rest = self.rest.get(1..).unwrap_or_default();
            return Ok(None);
        }
        self.bytes(field).map(Some)
    }

    /// A text string of definite length, in UTF-8.
    pub fn text(&mut self, field: &str) -> Result<&'a str, VerifyError> {
        let length = self.head(TEXT, field, "a text string")?;
        let bytes = self.take(length, field)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad(format!("`{field}` is not utf-8")))
    }

    /// The head of a map; its entries follow.
    pub fn map(&mut self, length: Length, field: &str) -> Result<Items, VerifyError> {
        self.container(MAP, length, field, "a map")
    }

    /// The head of an array; its items follow.
    pub fn array(&mut self, length: Length, field: &str) -> Result<Items, VerifyError> {
        self.container(ARRAY, length, field, "an array")
    }

    /// Whether another item (in a map: another entry) comes; eats the break at the end.
    pub fn more(&mut self, items: &mut Items) -> bool {
        match items {
            Items::Left(0) => false,
            Items::Left(left) => {
                *left -= 1;
                true
            }
            Items::UntilBreak if self.rest.first() == Some(&BREAK) => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                *items = Items::Left(0);
                false
            }
            Items::UntilBreak => true,
        }
    }

    /// The number of a tag in front of the next item, if there is a tag.
    pub fn tag(&mut self, field: &str) -> Result<Option<u64>, VerifyError> {
        if self.peek_major() != Some(TAG) {
            return Ok(None);
        }
        self.head(TAG, field, "a tag").map(Some)
    }

    /// Whether a text string is next.
    pub fn text_is_next(&self) -> bool {
        self.peek_major() == Some(TEXT)
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), VerifyError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.bad(format!("{} bytes follow the end", self.rest.len())))
    }

    fn container(&mut self, major: u8, length: Length, field: &str, wanted: &str) -> Result<Items, VerifyError> {
        if length == Length::Either && self.rest.first() == Some(&(major << 5 | 31)) {
            self.rest = self.rest.get(1..).unwrap_or_default();
            return Ok(Items::UntilBreak);
        }
        self.head(major, field, wanted).map(Items::Left)
    }

    /// The argument of a head of this major type, in its shortest form.
    fn head(&mut self, major: u8, field: &str, wanted: &str) -> Result<u64, VerifyError> {
        let Some((&first, rest)) = self.rest.split_first() else {
            return Err(self.bad(format!("`{field}` is cut off")));
        };
        if first >> 5 != major {
            return Err(self.bad(format!("`{field}` is not {wanted}")));
        }
        let short = first & 0x1f;
        let (following, least) = match short {
            0..=23 => (0, 0),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 => return Err(self.bad(format!("`{field}` has an indefinite length"))),
            _ => return Err(self.bad(format!("`{field}` has a reserved length"))),
        };
        let Some((argument, rest)) = rest.split_at_checked(following) else {
            return Err(self.bad(format!("`{field}` is cut off")));
        };
        let value = argument.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let value = if following == 0 { u64::from(short) } else { value };
        if value < least {
            return Err(self.bad(format!("`{field}` is not in its shortest form")));
        }
        self.rest = rest;
        Ok(value)
    }

    fn take(&mut self, length: u64, field: &str) -> Result<&'a [u8], VerifyError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((head, rest)) = split else {
            return Err(self.bad(format!("`{field}` needs {length} bytes, {} are left", self.rest.len())));
        };
        self.rest = rest;
        Ok(head)
    }

    fn peek_major(&self) -> Option<u8> {
        self.rest.first().map(|first| first >> 5)
    }

    fn bad(&self, detail: String) -> VerifyError {
        VerifyError::malformed(self.part, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, "document")
    }

    #[test]
    fn reads_what_the_schema_asks_for() {
        let mut items = reader(&[0x18, 0x18, 0x38, 0x22, 0x42, 1, 2, 0x62, b'o', b'k', 0xf6, 0xd2, 0x80]);
        assert_eq!(items.unsigned("n").unwrap(), 24);
        assert_eq!(items.integer("alg").unwrap(), -35);
        assert_eq!(items.bytes("b").unwrap(), [1, 2]);
        assert_eq!(items.text("t").unwrap(), "ok");
        assert_eq!(items.bytes_or_null("x").unwrap(), None);
        assert_eq!(items.tag("tag").unwrap(), Some(18));
        assert!(matches!(items.array(Length::Definite, "a").unwrap(), Items::Left(0)));
        items.finish().unwrap();
    }

    #[test]
    fn nit_06_every_number_has_one_encoding() {
        for long in [&[0x18, 23][..], &[0x19, 0, 255], &[0x1a, 0, 0, 255, 255], &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255]]
        {
            assert_eq!(reader(long).unsigned("n").unwrap_err().detail(), "`n` is not in its shortest form");
        }
        for (short, value) in [(&[23][..], 23), (&[0x18, 24], 24), (&[0x19, 1, 0], 256), (&[0x1a, 0, 1, 0, 0], 65_536)]
        {
            assert_eq!(reader(short).unsigned("n").unwrap(), value);
        }
        assert_eq!(reader(&[0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0]).integer("n").unwrap_err().code(), "malformed");
    }

    #[test]
    fn nit_06_a_length_beyond_the_end_is_refused_and_allocates_nothing() {
        for long in [
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x42, 1],
            &[0x5a, 0xff, 0xff, 0xff, 0xff],
            &[0x58],
        ] {
            assert_eq!(reader(long).bytes("b").unwrap_err().code(), "malformed");
        }
    }

    #[test]
    fn nit_06_indefinite_lengths_stand_only_where_they_are_let() {
        assert_eq!(reader(&[0x5f, 0x41, 1, 0xff]).bytes("b").unwrap_err().code(), "malformed");
        assert_eq!(reader(&[0x7f, 0x61, b'a', 0xff]).text("t").unwrap_err().code(), "malformed");
        assert_eq!(reader(&[0xbf, 0xff]).map(Length::Definite, "m").unwrap_err().code(), "malformed");
        let mut open = reader(&[0x9f, 1, 2, 0xff]);
        let mut items = open.array(Length::Either, "a").unwrap();
        let mut seen = Vec::new();
        while open.more(&mut items) {
            seen.push(open.unsigned("n").unwrap());
        }
        assert!(!open.more(&mut items), "a closed array stays closed");
        assert_eq!(seen, [1, 2]);
        open.finish().unwrap();
    }

    #[test]
    fn nit_06_a_break_that_never_comes_ends_in_a_refusal() {
        let mut open = reader(&[0x9f, 1]);
        let mut items = open.array(Length::Either, "a").unwrap();
        assert!(open.more(&mut items));
        open.unsigned("n").unwrap();
        assert!(open.more(&mut items));
        assert_eq!(open.unsigned("n").unwrap_err().detail(), "`n` is cut off");
    }
}
