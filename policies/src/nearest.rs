//! The known name a typo most likely meant.
//! Native API, section 6 asks it of settings; rules deserve it too.

/// The nearest of `known` within two edits, compared without regard to case.
pub(crate) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    if written.len() > 64 {
        return None;
    }
    let written = written.to_ascii_lowercase();
    known
        .iter()
        .map(|name| (distance(&written, &name.to_ascii_lowercase()), *name))
        .filter(|(edits, name)| *edits <= 2 && *edits < name.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Levenshtein, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (to, above) in right.iter().zip(row.iter().skip(1)) {
            let change = diagonal + usize::from(from != *to);
            diagonal = *above;
            before = change.min(above + 1).min(before + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name() {
        let known = ["equals", "notEquals", "exists"];
        assert_eq!(nearest("equal", &known), Some("equals"));
        assert_eq!(nearest("Exist", &known), Some("exists"));
        assert_eq!(nearest("greater", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
