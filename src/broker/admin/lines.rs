//! What differs between two texts, line by line.
//!
//! `native-api.md` section 2 (`keygate policy diff`). The longest common sequence of lines; where two texts have too little in common
//! for it to be sought in reason, all of one stands against all of the other.

use serde_json::{Value, json};

/// Lines that stay the same and are told before and behind a change.
const AROUND: usize = 2;
/// Most pairs of lines that are compared: a table of as many small numbers.
const MOST_PAIRS: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Kept,
    Removed,
    Added,
}

/// The changed lines and those around them: `mark` (`-`, `+` or a blank), `before` and `after` (line numbers from 1, where it stands
/// there), `text`. Nothing where the texts are equal.
pub fn difference(before: &str, after: &str) -> Vec<Value> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let marks = marks(&old, &new);
    let is_near = |place: usize| {
        let (from, to) = (place.saturating_sub(AROUND), (place + AROUND + 1).min(marks.len()));
        marks.get(from..to).unwrap_or_default().iter().any(|mark| *mark != Mark::Kept)
    };
    let (mut left, mut right) = (old.iter().zip(1_usize..), new.iter().zip(1_usize..));
    let mut told = Vec::new();
    for (place, mark) in marks.iter().enumerate() {
        let was = if *mark == Mark::Added { None } else { left.next() };
        let is = if *mark == Mark::Removed { None } else { right.next() };
        let Some((text, _)) = was.or(is) else { continue };
        if !is_near(place) {
            continue;
        }
        let sign = match mark {
            Mark::Kept => " ",
            Mark::Removed => "-",
            Mark::Added => "+",
        };
        let number = |line: Option<(&&str, usize)>| line.map(|(_, number)| number);
        let text = text.trim_end_matches('\r');
        told.push(json!({"mark": sign, "before": number(was), "after": number(is), "text": text}));
    }
    told
}

fn marks(old: &[&str], new: &[&str]) -> Vec<Mark> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let old = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    let mut marks = vec![Mark::Kept; head];
    marks.extend(middle(old, new));
    marks.extend(std::iter::repeat_n(Mark::Kept, tail));
    marks
}

fn middle(old: &[&str], new: &[&str]) -> Vec<Mark> {
    let width = new.len() + 1;
    if old.len().saturating_mul(width) > MOST_PAIRS {
        let removed = std::iter::repeat_n(Mark::Removed, old.len());
        return removed.chain(std::iter::repeat_n(Mark::Added, new.len())).collect();
    }
    // common[i * width + j]: lines that old[i..] and new[j..] have in common, at most.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let at = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, line) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let longest = match line == other {
                true => at(&common, i + 1, j + 1) + 1,
                false => at(&common, i + 1, j).max(at(&common, i, j + 1)),
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let (mut i, mut j, mut marks) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && old.get(i) == new.get(j) {
            marks.push(Mark::Kept);
            (i, j) = (i + 1, j + 1);
        } else if j >= new.len() || (i < old.len() && at(&common, i + 1, j) >= at(&common, i, j + 1)) {
            marks.push(Mark::Removed);
            i += 1;
        } else {
            marks.push(Mark::Added);
            j += 1;
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> String {
        let lines = difference(before, after);
        let text = |line: &Value| format!("{}{}", line["mark"].as_str().unwrap(), line["text"].as_str().unwrap());
        lines.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_changed_line_stands_between_its_neighbours() {
        let before = "a\nb\nc\nd\ne\nf\ng";
        assert_eq!(told(before, "a\nb\nc\nD\ne\nf\ng"), " b\n c\n-d\n+D\n e\n f");
        assert_eq!(told(before, before), "");
        assert_eq!(told("", "a"), "-\n+a");
        assert_eq!(told("a\nb", "b\na"), "-a\n b\n+a");
    }

    #[test]
    fn numbers_are_those_of_each_side() {
        let lines = difference("a\nb\nc", "a\nx\ny\nc");
        let numbers: Vec<_> = lines.iter().map(|line| (line["before"].as_u64(), line["after"].as_u64())).collect();
        assert_eq!(
            numbers,
            [(Some(1), Some(1)), (Some(2), None), (None, Some(2)), (None, Some(3)), (Some(3), Some(4))]
        );
    }

    #[test]
    fn texts_without_measure_end_all_the_same() {
        let lines = |word: &str| (0..3_000).map(|n| format!("{word}{n}")).collect::<Vec<_>>().join("\n");
        assert_eq!(difference(&lines("a"), &lines("b")).len(), 6_000);
    }
}
