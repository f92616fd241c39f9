//! A query as tokens, each with the offset of its first byte.
//! JMESPath specification, "Grammar"; JEP-12 (raw strings, literals).

use serde_json::Value;

use super::fault::Fault;
use super::{DEPTH, QUERY_BYTES};
use crate::json::{self, Kind};
use crate::limits::Limits;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    /// An identifier without quotes.
    Name(&'t str),
    /// An identifier in double quotes, escapes read.
    Quoted(String),
    /// An integer.
    Number(i64),
    /// A literal in backticks, or a raw string.
    Literal(Value),
    /// `[]`
    Flatten,
    /// `[?`
    Filter,
    /// Any other mark, as written.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lexeme<'t> {
    pub(super) token: Token<'t>,
    pub(super) offset: usize,
}

/// Every token of `text`; the last is [`Token::End`].
pub(super) fn read(text: &str) -> Result<Vec<Lexeme<'_>>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut lexemes = Vec::new();
    loop {
        lexer.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let offset = lexer.at;
        let token = lexer.token()?;
        let last = token == Token::End;
        lexemes.push(Lexeme { token, offset });
        if last {
            return Ok(lexemes);
        }
    }
}

/// Marks of two characters stand before those of one that they begin with.
const MARKS: [&str; 22] = [
    "||", "&&", "==", "!=", "<=", ">=", "|", "&", "!", "<", ">", ".", "*", "@", "[", "]", "(", ")", "{", "}", ",", ":",
];

/// A literal may be as large as the query, and no deeper.
const LITERAL: Limits = Limits {
    bytes: QUERY_BYTES,
    depth: DEPTH,
    members: QUERY_BYTES,
    name_bytes: QUERY_BYTES,
    number_bytes: QUERY_BYTES,
};

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The bytes at the cursor that `wanted` takes.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let count = rest.bytes().take_while(|byte| wanted(*byte)).count();
        self.at += count;
        rest.get(..count).unwrap_or_default()
    }

    fn token(&mut self) -> Result<Token<'t>, Fault> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                return Ok(Token::Name(self.skip(|byte| byte.is_ascii_alphanumeric() || byte == b'_')));
            }
            '0'..='9' | '-' => return self.number(),
            '"' => return self.quoted(),
            '\'' => return self.raw(),
            '`' => return self.literal(),
            _ => {}
        }
        if let Some((token, length)) = bracket(rest) {
            self.at += length;
            return Ok(token);
        }
        match MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            Some(mark) => {
                self.at += mark.len();
                Ok(Token::Mark(mark))
            }
            None if first == '=' => Err(Fault::syntax(self.at, "`=` alone means nothing; equality is `==`")),
            None => Err(Fault::syntax(self.at, format!("unexpected character `{}`", first.escape_debug()))),
        }
    }

    fn number(&mut self) -> Result<Token<'t>, Fault> {
        let (start, rest) = (self.at, self.rest());
        if rest.starts_with('-') {
            self.at += 1;
        }
        if self.skip(|byte| byte.is_ascii_digit()).is_empty() {
            return Err(Fault::syntax(start, "minus without digits"));
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        let number = written.parse().map_err(|_| Fault::syntax(start, "integer does not fit 64 bits"))?;
        Ok(Token::Number(number))
    }

    /// What stands between two `mark`s, with the place of the first. A backslash keeps the character after it; where that
    /// is the mark and `opens` is set, the backslash itself falls away.
    fn between(&mut self, mark: char, opens: bool) -> Result<String, Fault> {
        let start = self.at;
        let mut found = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((place, character)) = characters.next() {
            if character == mark {
                self.at = start + place + mark.len_utf8();
                return Ok(found);
            }
            if character != '\\' {
                found.push(character);
                continue;
            }
            let Some((_, kept)) = characters.next() else { break };
            if !(opens && kept == mark) {
                found.push('\\');
            }
            found.push(kept);
        }
        Err(Fault::syntax(start, format!("no closing `{mark}`")))
    }

    fn quoted(&mut self) -> Result<Token<'t>, Fault> {
        let start = self.at;
        self.between('"', false)?;
        let written = self.text.get(start..self.at).unwrap_or_default();
        match json::parse(written.as_bytes(), &LITERAL).map(|node| node.kind) {
            Ok(Kind::Text(text)) => Ok(Token::Quoted(text)),
            Ok(_) => Err(Fault::syntax(start, "quoted identifier is no string")),
            Err(found) => Err(Fault::syntax(start, format!("quoted identifier: {}", found.message))),
        }
    }

    fn raw(&mut self) -> Result<Token<'t>, Fault> {
        Ok(Token::Literal(Value::String(self.between('\'', true)?)))
    }

    fn literal(&mut self) -> Result<Token<'t>, Fault> {
        let start = self.at;
        let written = self.between('`', true)?;
        match json::parse(written.as_bytes(), &LITERAL) {
            Ok(node) => Ok(Token::Literal(node.to_value())),
            Err(found) => Err(Fault::syntax(start, format!("literal is no JSON value: {}", found.message))),
        }
    }
}

fn bracket(rest: &str) -> Option<(Token<'static>, usize)> {
    if rest.starts_with("[]") {
        Some((Token::Flatten, 2))
    } else if rest.starts_with("[?") {
        Some((Token::Filter, 2))
    } else {
        None
    }
}
