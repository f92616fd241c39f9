//! The little of DER that private keys and signatures need.
//!
//! X.690 section 10: definite lengths in the fewest bytes, numbers in the fewest bytes.

use zeroize::Zeroizing;

/// Tag of a number.
pub const INTEGER: u8 = 0x02;
/// Tag of a string of bits.
pub const BIT_STRING: u8 = 0x03;
/// Tag of a string of bytes.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of nothing.
pub const NULL: u8 = 0x05;
/// Tag of an object identifier.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// Tag of a sequence.
pub const SEQUENCE: u8 = 0x30;
/// Tag of an explicit element `[0]`.
pub const CONTEXT_0: u8 = 0xa0;
/// Tag of an explicit element `[1]`.
pub const CONTEXT_1: u8 = 0xa1;

/// Reads one element after another; `None` is "not DER", or not what was asked for.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The tag of the element that comes next.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The content of the next element, if it has this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.rest.split_first()?;
        if *found != tag {
            return None;
        }
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(content)
    }

    /// A number that is not negative, without the byte of its sign. Zero is one byte.
    pub fn unsigned(&mut self) -> Option<&'a [u8]> {
        let content = self.expect(INTEGER)?;
        match content {
            [] => None,
            [0] => Some(content),
            [0, second, ..] if *second < 0x80 => None,
            [0, rest @ ..] => Some(rest),
            [first, ..] if *first >= 0x80 => None,
            _ => Some(content),
        }
    }

    /// Nothing may be left.
    pub fn finish(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(*first & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let value = digits.iter().fold(0_usize, |v, b| v << 8 | usize::from(*b));
    let shortest = value >= 0x80 && digits.first() != Some(&0);
    shortest.then_some((value, rest))
}

/// Writes an element; it may hold a key, so it is zeroed when dropped.
pub fn element(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    // room for the longest header, so that the buffer never moves and leaves a copy behind
    let mut out = Zeroizing::new(Vec::with_capacity(content.len() + 6));
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let digits = (length as u32).to_be_bytes();
        let zeros = digits.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (digits.len() - zeros) as u8);
        out.extend(digits.iter().skip(zeros));
    }
    out.extend_from_slice(content);
    out
}

/// Writes the elements one behind the other into one element.
pub fn sequence(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    element(tag, &concat(parts))
}

/// Writes a number given big-endian without sign.
pub fn unsigned(number: &[u8]) -> Zeroizing<Vec<u8>> {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    match digits.first() {
        Some(first) if *first < 0x80 => element(INTEGER, digits),
        _ => element(INTEGER, &concat(&[&[0], digits])),
    }
}

/// Joins parts in a buffer that is zeroed when dropped and never moves.
pub fn concat(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut joined = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
    for part in parts {
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_must_be_the_shortest() {
        assert_eq!(Reader::new(&[2, 1, 5]).unsigned(), Some(&[5][..]));
        assert_eq!(Reader::new(&[2, 2, 0, 0x80]).unsigned(), Some(&[0x80][..]));
        for bad in [
            &[2, 0][..],
            &[2, 1, 0x80],
            &[2, 2, 0, 5],
            &[2, 0x81, 1, 5],
            &[2, 0x82, 0, 1, 5],
            &[2, 0x80],
            &[2, 2, 5],
            &[2, 0x85, 0, 0, 0, 0, 1, 5],
            &[3, 1, 5],
            &[],
        ] {
            assert_eq!(Reader::new(bad).unsigned(), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let written = element(OCTET_STRING, &content);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.expect(OCTET_STRING), Some(&content[..]));
            assert!(reader.finish().is_some());
        }
        assert_eq!(*unsigned(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(*unsigned(&[0, 0]), [2, 1, 0]);
    }
}
