//! The claim types that the conditions of a policy name, numbered, and the claims of an evaluation by those numbers.
//! Performance floor, policies: nothing is hashed and nothing allocated for each type or claim.

use std::collections::HashMap;

/// Names of this length and longer stand together.
const LONG: usize = 128;

/// The names of a policy. Their number is found by length first: most claims have no name of theirs in the policy, and most
/// lengths belong to few names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By length, then by text, each with its number.
    sorted: Vec<(String, usize)>,
    /// Where the names of each length begin in `sorted`; the next entry says where they end.
    begins: Vec<usize>,
}

/// Numbers names in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Numbering(HashMap<String, usize>);

impl Numbering {
    pub(super) fn add(&mut self, name: &str) -> usize {
        if let Some(known) = self.0.get(name) {
            return *known;
        }
        let number = self.0.len();
        self.0.insert(name.to_owned(), number);
        number
    }

    pub(super) fn finish(self) -> Names {
        let mut sorted: Vec<(String, usize)> = self.0.into_iter().collect();
        sorted.sort_by(|(one, _), (other, _)| slot(one).cmp(&slot(other)).then_with(|| one.cmp(other)));
        let longest = sorted.last().map_or(0, |(name, _)| slot(name));
        let begins = (0..=longest + 1).map(|length| sorted.partition_point(|(name, _)| slot(name) < length)).collect();
        Names { sorted, begins }
    }
}

fn slot(name: &str) -> usize {
    name.len().min(LONG)
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        let length = slot(name);
        let (begin, end) = (*self.begins.get(length)?, *self.begins.get(length + 1)?);
        let candidates = self.sorted.get(begin..end)?;
        let found = candidates.binary_search_by(|(mine, _)| mine.as_str().cmp(name)).ok()?;
        candidates.get(found).map(|(_, number)| *number)
    }
}

/// No claim.
const NONE: u32 = u32::MAX;

/// Claims by the number of their type, in the order in which they came: a chain for each number.
#[derive(Debug)]
pub(super) struct Index {
    /// First and last claim of each number.
    ends: Vec<(u32, u32)>,
    /// The claim behind each.
    next: Vec<u32>,
}

impl Index {
    /// For so many numbers, and about so many claims.
    pub(super) fn new(numbers: usize, claims: usize) -> Self {
        Self { ends: vec![(NONE, NONE); numbers], next: Vec::with_capacity(claims) }
    }

    /// Adds the next claim; `number` is that of its type, if the policy names it.
    pub(super) fn add(&mut self, number: Option<usize>) {
        let claim = u32::try_from(self.next.len()).unwrap_or(NONE);
        self.next.push(NONE);
        let Some((first, last)) = number.and_then(|number| self.ends.get_mut(number)) else { return };
        match usize::try_from(*last).ok().and_then(|last| self.next.get_mut(last)) {
            Some(before) => *before = claim,
            None => *first = claim,
        }
        *last = claim;
    }

    /// The claims of a number.
    pub(super) fn of(&self, number: usize) -> impl Iterator<Item = u32> {
        let mut at = self.ends.get(number).map_or(NONE, |(first, _)| *first);
        std::iter::from_fn(move || {
            let here = at;
            at = *usize::try_from(here).ok().and_then(|here| self.next.get(here))?;
            Some(here)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_not() {
        let long = "x".repeat(LONG);
        let longer = "x".repeat(LONG + 1);
        let mut numbering = Numbering::default();
        let added = ["svn", "tee", "svn", "", "x-ms-sgx-svn", &long, &longer].map(|name| numbering.add(name));
        assert_eq!(added, [0, 1, 0, 2, 3, 4, 5]);
        let names = numbering.finish();
        assert_eq!(names.len(), 6);
        let found = ["svn", "tee", "", "x-ms-sgx-svn", &long, &longer].map(|name| names.number(name));
        assert_eq!(found, [0, 1, 2, 3, 4, 5].map(Some));
        for other in ["svm", "x", "x-ms-sgx-svm", &"x".repeat(LONG - 1), &"x".repeat(LONG + 2)] {
            assert_eq!(names.number(other), None, "{other}");
        }
        assert_eq!(Names::default().number("svn"), None);
    }

    #[test]
    fn claims_of_a_number_keep_their_order() {
        let mut index = Index::new(2, 0);
        [Some(1), None, Some(0), Some(1), Some(7), Some(1)].into_iter().for_each(|number| index.add(number));
        let of = |number| index.of(number).collect::<Vec<_>>();
        assert_eq!((of(0), of(1), of(2), of(7)), (vec![2], vec![0, 3, 5], vec![], vec![]));
    }
}
