//! What Windows measures about itself: tagged events in PCR 12 to 14, and 19 to 22 after a dynamic launch.
//!
//! Windows SDK, `wbcl.h` (SIPAEVENT_*). The boot manager and the loader write what they decided into *trust boundaries*, and close
//! each register with the four letters `WBCL` when the kernel takes over. What comes later was extended by whoever runs on the
//! machine and counts for nothing. All of it is only as good as the boot applications in PCR 4: any operating system can extend
//! these registers from zero, so a rule on these claims also holds the applications or the authorities against a list.

mod claims;
pub(super) mod payload;
pub(super) mod sipa;

pub(super) use claims::claims;

use crate::error::VerifyError;

use super::measured::Seen;
use super::{LogKind, Replayed};
use sipa::{Budget, Node};

/// What Windows closes its registers with.
const CLOSED: &[u8] = b"WBCL";

/// The registers with tagged events of Windows, those without a dynamic launch first.
pub(super) const STATIC: [u32; 3] = [12, 13, 14];
pub(super) const DYNAMIC: [u32; 2] = [19, 20];

/// Tagged events of one log: for each event of [`Replayed`], what it says, or nothing.
pub(super) struct Tagged<'a> {
    /// In the log's order, with the index of the event.
    events: Vec<(usize, u32, Vec<Node<'a>>)>,
    /// Each of PCR 12 to 14 is closed, and every event before that is understood.
    complete: bool,
}

impl<'a> Tagged<'a> {
    /// Reads the registers of Windows.
    ///
    /// # Errors
    /// `too-large.sipa` for nesting or numbers beyond what is read.
    pub fn of(log: &Replayed<'a>) -> Result<Self, VerifyError> {
        let mut found = Self { events: Vec::new(), complete: log.kind() == LogKind::Tpm };
        if log.kind() != LogKind::Tpm {
            return Ok(found);
        }
        let mut budget = Budget::default();
        let dynamic = DYNAMIC.iter().copied().filter(|_| log.tail.dynamic_launch);
        for register in STATIC.into_iter().chain(dynamic) {
            let fixed = STATIC.contains(&register);
            let mut closed = !fixed;
            for (index, seen) in log.events.iter().enumerate().filter(|(_, seen)| seen.register == register) {
                if is_end(seen) {
                    closed = true;
                    break;
                }
                match seen.measured.bytes().map(|bytes| sipa::parse(bytes, &mut budget)).transpose()?.flatten() {
                    Some(nodes) => found.events.push((index, register, nodes)),
                    None => found.complete = false,
                }
            }
            found.complete &= closed;
        }
        found.events.sort_by_key(|(index, ..)| *index);
        Ok(found)
    }

    /// Whether the list is whole: nothing that Windows measured is missing from it.
    pub fn is_complete(&self) -> bool {
        self.complete && !self.events.is_empty()
    }

    /// The tagged events of one log event, by its index.
    pub fn at(&self, index: usize) -> Option<&[Node<'a>]> {
        let found = self.events.binary_search_by_key(&index, |(index, ..)| *index).ok()?;
        self.events.get(found).map(|(_, _, nodes)| nodes.as_slice())
    }

    /// The values with a tag, straight inside the trust boundaries of some registers, in measured order.
    pub fn values<'s>(&'s self, registers: &'s [u32], tag: u32) -> impl Iterator<Item = &'s Node<'a>> {
        self.boundaries(registers).flatten().filter(move |node| node.tag == tag)
    }

    /// What all boundaries say of a setting: `refused` where one of them says so, `None` where none says anything.
    pub fn flag(&self, tag: u32, refused: bool) -> Option<bool> {
        let registers = [STATIC.as_slice(), DYNAMIC.as_slice()].concat();
        let mut said = self.values(&registers, tag).map(|node| node.flag(refused)).peekable();
        said.peek()?;
        Some(if said.any(|value| value == refused) { refused } else { !refused })
    }

    /// The trust boundaries of some registers, in measured order.
    pub fn boundaries(&self, registers: &[u32]) -> impl Iterator<Item = &[Node<'a>]> {
        self.events
            .iter()
            .filter(|(_, register, _)| registers.contains(register))
            .flat_map(|(.., nodes)| nodes)
            .filter_map(|node| node.inside(sipa::TRUST_BOUNDARY))
    }
}

/// Whether an event closes a register.
fn is_end(seen: &Seen<'_>) -> bool {
    seen.separator || seen.measured.bytes() == Some(CLOSED)
}
