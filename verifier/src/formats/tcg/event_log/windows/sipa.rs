//! Tagged events: a number, a length, and either a value or more tagged events.
//!
//! Windows SDK, `wbcl.h`: TCG_PCClientTaggedEventStruct, SIPAEVENTTYPE_*. Catalogue of bad inputs, row TPM-29.

use crate::error::VerifyError;

/// The part at fault in refusals of this file.
const PART: &str = "sipa";

/// The deepest nesting that is read: trust boundary, aggregation, value, and as much again.
const MAX_DEPTH: usize = 8;
/// The most tagged events of one log that are read.
const MAX_NODES: usize = 16_384;

/// SIPAEVENTTYPE_AGGREGATION: the data are tagged events.
const AGGREGATION: u32 = 0x4000_0000;

/// SIPAEVENT_TRUSTBOUNDARY.
pub(in super::super) const TRUST_BOUNDARY: u32 = 0x4001_0001;

/// A tagged event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Node<'a> {
    /// SIPAEVENT_*.
    pub tag: u32,
    pub data: Data<'a>,
}

/// What it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Data<'a> {
    /// A value.
    Bytes(&'a [u8]),
    /// More tagged events.
    Nodes(Vec<Node<'a>>),
}

/// How many tagged events may still be read.
pub(in super::super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_NODES)
    }
}

impl<'a> Node<'a> {
    /// The value, where it is one.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self.data {
            Data::Bytes(bytes) => Some(bytes),
            Data::Nodes(_) => None,
        }
    }

    /// The tagged events inside, where this is an aggregation with this tag.
    pub fn inside(&self, tag: u32) -> Option<&[Node<'a>]> {
        match &self.data {
            Data::Nodes(nodes) if self.tag == tag => Some(nodes),
            _ => None,
        }
    }

    /// The value as a little-endian number of one, two, four or eight bytes.
    pub fn number(&self) -> Option<u64> {
        let bytes = self.bytes().filter(|bytes| matches!(bytes.len(), 1 | 2 | 4 | 8))?;
        let mut whole = [0; 8];
        whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(whole))
    }

    /// The value as a BOOLEAN, 0 or 1 in any width. Another shape is `when_odd`, the meaning that a rule refuses.
    pub fn flag(&self, when_odd: bool) -> bool {
        match self.number() {
            Some(0) => false,
            Some(1) => true,
            _ => when_odd,
        }
    }
}

/// Reads tagged events that fill `bytes`, one at least. `None` where they are none.
pub(in super::super) fn parse<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<Option<Vec<Node<'a>>>, VerifyError> {
    Ok(level(bytes, 1, budget)?.filter(|nodes| !nodes.is_empty()))
}

fn level<'a>(mut bytes: &'a [u8], depth: usize, budget: &mut Budget) -> Result<Option<Vec<Node<'a>>>, VerifyError> {
    if depth > MAX_DEPTH {
        return Err(VerifyError::too_large(PART, format!("tagged events more than {MAX_DEPTH} deep")));
    }
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        let Some((tag, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((data, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        let Some(left) = budget.0.checked_sub(1) else {
            return Err(VerifyError::too_large(PART, format!("more than {MAX_NODES} tagged events")));
        };
        budget.0 = left;
        let tag = u32::from_le_bytes(*tag);
        let data = if tag & AGGREGATION == 0 {
            Data::Bytes(data)
        } else {
            let Some(inside) = level(data, depth.saturating_add(1), budget)? else { return Ok(None) };
            Data::Nodes(inside)
        };
        nodes.push(Node { tag, data });
        bytes = rest;
    }
    Ok(Some(nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn tagged(tag: u32, data: &[u8]) -> Vec<u8> {
        [&tag.to_le_bytes()[..], &u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
    }

    fn read(bytes: &[u8]) -> Result<Option<usize>, String> {
        parse(bytes, &mut Budget::default()).map(|found| found.map(|nodes| nodes.len())).map_err(|e| e.full_code())
    }

    #[test]
    fn tpm_29_depth_and_number_are_bounded() {
        let nested =
            |depth: usize| (1..depth).fold(tagged(0x0004_0001, &[0]), |inner, _| tagged(TRUST_BOUNDARY, &inner));
        assert_eq!(read(&nested(8)), Ok(Some(1)));
        assert_eq!(read(&nested(9)), Err("too-large.sipa".into()));
        // Two million levels of empty lengths would be 16 MiB; what fits into a log is refused at the ninth.
        assert_eq!(read(&nested(20_000)), Err("too-large.sipa".into()));
        let many = tagged(0x0004_0001, &[]).repeat(MAX_NODES);
        assert_eq!(read(&many), Ok(Some(MAX_NODES)));
        assert_eq!(read(&[many, tagged(1, &[])].concat()), Err("too-large.sipa".into()));
    }

    #[test]
    fn lengths_must_fill_the_bytes() {
        let good = tagged(TRUST_BOUNDARY, &tagged(0x0004_0001, &[0]));
        assert_eq!(read(&good), Ok(Some(1)));
        assert_eq!(read(&good[..good.len() - 1]), Ok(None));
        assert_eq!(read(&[&good[..], &[0]].concat()), Ok(None));
        assert_eq!(read(&tagged(TRUST_BOUNDARY, &[1, 2, 3])), Ok(None));
        assert_eq!(read(&[0xff; 8]), Ok(None));
    }

    #[test]
    fn a_flag_of_an_odd_shape_is_what_a_rule_refuses() {
        let node = |data: &'static [u8]| Node { tag: 0, data: Data::Bytes(data) };
        assert!(node(&[1]).flag(false) && !node(&[0]).flag(true));
        for odd in [&[][..], &[2], &[0, 0, 0], &[1, 0, 0]] {
            assert!(node(odd).flag(true) && !node(odd).flag(false));
        }
        assert_eq!(node(&[5, 1]).number(), Some(261));
        assert_eq!(node(&[1, 2, 3]).number(), None);
    }
}
