//! Tokens become a tree by binding power, in one pass, no deeper than [`DEPTH`].
//! JMESPath specification, "Grammar" and "Operator precedence"; bad inputs, row POL-02.

use std::collections::BTreeMap;

use super::DEPTH;
use super::ast::{Argument, Ast, Call, Comparator, Over, Projection, Slice};
use super::fault::Fault;
use super::functions::Function;
use super::lexer::{self, Lexeme, Token};

/// The whole of `text` as one expression.
pub(super) fn parse(text: &str) -> Result<Ast, Fault> {
    let mut parser = Parser { lexemes: lexer::read(text)?, at: 0, depth: 0 };
    let tree = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(tree.ast),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

/// How tightly an operator holds what stands left of it.
mod power {
    pub(super) const PIPE: u8 = 1;
    pub(super) const OR: u8 = 2;
    pub(super) const AND: u8 = 3;
    pub(super) const COMPARE: u8 = 5;
    pub(super) const FLATTEN: u8 = 9;
    /// What is weaker than this ends a projection.
    pub(super) const PROJECTION: u8 = 10;
    pub(super) const STAR: u8 = 20;
    pub(super) const FILTER: u8 = 21;
    pub(super) const DOT: u8 = 40;
    pub(super) const NOT: u8 = 45;
    pub(super) const BRACKET: u8 = 55;
}

fn binding(token: &Token<'_>) -> u8 {
    match token {
        Token::Flatten => power::FLATTEN,
        Token::Filter => power::FILTER,
        Token::Mark("|") => power::PIPE,
        Token::Mark("||") => power::OR,
        Token::Mark("&&") => power::AND,
        Token::Mark("==" | "!=" | "<" | "<=" | ">" | ">=") => power::COMPARE,
        Token::Mark(".") => power::DOT,
        Token::Mark("[") => power::BRACKET,
        _ => 0,
    }
}

fn comparator(mark: &str) -> Option<Comparator> {
    Some(match mark {
        "==" => Comparator::Equal,
        "!=" => Comparator::NotEqual,
        "<" => Comparator::Less,
        "<=" => Comparator::LessOrEqual,
        ">" => Comparator::Greater,
        ">=" => Comparator::GreaterOrEqual,
        _ => return None,
    })
}

/// A tree and how many levels it has.
struct Tree {
    ast: Ast,
    height: usize,
}

impl Tree {
    const fn leaf(ast: Ast) -> Self {
        Self { ast, height: 1 }
    }
}

struct Parser<'t> {
    lexemes: Vec<Lexeme<'t>>,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn token(&self, ahead: usize) -> &Token<'t> {
        self.lexemes.get(self.at + ahead).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    fn peek(&self) -> &Token<'t> {
        self.token(0)
    }

    fn offset(&self) -> usize {
        self.lexemes.get(self.at).or(self.lexemes.last()).map_or(0, |lexeme| lexeme.offset)
    }

    /// The token at the cursor, which moves on; what owns memory is taken out, not copied.
    fn take(&mut self) -> Token<'t> {
        let taken = self.lexemes.get_mut(self.at).map(|lexeme| std::mem::replace(&mut lexeme.token, Token::End));
        self.at += 1;
        taken.unwrap_or(Token::End)
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }

    /// Whether `mark` stands at the cursor; if so, the cursor moves behind it.
    fn ate(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }

    fn demand(&mut self, mark: &str) -> Result<(), Fault> {
        if self.ate(mark) { Ok(()) } else { Err(self.unexpected(&format!("`{mark}`"))) }
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found = match self.peek() {
            Token::Name(name) => format!("`{}`", name.chars().take(64).collect::<String>()),
            Token::Quoted(_) => "a quoted identifier".to_owned(),
            Token::Number(number) => format!("`{number}`"),
            Token::Literal(_) => "a literal".to_owned(),
            Token::Flatten => "`[]`".to_owned(),
            Token::Filter => "`[?`".to_owned(),
            Token::Mark(mark) => format!("`{mark}`"),
            Token::End => "the end".to_owned(),
        };
        Fault::syntax(self.offset(), format!("found {found} where {expected} is expected"))
    }

    /// One level above the highest of `parts`.
    fn above(&self, ast: Ast, parts: &[usize]) -> Result<Tree, Fault> {
        let height = 1 + parts.iter().copied().max().unwrap_or(0);
        if height > DEPTH { Err(Fault::TooDeep { offset: self.offset() }) } else { Ok(Tree { ast, height }) }
    }

    /// `left` and then `right`; chains on either side are opened, since only their order counts.
    fn then(&self, left: Tree, right: Tree) -> Result<Tree, Fault> {
        self.join(left, right, Ast::Chain, |ast| match ast {
            Ast::Chain(parts) => Ok(parts),
            other => Err(other),
        })
    }

    /// Both sides in one flat node, which `make` makes and `open` opens.
    fn join(
        &self,
        left: Tree,
        right: Tree,
        make: impl Fn(Vec<Ast>) -> Ast,
        open: impl Fn(Ast) -> Result<Vec<Ast>, Ast>,
    ) -> Result<Tree, Fault> {
        let opened = |tree: Tree| match open(tree.ast) {
            Ok(parts) => (parts, tree.height.saturating_sub(1)),
            Err(single) => (vec![single], tree.height),
        };
        let ((mut parts, under), (more, beside)) = (opened(left), opened(right));
        parts.extend(more);
        self.above(make(parts), &[under, beside])
    }

    fn expression(&mut self, least: u8) -> Result<Tree, Fault> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::TooDeep { offset: self.offset() });
        }
        let mut left = self.prefix()?;
        while binding(self.peek()) > least {
            left = self.suffix(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// What can begin an expression.
    fn prefix(&mut self) -> Result<Tree, Fault> {
        let here = Tree::leaf(Ast::Current);
        match self.peek() {
            Token::Name(_) | Token::Quoted(_) => self.name(),
            Token::Literal(_) => match self.take() {
                Token::Literal(value) => Ok(Tree::leaf(Ast::Literal(value))),
                _ => Err(self.unexpected("a literal")),
            },
            Token::Flatten | Token::Filter => self.suffix(here),
            Token::Mark("@") => {
                self.at += 1;
                Ok(here)
            }
            Token::Mark("*") => {
                self.at += 1;
                self.values(here)
            }
            Token::Mark("!") => {
                self.at += 1;
                let inner = self.expression(power::NOT)?;
                self.above(Ast::Not(Box::new(inner.ast)), &[inner.height])
            }
            Token::Mark("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.demand(")")?;
                Ok(inner)
            }
            Token::Mark("{") => {
                self.at += 1;
                self.hash()
            }
            Token::Mark("[") => {
                let index = matches!(self.token(1), Token::Number(_) | Token::Mark(":"));
                let every = *self.token(1) == Token::Mark("*") && *self.token(2) == Token::Mark("]");
                if index || every {
                    return self.suffix(here);
                }
                self.at += 1;
                self.list()
            }
            _ => Err(self.unexpected("an expression")),
        }
    }

    /// What can follow an expression.
    fn suffix(&mut self, left: Tree) -> Result<Tree, Fault> {
        match self.take() {
            Token::Flatten => self.project(left, Over::Flattened, 0, power::FLATTEN),
            Token::Filter => {
                let condition = self.expression(0)?;
                self.demand("]")?;
                self.project(left, Over::Filtered(condition.ast), condition.height, power::FILTER)
            }
            Token::Mark(".") => {
                if self.ate("*") {
                    return self.values(left);
                }
                let right = self.after_dot(power::DOT)?;
                self.then(left, right)
            }
            Token::Mark("|") => {
                let right = self.expression(power::PIPE)?;
                self.then(left, right)
            }
            Token::Mark("||") => {
                let right = self.expression(power::OR)?;
                self.join(left, right, Ast::Or, |ast| match ast {
                    Ast::Or(parts) => Ok(parts),
                    other => Err(other),
                })
            }
            Token::Mark("&&") => {
                let right = self.expression(power::AND)?;
                self.join(left, right, Ast::And, |ast| match ast {
                    Ast::And(parts) => Ok(parts),
                    other => Err(other),
                })
            }
            Token::Mark("[") => self.bracket(left),
            Token::Mark(mark) => match comparator(mark) {
                Some(comparator) => {
                    let right = self.expression(power::COMPARE)?;
                    let ast = Ast::Compare(Box::new(left.ast), comparator, Box::new(right.ast));
                    self.above(ast, &[left.height, right.height])
                }
                None => Err(self.unexpected("an operator")),
            },
            _ => Err(self.unexpected("an operator")),
        }
    }

    /// An identifier, or a call where a parenthesis follows.
    fn name(&mut self) -> Result<Tree, Fault> {
        let offset = self.offset();
        match self.take() {
            Token::Name(name) if self.ate("(") => self.call(name, offset),
            Token::Name(name) => Ok(Tree::leaf(Ast::Field(name.to_owned()))),
            Token::Quoted(_) if self.is("(") => Err(Fault::syntax(offset, "the name of a function has no quotes")),
            Token::Quoted(name) => Ok(Tree::leaf(Ast::Field(name))),
            _ => Err(self.unexpected("an identifier")),
        }
    }

    fn call(&mut self, name: &str, offset: usize) -> Result<Tree, Fault> {
        let mut arguments = Vec::new();
        let mut height = 0;
        if !self.ate(")") {
            loop {
                let reference = self.ate("&");
                let argument = self.expression(0)?;
                height = height.max(argument.height);
                arguments.push(match reference {
                    true => Argument::Reference(argument.ast),
                    false => Argument::Value(argument.ast),
                });
                if self.ate(")") {
                    break;
                }
                if !self.ate(",") {
                    return Err(self.unexpected("`,` or `)`"));
                }
            }
        }
        let function = Function::named(name, arguments.len(), offset)?;
        self.above(Ast::Call(Call { function, arguments, offset }), &[height])
    }

    /// `[a, b]`, the bracket already read.
    fn list(&mut self) -> Result<Tree, Fault> {
        let mut elements = Vec::new();
        let mut height = 0;
        loop {
            let element = self.expression(0)?;
            height = height.max(element.height);
            elements.push(element.ast);
            if self.ate("]") {
                return self.above(Ast::List(elements), &[height]);
            }
            if !self.ate(",") {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    /// `{a: b}`, the brace already read. A name that stands twice has the value written last, at its first place.
    fn hash(&mut self) -> Result<Tree, Fault> {
        let mut members: Vec<(String, Ast)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut height = 0;
        loop {
            if !matches!(self.peek(), Token::Name(_) | Token::Quoted(_)) {
                return Err(self.unexpected("an identifier"));
            }
            let name = match self.take() {
                Token::Name(name) => name.to_owned(),
                Token::Quoted(name) => name,
                _ => return Err(self.unexpected("an identifier")),
            };
            self.demand(":")?;
            let value = self.expression(0)?;
            height = height.max(value.height);
            let place = *places.entry(name.clone()).or_insert(members.len());
            match members.get_mut(place) {
                Some((_, earlier)) => *earlier = value.ast,
                None => members.push((name, value.ast)),
            }
            if self.ate("}") {
                return self.above(Ast::Hash(members), &[height]);
            }
            if !self.ate(",") {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    /// `[n]`, `[a:b:c]` or `[*]` behind `left`, the bracket already read.
    fn bracket(&mut self, left: Tree) -> Result<Tree, Fault> {
        let offset = self.offset();
        match (self.peek(), self.token(1)) {
            (Token::Mark("*"), _) => {
                self.at += 1;
                self.demand("]")?;
                self.project(left, Over::Elements, 0, power::STAR)
            }
            (Token::Number(index), Token::Mark("]")) => {
                let index = Tree::leaf(Ast::Index(*index));
                self.at += 2;
                self.index(left, index)
            }
            (Token::Number(_), _) | (Token::Mark(":"), _) => {
                let slice = self.slice(offset)?;
                let sliced = self.index(left, Tree::leaf(Ast::Slice(slice)))?;
                self.project(sliced, Over::Elements, 0, power::STAR)
            }
            _ => Err(self.unexpected("an index, a slice or `*`")),
        }
    }

    /// `right` of `left`, or alone where `left` is the current node.
    fn index(&self, left: Tree, right: Tree) -> Result<Tree, Fault> {
        if left.ast == Ast::Current { Ok(right) } else { self.then(left, right) }
    }

    fn slice(&mut self, offset: usize) -> Result<Slice, Fault> {
        let start = self.integer();
        self.demand(":")?;
        let stop = self.integer();
        let step = if self.ate(":") { self.integer().unwrap_or(1) } else { 1 };
        self.demand("]")?;
        match step {
            0 => Err(Fault::Value { offset, message: "a slice has a step of zero" }),
            step => Ok(Slice { start, stop, step }),
        }
    }

    fn integer(&mut self) -> Option<i64> {
        match *self.peek() {
            Token::Number(number) => {
                self.at += 1;
                Some(number)
            }
            _ => None,
        }
    }

    /// The values of `left`, the star already read.
    fn values(&mut self, left: Tree) -> Result<Tree, Fault> {
        self.project(left, Over::Values, 0, power::STAR)
    }

    fn project(&mut self, source: Tree, over: Over, height: usize, least: u8) -> Result<Tree, Fault> {
        let each = match self.peek() {
            Token::Mark(".") => {
                self.at += 1;
                self.after_dot(least)?
            }
            Token::Mark("[") | Token::Filter => self.expression(least)?,
            token if binding(token) < power::PROJECTION => Tree::leaf(Ast::Current),
            _ => return Err(self.unexpected("`.`, `[` or the end of the projection")),
        };
        let parts = [source.height, height, each.height];
        self.above(Ast::Project(Box::new(Projection { source: source.ast, over, each: each.ast })), &parts)
    }

    /// What can follow a dot.
    fn after_dot(&mut self, least: u8) -> Result<Tree, Fault> {
        match self.peek() {
            Token::Name(_) | Token::Quoted(_) | Token::Mark("*" | "{") => self.expression(least),
            Token::Mark("[") => {
                self.at += 1;
                self.list()
            }
            _ => Err(self.unexpected("an identifier, `*`, `[` or `{`")),
        }
    }
}
