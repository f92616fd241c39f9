//! Bytes to tree: one pass, bounded depth, every bound checked before the memory is spent.
//! RFC 8259, section 2.

use std::collections::HashSet;

use super::{Kind, Member, Node, number, text};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::limits::Limits;

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Node, Diagnostic> {
    if bytes.len() > limits.bytes {
        let message = format!("document is {} bytes, at most {}", bytes.len(), limits.bytes);
        return Err(too_large(Span { line: 1, column: 1, ..Span::default() }, message));
    }
    let source = match std::str::from_utf8(bytes) {
        Ok(source) => source,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let before = std::str::from_utf8(valid).unwrap_or_default();
            let mut reader = Reader::new(before, limits);
            let span = reader.span(before.len(), before.len());
            return Err(malformed(span, "text is not utf-8"));
        }
    };
    let mut reader = Reader::new(source, limits);
    if source.starts_with('\u{feff}') {
        return Err(reader.fault(0, "text begins with a byte order mark"));
    }
    reader.space();
    let node = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.unexpected(&["end of text"])),
    }
}

/// A cursor over the text. `mark` is the last place whose line and column were worked out; places are asked for in
/// rising order, so that counting them is one walk over the text.
pub(super) struct Reader<'a> {
    source: &'a str,
    at: usize,
    limits: &'a Limits,
    members: usize,
    mark: Span,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, limits: &'a Limits) -> Self {
        let mark = Span { start: 0, end: 0, line: 1, column: 1 };
        Self { source, at: 0, limits, members: 0, mark }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.source.get(start..end).unwrap_or_default()
    }

    fn span(&mut self, start: usize, end: usize) -> Span {
        let from = if start < self.mark.start { Span { start: 0, end: 0, line: 1, column: 1 } } else { self.mark };
        let mut mark = Span { start, end, ..from };
        for character in self.slice(from.start, start).chars() {
            if character == '\n' {
                mark.line += 1;
                mark.column = 1;
            } else {
                mark.column += 1;
            }
        }
        self.mark = mark;
        mark
    }

    pub(super) fn fault(&mut self, start: usize, message: &str) -> Diagnostic {
        let span = self.span(start, self.at.max(start));
        malformed(span, message).symbol(self.slice(start, self.at))
    }

    pub(super) fn excess(&mut self, start: usize, message: String) -> Diagnostic {
        let span = self.span(start, self.at.max(start));
        too_large(span, message)
    }

    fn unexpected(&mut self, expected: &[&str]) -> Diagnostic {
        let found = self.rest().chars().next();
        let width = found.map_or(0, char::len_utf8);
        let span = self.span(self.at, self.at + width);
        let (message, symbol) = match found {
            Some(character) => (format!("unexpected `{}`", character.escape_default()), character.to_string()),
            None => ("text ends too early".to_owned(), String::new()),
        };
        malformed(span, message).symbol(&symbol).expected(expected.iter().copied())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Diagnostic> {
        let start = self.at;
        let begins = self.span(start, start);
        let kind = match self.peek() {
            Some(b'{') => self.object(depth + 1)?,
            Some(b'[') => self.list(depth + 1)?,
            Some(b'"') => Kind::Text(text::read(self)?),
            Some(b'-' | b'0'..=b'9') => number::read(self)?,
            _ => self.word()?,
        };
        Ok(Node { kind, span: Span { end: self.at, ..begins } })
    }

    fn word(&mut self) -> Result<Kind, Diagnostic> {
        for (word, kind) in [("true", Kind::Bool(true)), ("false", Kind::Bool(false)), ("null", Kind::Null)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        Err(self.unexpected(&["a value"]))
    }

    fn descend(&mut self, depth: usize) -> Result<(), Diagnostic> {
        if depth > self.limits.depth {
            let message = format!("nested deeper than {}", self.limits.depth);
            return Err(self.excess(self.at, message));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn count(&mut self) -> Result<(), Diagnostic> {
        self.members += 1;
        if self.members > self.limits.members {
            let message = format!("more than {} members and elements", self.limits.members);
            return Err(self.excess(self.at, message));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Diagnostic> {
        self.descend(depth)?;
        let mut nodes = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::List(nodes));
        }
        loop {
            self.count()?;
            nodes.push(self.value(depth)?);
            if !self.another(b']', "`]`")? {
                return Ok(Kind::List(nodes));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Diagnostic> {
        self.descend(depth)?;
        let mut members: Vec<Member> = Vec::new();
        let mut names: HashSet<String> = HashSet::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Object(members));
        }
        loop {
            self.count()?;
            let member = self.member(depth)?;
            if !names.insert(member.name.clone()) {
                let message = format!("member `{}` stands twice", member.name.escape_default());
                return Err(malformed(member.name_span, message).symbol(&member.name));
            }
            members.push(member);
            if !self.another(b'}', "`}`")? {
                return Ok(Kind::Object(members));
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member, Diagnostic> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(&["a member name in double quotes"]));
        }
        let begins = self.span(start, start);
        let name = text::read(self)?;
        if name.len() > self.limits.name_bytes {
            let message = format!("member name longer than {} bytes", self.limits.name_bytes);
            return Err(too_large(begins, message));
        }
        if name.contains('\0') {
            return Err(malformed(begins, "member name holds a nul"));
        }
        let name_span = Span { end: self.at, ..begins };
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected(&["`:`"]));
        }
        self.at += 1;
        self.space();
        let value = self.value(depth)?;
        Ok(Member { name, name_span, value })
    }

    /// After a member or element: true where a comma announces another one, false where the bracket closes.
    fn another(&mut self, close: u8, shown: &str) -> Result<bool, Diagnostic> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(&["`,`", shown])),
        }
    }
}

fn malformed(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("malformed", Severity::Error, span, message)
}

fn too_large(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("too-large", Severity::Error, span, message)
}
