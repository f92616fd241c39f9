//! Text to tokens, one at a time, each with its place.
//! Policy language, section 2.1; bad inputs, rows POL-13 and POL-14.
//!
//! Outside strings and comments the text is ASCII. A comment ends at the end of its line, a lone carriage return
//! included, so that no editor shows as text what the engine skips.

use crate::diagnostic::{Diagnostic, Severity, Span};

use super::mend;
use super::strings;

/// Signs of the language; a longer one stands before its beginnings.
const SIGNS: [&str; 18] =
    ["=>", "==", "!=", "<=", ">=", "&&", "{", "}", "[", "]", "(", ")", ";", ":", ",", ".", "=", "<"];
const LAST_SIGNS: [&str; 2] = [">", "!"];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// An identifier or a keyword: which, the parser knows.
    Word,
    /// Digits, a dot, digits.
    Version,
    Integer(i64),
    /// A string, escapes read.
    Text(String),
    Sign(&'static str),
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// As written, quotes included; `<EOF>` at the end.
    pub(super) text: &'a str,
    pub(super) span: Span,
}

impl Token<'_> {
    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign(mine) if mine == sign)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }
}

/// A cursor over the text.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(source: &'a str) -> Self {
        Self { source, at: 0, line: 1, column: 1 }
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn here(&self) -> Span {
        Span { start: self.at, end: self.at, line: self.line, column: self.column }
    }

    fn advance(&mut self, bytes: usize) {
        let end = self.at.saturating_add(bytes).min(self.source.len());
        let mut characters = self.source.get(self.at..end).unwrap_or_default().chars().peekable();
        while let Some(character) = characters.next() {
            let after = characters.peek().copied().or_else(|| self.source.get(end..)?.chars().next());
            if character == '\n' || (character == '\r' && after != Some('\n')) {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at = end;
    }

    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            self.advance(blank);
            if !self.rest().starts_with("//") {
                return;
            }
            let rest = self.rest();
            self.advance(rest.find(['\n', '\r']).unwrap_or(rest.len()));
        }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Diagnostic> {
        self.space();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token { kind: Kind::End, text: "<EOF>", span: self.here() });
        };
        if first == '"' {
            return self.string();
        }
        if first.is_ascii_digit()
            || (first == '-' && rest.as_bytes().get(1).copied().is_some_and(|byte| byte.is_ascii_digit()))
        {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(self.token(Kind::Word, word_length(rest)));
        }
        // Two signs of other languages that begin like two of this one.
        let foreign = rest.starts_with("===") || rest.starts_with("!==") || rest.starts_with("/*");
        match SIGNS.iter().chain(&LAST_SIGNS).find(|sign| rest.starts_with(**sign)) {
            Some(sign) if !foreign => Ok(self.token(Kind::Sign(sign), sign.len())),
            _ => Err(self.unknown(first)),
        }
    }

    fn token(&mut self, kind: Kind, bytes: usize) -> Token<'a> {
        let begins = self.here();
        let text = self.rest().get(..bytes).unwrap_or_default();
        self.advance(bytes);
        Token { kind, text, span: Span { end: self.at, ..begins } }
    }

    fn number(&mut self) -> Result<Token<'a>, Diagnostic> {
        let rest = self.rest();
        let minus = usize::from(rest.starts_with('-'));
        let digits = |from: usize| rest.bytes().skip(from).take_while(u8::is_ascii_digit).count();
        let whole = minus + digits(minus);
        let fraction = if rest.as_bytes().get(whole) == Some(&b'.') { digits(whole + 1) } else { 0 };
        let length = if fraction > 0 { whole + 1 + fraction } else { whole };
        let tail = word_length(rest.get(length..).unwrap_or_default());
        if tail > 0 {
            return Err(self.fault(length + tail, "an integer is decimal digits and nothing else"));
        }
        if fraction > 0 {
            return Ok(self.token(Kind::Version, length));
        }
        match rest.get(..whole).unwrap_or_default().parse() {
            Ok(value) => Ok(self.token(Kind::Integer(value), whole)),
            Err(_) => Err(self.fault(whole, "an integer lies between -9223372036854775808 and 9223372036854775807")),
        }
    }

    fn string(&mut self) -> Result<Token<'a>, Diagnostic> {
        let rest = self.rest();
        match strings::read(rest) {
            Ok((text, length)) => Ok(self.token(Kind::Text(text), length)),
            Err(flaw) => {
                let begins = self.here();
                self.advance(flaw.at);
                let place = if flaw.within { self.here() } else { begins };
                let start = place.start - begins.start;
                let written = rest.get(start..start + flaw.bytes).unwrap_or_default();
                Err(recognition(Span { end: place.start + flaw.bytes, ..place }, written).help(flaw.help))
            }
        }
    }

    fn fault(&self, bytes: usize, help: &str) -> Diagnostic {
        let written = self.rest().get(..bytes).unwrap_or_default();
        recognition(Span { end: self.at + bytes, ..self.here() }, written).help(help)
    }

    fn unknown(&self, first: char) -> Diagnostic {
        let rest = self.rest();
        let bytes = match first {
            '|' | '&' | '/' | '=' | '!' => rest.bytes().take_while(|byte| b"|&/*=!".contains(byte)).count().min(3),
            other => other.len_utf8(),
        };
        self.fault(bytes, &mend::of_character(rest, self.at == 0))
    }
}

fn word_length(rest: &str) -> usize {
    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

fn recognition(span: Span, written: &str) -> Diagnostic {
    let shown = shown(written);
    let message = format!("token recognition error at: '{shown}'");
    Diagnostic::new("policy-invalid", Severity::Error, span, message).symbol(&shown)
}

/// A piece of the text for a message: one line, controls and what cannot be seen escaped, 64 characters at most.
pub(super) fn shown(written: &str) -> String {
    let mut out = String::new();
    for character in written.chars().take(64) {
        if character.is_control() || strings::is_unseen(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}
