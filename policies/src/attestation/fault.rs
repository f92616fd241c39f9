//! How a text fails: what stands there, what could stand there, and under which rule of the grammar.
//! Policy language, section 8.

use crate::diagnostic::{Diagnostic, Severity, Span};

use super::lexer::{Token, shown};

/// The code of whatever is wrong with a policy's text, but for its size.
pub(super) const INVALID: &str = "policy-invalid";

/// Something the grammar could take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A sign or a word of the language.
    Sign(&'static str),
    Identifier,
    Text,
    Integer,
    Version,
    End,
}

impl Expected {
    /// As the original's parser writes it.
    fn original(self) -> String {
        match self {
            Self::Sign(sign) => format!("'{sign}'"),
            Self::Identifier => "IDENT".to_owned(),
            Self::Text => "STRING".to_owned(),
            Self::Integer => "INTEGER".to_owned(),
            Self::Version => "VERSION".to_owned(),
            Self::End => "<EOF>".to_owned(),
        }
    }

    fn ours(self) -> String {
        match self {
            Self::Sign(sign) => format!("`{sign}`"),
            Self::Identifier => "an identifier".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::Integer => "an integer".to_owned(),
            Self::Version => "a version".to_owned(),
            Self::End => "end of text".to_owned(),
        }
    }
}

/// How the original's parser speaks of a token that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Another token belongs there.
    Mismatched,
    /// Without this token the text would go on.
    Extraneous,
    /// No branch of the grammar begins so.
    NoViable,
}

/// A token that does not fit.
pub(super) fn unexpected(found: &Token<'_>, manner: Manner, expected: &[Expected]) -> Diagnostic {
    let symbol = shown(found.text);
    let wanted: Vec<String> = expected.iter().map(|one| one.original()).collect();
    let set = if let [one] = wanted.as_slice() { one.clone() } else { format!("{{{}}}", wanted.join(", ")) };
    let message = match manner {
        Manner::Mismatched => format!("mismatched input '{symbol}' expecting {set}"),
        Manner::Extraneous => format!("extraneous input '{symbol}' expecting {set}"),
        Manner::NoViable => format!("no viable alternative at input '{symbol}'"),
    };
    let ours = expected.iter().map(|one| one.ours());
    Diagnostic::new(INVALID, Severity::Error, found.span, message).symbol(&symbol).expected(ours)
}

/// A text whose form is right and whose meaning is not. The message stays on one line whatever it repeats of the text.
pub(super) fn meaningless(span: Span, symbol: &str, message: impl Into<String>) -> Diagnostic {
    let mut line = String::new();
    for character in message.into().chars() {
        if character.is_control() {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    Diagnostic::new(INVALID, Severity::Error, span, line).symbol(&shown(symbol))
}

/// A text that is more than the engine reads.
pub(super) fn too_large(span: Span, symbol: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("too-large", Severity::Error, span, message).symbol(&shown(symbol))
}
