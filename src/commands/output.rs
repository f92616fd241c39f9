//! What a command prints: tables on a terminal, JSON in a pipe.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use keygate_verifier::UnixTime;
use serde_json::Value;

/// Longest word that a list keeps whole, and what it shows of a digest.
const LONGEST_WORD: usize = 24;
const DIGEST: usize = 12;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs: one value a line.
    Jsonl,
}

impl Format {
    /// What was asked for, else a table on a terminal and JSON in a pipe.
    pub fn chosen(asked: Option<Format>) -> Self {
        asked.unwrap_or(if std::io::stdout().is_terminal() { Self::Table } else { Self::Json })
    }
}

/// Standard output in one of the two formats.
pub struct Output {
    format: Format,
}

impl Output {
    /// An output in this format.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether a program reads.
    pub fn is_json(&self) -> bool {
        self.format != Format::Table
    }

    /// One object: a table of its members, nested ones by dotted path.
    pub fn object(&self, value: &Value) {
        match self.format {
            Format::Json => return line(&serde_json::to_string_pretty(value).unwrap_or_default()),
            Format::Jsonl => return line(&value.to_string()),
            Format::Table => {}
        }
        let mut rows = Vec::new();
        flatten("", value, &mut rows);
        let mut table = plain();
        for (path, text) in rows {
            table.add_row([path, text]);
        }
        line(&table.to_string());
    }

    /// A list of objects: a table with these columns.
    pub fn list(&self, columns: &[(&str, &str)], rows: &[Value]) {
        match self.format {
            Format::Json => return line(&serde_json::to_string_pretty(rows).unwrap_or_default()),
            Format::Jsonl => return rows.iter().for_each(|row| line(&row.to_string())),
            Format::Table => {}
        }
        line(&listed(columns, rows).to_string());
    }

    /// A sentence for people; programs get nothing.
    pub fn say(&self, sentence: &str) {
        if !self.is_json() {
            line(sentence);
        }
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // A pipe has no width, and some terminals say none.
    if !std::io::stdout().is_terminal() || table.width().is_none_or(|width| width < 40) {
        table.set_width(80);
    }
    table
}

/// The table of a list.
fn listed(columns: &[(&str, &str)], rows: &[Value]) -> Table {
    let mut cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|(_, path)| short(path, row.pointer(path).unwrap_or(&Value::Null))).collect())
        .collect();
    // A column that says nothing takes room from those that do.
    let told: Vec<usize> = (0..columns.len())
        .filter(|column| cells.is_empty() || cells.iter().any(|row| row.get(*column).is_some_and(|c| !c.is_empty())))
        .collect();
    let of = |row: &[String]| told.iter().filter_map(|column| row.get(*column).cloned()).collect::<Vec<_>>();
    let mut table = plain();
    table.set_header(told.iter().filter_map(|column| columns.get(*column)).map(|(title, _)| *title));
    for row in &cells {
        table.add_row(of(row));
    }
    let titles: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    cells.push(titles);
    keep_words(&mut table, &told.iter().map(|column| longest_word(&cells, *column)).collect::<Vec<_>>());
    table
}

/// The longest word of a column, as far as a word is kept whole.
fn longest_word(cells: &[Vec<String>], column: usize) -> u16 {
    let words = cells.iter().filter_map(|row| row.get(column)).flat_map(|cell| cell.split_whitespace());
    let longest = words.map(|word| word.chars().count()).filter(|length| *length <= LONGEST_WORD).max();
    u16::try_from(longest.unwrap_or_default()).unwrap_or_default()
}

/// Breaks no word of a column, narrowest columns first, as long as they all fit beside each other.
fn keep_words(table: &mut Table, words: &[u16]) {
    // A blank on both sides of a cell, and room for a few letters of every column that gets no bound.
    let others = |after: usize| u16::try_from(words.len().saturating_sub(after)).unwrap_or(u16::MAX).saturating_mul(10);
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|column| words.get(*column).copied().unwrap_or_default());
    let mut taken = 0_u16;
    for (place, column) in order.into_iter().enumerate() {
        let wanted = words.get(column).copied().unwrap_or_default().saturating_add(2);
        taken = taken.saturating_add(wanted);
        if taken.saturating_add(others(place + 1)) > table.width().unwrap_or(80) {
            return;
        }
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(wanted)));
        }
    }
}

fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away ends the output, not the command.
    let _ = writeln!(out, "{text}");
}

fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, member, rows);
            }
        }
        Value::Null => {}
        other => rows.push((path.to_owned(), cell(path, other))),
    }
}

/// A value of a list, where digests are told by their beginnings and times to the second.
fn short(path: &str, value: &Value) -> String {
    let text = cell(path, value);
    match path.rsplit('/').next() {
        Some("digest") if text.len() > DIGEST => format!("{}…", text.get(..DIGEST).unwrap_or(&text)),
        _ => text,
    }
}

/// A value of a table; times, which are unix seconds elsewhere, as people write them.
fn cell(path: &str, value: &Value) -> String {
    let name = path.rsplit(['.', '/']).next().unwrap_or_default();
    let is_time =
        matches!(name, "at" | "created" | "updated" | "expires" | "not_before" | "signs_from") || name.ends_with("_at");
    match value.as_i64().filter(|_| is_time) {
        Some(seconds) => UnixTime::from_secs(seconds).to_string(),
        None => text(value),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_fits_a_terminal_and_breaks_no_time() {
        let columns = [("type", "/type"), ("at", "/at"), ("key", "/key"), ("reason", "/reason"), ("digest", "/digest")];
        let rows = [
            json!({"type": "SgxEnclave", "at": 1_795_791_076, "reason": "a reason ".repeat(20), "digest": "V".repeat(43)}),
            json!({"type": "Tpm", "key": null}),
        ];
        let text = listed(&columns, &rows).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("2026-11-27T14:51:16Z") && text.contains("VVVVVVVVVVVV…"), "{text}");
        assert!(!text.contains("key"), "an empty column takes no room: {text}");
        assert!(listed(&columns, &[]).to_string().contains("key"), "without rows the titles stand");
    }
}
