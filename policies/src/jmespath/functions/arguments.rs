//! What a function is given, looked at as the type that it takes.
//! JMESPath specification, "Functions", data types and `invalid-type`.

use serde_json::Number;

use super::super::ast::{Argument, Ast, Call};
use super::super::fault::Fault;
use super::super::interpreter::Interpreter;
use super::super::node::{Elements, Members, Node};

/// The arguments of one call, evaluated.
pub(super) struct Arguments<'a> {
    call: &'a Call,
    given: Vec<Given<'a>>,
}

enum Given<'a> {
    Value(Node<'a>),
    Reference(&'a Ast),
}

impl<'a> Arguments<'a> {
    pub(super) fn evaluate(run: &mut Interpreter<'_>, call: &'a Call, at: &Node<'a>) -> Result<Self, Fault> {
        run.room(call.arguments.len())?;
        let each = |argument: &'a Argument| match argument {
            Argument::Value(ast) => run.eval(ast, at).map(Given::Value),
            Argument::Reference(ast) => Ok(Given::Reference(ast)),
        };
        let given = call.arguments.iter().map(each).collect::<Result<_, _>>()?;
        Ok(Self { call, given })
    }

    pub(super) fn count(&self) -> usize {
        self.given.len()
    }

    /// Argument `index` is not what the function takes.
    pub(super) fn wrong(&self, index: usize, expected: &'static str) -> Fault {
        let found = match self.given.get(index) {
            Some(Given::Value(node)) => node.type_name(),
            Some(Given::Reference(_)) => "expression",
            None => "nothing",
        };
        self.fault(index, expected, found)
    }

    /// As [`wrong`](Self::wrong), where the fault is with an element, or with what the expression gives for one.
    pub(super) fn wrong_within(&self, index: usize, expected: &'static str, found: &Node<'_>) -> Fault {
        self.fault(index, expected, found.type_name())
    }

    /// A value that means nothing to the function.
    pub(super) fn meaningless(&self, message: &'static str) -> Fault {
        Fault::Value { offset: self.call.offset, message }
    }

    fn fault(&self, index: usize, expected: &'static str, found: &'static str) -> Fault {
        let function = self.call.function.name();
        Fault::Type { offset: self.call.offset, function, argument: index + 1, expected, found }
    }

    pub(super) fn value(&self, index: usize) -> Result<&Node<'a>, Fault> {
        match self.given.get(index) {
            Some(Given::Value(node)) => Ok(node),
            _ => Err(self.wrong(index, "a value")),
        }
    }

    pub(super) fn reference(&self, index: usize) -> Result<&'a Ast, Fault> {
        match self.given.get(index) {
            Some(Given::Reference(ast)) => Ok(ast),
            _ => Err(self.wrong(index, "an expression")),
        }
    }

    pub(super) fn number(&self, index: usize) -> Result<&Number, Fault> {
        self.value(index)?.as_number().ok_or_else(|| self.wrong(index, "a number"))
    }

    pub(super) fn text(&self, index: usize) -> Result<&str, Fault> {
        self.value(index)?.as_text().ok_or_else(|| self.wrong(index, "a string"))
    }

    pub(super) fn list(&self, index: usize) -> Result<Elements<'_, 'a>, Fault> {
        self.value(index)?.as_list().ok_or_else(|| self.wrong(index, "an array"))
    }

    pub(super) fn object(&self, index: usize) -> Result<Members<'_, 'a>, Fault> {
        self.value(index)?.as_object().ok_or_else(|| self.wrong(index, "an object"))
    }

    /// A list of numbers, or a list of strings; looking costs a step for each element.
    pub(super) fn scalars(&self, run: &mut Interpreter<'_>, index: usize) -> Result<Elements<'_, 'a>, Fault> {
        const EXPECTED: &str = "an array of numbers or an array of strings";
        let list = self.list(index)?;
        run.fuel.step(list.len() as u64)?;
        let Some(first) = list.get(0) else { return Ok(list) };
        let texts = first.as_text().is_some();
        match list.iter().find(|element| !of_kind(element, texts)) {
            Some(other) => Err(self.wrong_within(index, EXPECTED, &other)),
            None => Ok(list),
        }
    }
}

/// Whether `node` is a string, or where `texts` is not set a number.
pub(super) fn of_kind(node: &Node<'_>, texts: bool) -> bool {
    if texts { node.as_text().is_some() } else { node.as_number().is_some() }
}
