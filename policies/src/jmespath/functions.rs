//! The functions: their names, what they take, and who does the work.
//! JMESPath specification, "Functions"; policy language, section 5 (`equals_ignore_case`).

mod arguments;
mod lists;
mod numbers;
mod objects;
mod texts;

use self::arguments::Arguments;
use super::ast::Call;
use super::compare;
use super::fault::Fault;
use super::interpreter::Interpreter;
use super::node::{Node, View};
use super::print;

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy)]
enum Arity {
    One,
    Two,
    OneOrMore,
}

macro_rules! functions {
    ($($variant:ident $name:literal $arity:ident),* $(,)?) => {
        /// A function that there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($variant),* }

        impl Function {
            const ALL: &[(Self, &'static str, Arity)] = &[$((Self::$variant, $name, Arity::$arity)),*];

            /// As written in a query.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

functions! {
    Abs "abs" One,
    Avg "avg" One,
    Ceil "ceil" One,
    Contains "contains" Two,
    EndsWith "ends_with" Two,
    EqualsIgnoreCase "equals_ignore_case" Two,
    Floor "floor" One,
    Join "join" Two,
    Keys "keys" One,
    Length "length" One,
    Map "map" Two,
    Max "max" One,
    MaxBy "max_by" Two,
    Merge "merge" OneOrMore,
    Min "min" One,
    MinBy "min_by" Two,
    NotNull "not_null" OneOrMore,
    Reverse "reverse" One,
    Sort "sort" One,
    SortBy "sort_by" Two,
    StartsWith "starts_with" Two,
    Sum "sum" One,
    ToArray "to_array" One,
    ToNumber "to_number" One,
    ToString "to_string" One,
    Type "type" One,
    Values "values" One,
}

impl Function {
    /// The function `name`, which stands at `offset` with `count` arguments.
    pub(super) fn named(name: &str, count: usize, offset: usize) -> Result<Self, Fault> {
        let Some((function, name, arity)) = Self::ALL.iter().find(|(_, known, _)| *known == name) else {
            return Err(Fault::UnknownFunction { offset, name: name.chars().take(64).collect() });
        };
        let (fits, expected) = match arity {
            Arity::One => (count == 1, "1 argument"),
            Arity::Two => (count == 2, "2 arguments"),
            Arity::OneOrMore => (count >= 1, "1 argument or more"),
        };
        if fits { Ok(*function) } else { Err(Fault::Arity { offset, function: name, expected, found: count }) }
    }
}

/// The value of a call: its arguments from left to right, then the function.
pub(super) fn call<'a>(run: &mut Interpreter<'_>, call: &'a Call, at: &Node<'a>) -> Result<Node<'a>, Fault> {
    let given = Arguments::evaluate(run, call, at)?;
    match call.function {
        Function::Abs => numbers::abs(&given),
        Function::Avg => numbers::avg(run, &given),
        Function::Ceil => numbers::round(&given, f64::ceil),
        Function::Contains => contains(run, &given),
        Function::EndsWith => texts::affix(run, &given, |text, end| text.ends_with(end)),
        Function::EqualsIgnoreCase => texts::equals_ignore_case(run, &given),
        Function::Floor => numbers::round(&given, f64::floor),
        Function::Join => texts::join(run, &given),
        Function::Keys => objects::keys(run, &given),
        Function::Length => length(run, &given),
        Function::Map => lists::map(run, &given),
        Function::Max => lists::extreme(run, &given, std::cmp::Ordering::Greater),
        Function::MaxBy => lists::extreme_by(run, &given, std::cmp::Ordering::Greater),
        Function::Merge => objects::merge(run, &given),
        Function::Min => lists::extreme(run, &given, std::cmp::Ordering::Less),
        Function::MinBy => lists::extreme_by(run, &given, std::cmp::Ordering::Less),
        Function::NotNull => not_null(&given),
        Function::Reverse => reverse(run, &given),
        Function::Sort => lists::sort(run, &given),
        Function::SortBy => lists::sort_by(run, &given),
        Function::StartsWith => texts::affix(run, &given, |text, start| text.starts_with(start)),
        Function::Sum => numbers::sum(run, &given),
        Function::ToArray => to_array(run, &given),
        Function::ToNumber => numbers::to_number(run, &given),
        Function::ToString => to_string(run, &given),
        Function::Type => Ok(Node::Word(given.value(0)?.type_name())),
        Function::Values => objects::values(run, &given),
    }
}

fn contains<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let (subject, wanted) = (given.value(0)?, given.value(1)?);
    match subject.view() {
        View::Text(text) => {
            let Some(wanted) = wanted.as_text() else { return Ok(Node::truth(false)) };
            run.look((text.len() + wanted.len()).saturating_mul(4))?;
            Ok(Node::truth(text.contains(wanted)))
        }
        View::List(elements) => {
            for element in elements.iter() {
                if compare::equal(&element, wanted, run.fuel)? {
                    return Ok(Node::truth(true));
                }
            }
            Ok(Node::truth(false))
        }
        _ => Err(given.wrong(0, "an array or a string")),
    }
}

fn length<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let length = match given.value(0)?.view() {
        View::Text(text) => {
            run.look(text.len())?;
            text.chars().count()
        }
        View::List(elements) => elements.len(),
        View::Object(members) => members.len(),
        _ => return Err(given.wrong(0, "an array, an object or a string")),
    };
    Ok(Node::Number(length.into()))
}

fn not_null<'a>(given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    for index in 0..given.count() {
        let value = given.value(index)?;
        if !value.is_null() {
            return Ok(value.clone());
        }
    }
    Ok(Node::null())
}

fn reverse<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    match given.value(0)?.view() {
        View::Text(text) => {
            run.look(text.len().saturating_mul(8))?;
            run.fuel.bytes(text.len() as u64)?;
            Ok(Node::text(text.chars().rev().collect()))
        }
        View::List(elements) => {
            run.fuel.step(elements.len() as u64)?;
            run.room(elements.len())?;
            Node::list(elements.iter().rev().collect())
        }
        _ => Err(given.wrong(0, "an array or a string")),
    }
}

fn to_array<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let value = given.value(0)?;
    if value.as_list().is_some() {
        return Ok(value.clone());
    }
    run.room(1)?;
    Node::list(vec![value.clone()])
}

fn to_string<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let value = given.value(0)?;
    match value.as_text() {
        Some(_) => Ok(value.clone()),
        None => Ok(Node::text(print::to_text(value, run.fuel)?)),
    }
}
