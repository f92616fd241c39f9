//! Tokens to tree, by recursive descent; the first fault ends the reading.
//! Policy language, sections 1, 2 and 8.
//!
//! What a version does not have is refused where it is written, like a token that does not fit. The path of grammar rules
//! that a fault names is the path of the functions below.

mod rule;

use crate::diagnostic::Diagnostic;

use super::ast::{Policy, Rule, Section, Version};
use super::fault::{Expected, Manner, unexpected};
use super::lexer::{Kind, Lexer, Token};
use super::{check, mend};

/// Reads a policy.
pub(super) fn parse(source: &str) -> Result<Policy, Diagnostic> {
    let mut lexer = Lexer::new(source);
    let current = lexer.next().map_err(|fault| fault.at("policy > versionInfo"))?;
    let mut parser = Parser { lexer, current, version: Version::V1_0, section: None, part: None };
    parser.policy()
}

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    current: Token<'a>,
    version: Version,
    /// `None` within the version.
    section: Option<Section>,
    /// Below the section: `rule`, `rule > condition`, `rule > action`.
    part: Option<&'static str>,
}

type Read<T> = Result<T, Diagnostic>;

impl<'a> Parser<'a> {
    fn path(&self) -> String {
        let section = self.section.map_or("versionInfo", Section::segment);
        match self.part {
            Some(part) => format!("policy > {section} > {part}"),
            None => format!("policy > {section}"),
        }
    }

    /// Takes the current token and reads the next one.
    fn take(&mut self) -> Read<Token<'a>> {
        let next = self.lexer.next().map_err(|fault| fault.at(&self.path()))?;
        Ok(std::mem::replace(&mut self.current, next))
    }

    /// The token behind the current one, if there is one that can be read.
    fn ahead(&self) -> Option<Token<'a>> {
        self.lexer.clone().next().ok()
    }

    fn expect(&mut self, sign: &'static str) -> Read<Token<'a>> {
        if self.current.is(sign) { self.take() } else { Err(self.unexpected(&[Expected::Sign(sign)])) }
    }

    /// The current token does not fit. Where the one behind it would, it is extraneous.
    fn unexpected(&self, expected: &[Expected]) -> Diagnostic {
        let fits = |token: &Token<'_>| {
            expected.iter().any(|one| match one {
                Expected::Sign(sign) => token.text == *sign,
                _ => false,
            })
        };
        let extraneous = self.current.kind != Kind::End && self.ahead().is_some_and(|next| fits(&next));
        let manner = if extraneous { Manner::Extraneous } else { Manner::Mismatched };
        self.fault(manner, expected)
    }

    fn fault(&self, manner: Manner, expected: &[Expected]) -> Diagnostic {
        let fault = unexpected(&self.current, manner, expected).at(&self.path());
        match mend::of_token(&self.current, expected, self.version, self.section) {
            Some(help) => fault.help(help),
            None => fault,
        }
    }

    fn policy(&mut self) -> Read<Policy> {
        self.version()?;
        let configuration = self.section(Section::Configuration)?;
        let Some(authorization) = self.section(Section::Authorization)? else {
            self.section = Some(Section::Authorization);
            let mut expected = vec![Expected::Sign(Section::Authorization.as_str())];
            if configuration.is_none() && self.version > Version::V1_0 {
                expected.insert(0, Expected::Sign(Section::Configuration.as_str()));
            }
            return Err(self.unexpected(&expected));
        };
        let issuance = self.section(Section::Issuance)?;
        if self.current.kind != Kind::End {
            let mut expected = vec![Expected::End];
            if issuance.is_none() {
                expected.insert(0, Expected::Sign(Section::Issuance.as_str()));
                self.section = Some(Section::Issuance);
            }
            return Err(self.unexpected(&expected));
        }
        Ok(Policy { version: self.version, configuration, authorization, issuance })
    }

    fn version(&mut self) -> Read<()> {
        if !(self.current.kind == Kind::Word && self.current.text.eq_ignore_ascii_case("version")) {
            return Err(self.unexpected(&[Expected::Sign("version")]));
        }
        self.take()?;
        self.expect("=")?;
        if self.current.kind != Kind::Version {
            return Err(self.fault(Manner::Mismatched, &[Expected::Version]));
        }
        let known = Version::ALL.into_iter().find(|version| version.as_str() == self.current.text);
        let Some(version) = known else {
            return Err(self.fault(Manner::Mismatched, &Version::ALL.map(|version| Expected::Sign(version.as_str()))));
        };
        self.version = version;
        self.take()?;
        self.expect(";")?;
        Ok(())
    }

    /// The rules of a section, `None` where another one stands there.
    fn section(&mut self, section: Section) -> Read<Option<Vec<Rule>>> {
        let named = self.current.kind == Kind::Word && self.current.text.eq_ignore_ascii_case(section.as_str());
        if !named {
            return Ok(None);
        }
        self.section = Some(section);
        if section == Section::Configuration && self.version == Version::V1_0 {
            return Err(self.fault(Manner::Mismatched, &[Expected::Sign(Section::Authorization.as_str())]));
        }
        self.take()?;
        self.expect("{")?;
        let mut rules = Vec::new();
        while !self.current.is("}") {
            self.part = Some("rule");
            let rule = self.rule(section)?;
            check::rule(section, &rules, &rule).map_err(|(part, fault)| {
                self.part = Some(part);
                fault.at(&self.path())
            })?;
            rules.push(rule);
            self.part = None;
        }
        self.take()?;
        self.expect(";")?;
        Ok(Some(rules))
    }
}
