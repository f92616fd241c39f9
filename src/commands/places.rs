//! What is wrong with a text, shown where it is wrong. Keygate's contract, section 7.

use std::io::{IsTerminal as _, Write as _};

use ariadne::{Config, IndexType, Label, Report, ReportKind, Source};
use keygate_policies::{Diagnostic, Severity};

use super::exit::complain;

/// Shows each place on standard error: underlined on a terminal, a line each elsewhere.
pub fn show(name: &str, text: &str, found: &[Diagnostic]) {
    let color = std::io::stderr().is_terminal();
    for diagnostic in found {
        if diagnostic.line == 0 || !color {
            complain(&format!("{name}: {}: {diagnostic}", word(diagnostic.severity)));
            continue;
        }
        // A terminal that went away ends the picture, not the command.
        let _ = std::io::stderr().lock().write_all(&picture(name, text, diagnostic, color));
    }
}

/// The place underlined, with what could stand there and what to do about it.
fn picture(name: &str, text: &str, diagnostic: &Diagnostic, color: bool) -> Vec<u8> {
    let kind = match diagnostic.severity {
        Severity::Warning => ReportKind::Warning,
        Severity::Refusal | Severity::Error => ReportKind::Error,
    };
    let end = diagnostic.span.end.max(diagnostic.span.start.saturating_add(1)).min(text.len());
    let place = (name, diagnostic.span.start.min(end)..end);
    let mut report = Report::build(kind, place.clone())
        .with_config(Config::default().with_index_type(IndexType::Byte).with_color(color))
        .with_code(diagnostic.code)
        .with_message(&diagnostic.message)
        .with_label(Label::new(place).with_message(expectation(diagnostic)));
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help);
    }
    let mut picture = Vec::new();
    // Memory takes everything.
    let _ = report.finish().write((name, Source::from(text)), &mut picture);
    picture
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Refusal => "refused",
        Severity::Error => "error",
    }
}

fn expectation(diagnostic: &Diagnostic) -> String {
    match diagnostic.expected.as_slice() {
        [] => "here".to_owned(),
        expected => format!("expected {}", expected.join(" or ")),
    }
}
