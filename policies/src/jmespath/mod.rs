//! JMESPath: a query over JSON that ends, whatever the query and whatever the data.
//! JMESPath specification (jmespath.org); policy language, section 5; threat model, P22; bad inputs, rows POL-02 and POL-04.
//!
//! The whole language and its standard functions, and `equals_ignore_case(a, b)` beside them. Every step and every byte
//! of a value that is made is charged to a [`Fuel`] before it is done or made; text and depth of a query are bounded by
//! [`QUERY_BYTES`] and [`DEPTH`]. Data is borrowed: a query that only looks copies nothing but its result.
//!
//! Where the specification leaves room, or implementations differ, we have chosen:
//!
//! * Members of objects keep the order of the data, in `*`, `keys`, `values` and `to_string` alike; `merge` keeps the
//!   place of a name's first mention, a multi-select hash the order of the query.
//! * Integers of 64 bits are exact everywhere, comparisons with fractions included. `sum`, `avg`, `ceil` and `floor`
//!   give an integer where the result is whole. A sum that no number can hold is an invalid value.
//! * `<`, `<=`, `>` and `>=` order numbers; beside anything else they give null.
//! * `&expression` stands only as an argument of a function, as the grammar has it.
//! * Unknown functions, wrong numbers of arguments and a slice step of zero are found when the query is parsed.
//! * `!` binds tighter than `.`, as in every published implementation: write `!(a.b)`.
//! * Literals are read by [`crate::json`]: what that reader refuses is a syntax fault here.
//! * `equals_ignore_case` folds ASCII letters, no others.
//!
//! To add a function: a line in `functions.rs`, and its arm there.

mod ast;
mod compare;
mod fault;
mod functions;
mod interpreter;
mod lexer;
mod node;
mod parser;
mod print;

use std::sync::Arc;

use serde_json::Value;

pub use fault::Fault;

use crate::fuel::Fuel;

/// Bytes of one query.
pub const QUERY_BYTES: usize = 16 * 1_024;

/// Expressions within expressions, and lists or objects that a query may put around its data.
pub const DEPTH: usize = 32;

/// What [`Expression::parse_metered`] charges: a step for every four bytes of text, and for each byte sixteen of tree.
const BYTES_A_STEP: usize = 4;
const BYTES_A_BYTE: usize = 16;

/// A query that has been parsed. Clones share it.
///
/// ```
/// use keygate_policies::fuel::Fuel;
/// use keygate_policies::jmespath::Expression;
/// use serde_json::json;
///
/// let query = Expression::parse("Events[?Pcr == `7`].Name | [0]")?;
/// let log = json!({"Events": [{"Pcr": 4, "Name": "boot"}, {"Pcr": 7, "Name": "SecureBoot"}]});
/// assert_eq!(query.search(&log, &mut Fuel::service())?, json!("SecureBoot"));
/// assert_eq!(query.search_text(&log, &mut Fuel::service())?, "\"SecureBoot\"");
///
/// let fault = Expression::parse("Events[?").unwrap_err();
/// assert_eq!(fault.kind(), "syntax");
/// # Ok::<(), keygate_policies::jmespath::Fault>(())
/// ```
#[derive(Debug, Clone)]
pub struct Expression {
    root: Arc<ast::Ast>,
}

impl Expression {
    /// Reads a query of at most [`QUERY_BYTES`] bytes and [`DEPTH`] levels.
    ///
    /// # Errors
    /// `Syntax`, `TooLarge`, `TooDeep`, and what can be known without data: `UnknownFunction`, `Arity`, `Value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > QUERY_BYTES {
            return Err(Fault::TooLarge { bytes: text.len() });
        }
        Ok(Self { root: Arc::new(parser::parse(text)?) })
    }

    /// As [`parse`](Self::parse), for a query that is itself made by an evaluation and has to be paid for.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and `Exhausted`.
    pub fn parse_metered(text: &str, fuel: &mut Fuel) -> Result<Self, Fault> {
        if text.len() > QUERY_BYTES {
            return Err(Fault::TooLarge { bytes: text.len() });
        }
        fuel.step(1 + (text.len() / BYTES_A_STEP) as u64)?;
        fuel.bytes((text.len() * BYTES_A_BYTE) as u64)?;
        Self::parse(text)
    }

    /// What the query finds in `data`; null where it finds nothing.
    ///
    /// # Errors
    /// `Type` and `Value` where a function is given what it does not take, `Nested`, `Exhausted`.
    pub fn search(&self, data: &Value, fuel: &mut Fuel) -> Result<Value, Fault> {
        let found = interpreter::run(&self.root, data, fuel)?;
        print::to_value(&found, fuel)
    }

    /// As [`search`](Self::search), as compact JSON text, without making the value first.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_text(&self, data: &Value, fuel: &mut Fuel) -> Result<String, Fault> {
        let found = interpreter::run(&self.root, data, fuel)?;
        print::to_text(&found, fuel)
    }
}
