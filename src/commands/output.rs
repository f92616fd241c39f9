//! What a command prints: tables on a terminal, JSON in a pipe.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use keygate_verifier::UnixTime;
use serde_json::Value;

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
        let mut table = plain();
        table.set_header(columns.iter().map(|(title, _)| *title));
        for row in rows {
            table.add_row(columns.iter().map(|(_, path)| cell(path, row.pointer(path).unwrap_or(&Value::Null))));
        }
        line(&table.to_string());
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
