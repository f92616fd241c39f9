//! What is wrong with a text, where, and what to write instead.
//! Native API, section 7 (`rule check`); secure key release, section 1.

use serde::Serialize;

/// A place in the text: bytes `start..end`, and line and column of its first character, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; nothing is refused.
    Warning,
    /// Refused at the native door unless forced with a reason.
    Refusal,
    /// The text means nothing; it cannot be forced.
    Error,
}

/// One finding about a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code: `malformed`, `too-large`, `rule-invalid`, `policy-invalid`; `rule-…` and `policy-warning` with a suffix
    /// where the linter speaks.
    pub code: &'static str,
    /// Error, refusal or warning.
    pub severity: Severity,
    /// Line, from 1; 0 where the finding has no place in the text.
    pub line: usize,
    /// Column in characters, from 1; 0 where the finding has no place in the text.
    pub column: usize,
    /// The offending piece as written, cut to 64 characters.
    pub symbol: String,
    /// What could stand there instead.
    pub expected: Vec<String>,
    /// Place in the document, for example `rules.release.anyOf[0].allOf[1]`; empty at the top.
    pub rule: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Bytes to underline.
    #[serde(skip)]
    pub span: Span,
}

impl Diagnostic {
    /// A diagnostic at `span`; symbol, expectation, place and help are added by the methods below.
    pub(crate) fn new(code: &'static str, severity: Severity, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            line: span.line,
            column: span.column,
            symbol: String::new(),
            expected: Vec::new(),
            rule: String::new(),
            message: message.into(),
            help: None,
            span,
        }
    }

    pub(crate) fn symbol(mut self, symbol: &str) -> Self {
        self.symbol = symbol.chars().take(64).collect();
        self
    }

    pub(crate) fn expected<S: Into<String>>(mut self, expected: impl IntoIterator<Item = S>) -> Self {
        self.expected = expected.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn at(mut self, rule: &str) -> Self {
        self.rule = rule.to_owned();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
