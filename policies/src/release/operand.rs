//! Operators and what they compare: text for equality, exact integers for order.
//! Secure key release, section 2 items 4 to 8; bad inputs, rows JWT-46, JWT-47, JWT-51 and POL-07.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

/// How a claim is compared with the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Same text.
    Equals,
    /// Present, and another text.
    NotEquals,
    /// Integer below.
    Less,
    /// Integer below or the same.
    LessOrEquals,
    /// Integer above.
    Greater,
    /// Integer above or the same.
    GreaterOrEquals,
    /// Present, or with the operand false absent; the only test of absence.
    Exists,
    /// A list with a scalar element of that text; only beside `claimPointer`.
    Contains,
    /// Among the values that the reference values of this name have for this very claim; judged with [`crate::reference::References`].
    Reference,
}

impl Operator {
    pub(crate) const ALL: [Self; 9] = [
        Self::Equals,
        Self::NotEquals,
        Self::Less,
        Self::LessOrEquals,
        Self::Greater,
        Self::GreaterOrEquals,
        Self::Exists,
        Self::Contains,
        Self::Reference,
    ];

    /// As written in a rule.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "notEquals",
            Self::Less => "less",
            Self::LessOrEquals => "lessOrEquals",
            Self::Greater => "greater",
            Self::GreaterOrEquals => "greaterOrEquals",
            Self::Exists => "exists",
            Self::Contains => "contains",
            Self::Reference => "reference",
        }
    }

    /// Whether it orders integers.
    #[must_use]
    pub const fn is_relational(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEquals | Self::Greater | Self::GreaterOrEquals)
    }

    /// Compares a claim, if there is one, with the operand. Whatever does not fit is false.
    #[must_use]
    pub fn holds(self, claim: Option<&Value>, operand: &Operand) -> bool {
        if self == Self::Exists {
            return *operand == Operand::Bool(claim.is_some());
        }
        let Some(claim) = claim else { return false };
        match self {
            // What counts under a name is not for the operand to say.
            Self::Exists | Self::Reference => false,
            Self::Equals => text_of(claim).is_some_and(|text| text == operand.text()),
            Self::NotEquals => text_of(claim).is_some_and(|text| text != operand.text()),
            Self::Less => order(claim, operand) == Some(Ordering::Less),
            Self::LessOrEquals => order(claim, operand).is_some_and(Ordering::is_le),
            Self::Greater => order(claim, operand) == Some(Ordering::Greater),
            Self::GreaterOrEquals => order(claim, operand).is_some_and(Ordering::is_ge),
            Self::Contains => claim.as_array().is_some_and(|elements| {
                let wanted = operand.text();
                elements.iter().filter_map(text_of).any(|text| text == wanted)
            }),
        }
    }
}

/// What a claim is compared with. Never a float, null, list or object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A string.
    Text(String),
    /// An integer within i64 or u64.
    Integer(i128),
    /// A truth value.
    Bool(bool),
}

impl Operand {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Integer(integer) => Cow::Owned(integer.to_string()),
            Self::Bool(truth) => Cow::Borrowed(truth_text(*truth)),
        }
    }

    /// Whether it is an integer, or the text of one in canonical form.
    #[must_use]
    pub fn is_decimal(&self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Text(text) => Decimal::parse(text).is_some(),
            Self::Bool(_) => false,
        }
    }
}

const fn truth_text(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// The text of a scalar: truth values and integers in their only spelling, strings unchanged. Floats have none.
pub(crate) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(truth) => Some(Cow::Borrowed(truth_text(*truth))),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// Both as integers, of any length; `None` where one is none.
fn order(claim: &Value, operand: &Operand) -> Option<Ordering> {
    if matches!(claim, Value::Bool(_)) || matches!(operand, Operand::Bool(_)) {
        return None;
    }
    let (left, right) = (text_of(claim)?, operand.text());
    Some(Decimal::parse(&left)?.compare(&Decimal::parse(&right)?))
}

/// An integer in decimal: no leading zeros, no plus, no `-0`.
struct Decimal<'a> {
    negative: bool,
    digits: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = plain && (!digits.starts_with('0') || (digits == "0" && !negative));
        canonical.then_some(Self { negative, digits })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let magnitude = || {
            let by_length = self.digits.len().cmp(&other.digits.len());
            by_length.then_with(|| self.digits.cmp(other.digits))
        };
        match (self.negative, other.negative) {
            (false, false) => magnitude(),
            (true, true) => magnitude().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(text: &str) -> Operand {
        Operand::Text(text.to_owned())
    }

    #[test]
    fn jwt_46_integers_are_compared_exactly() {
        let claim = json!(9_007_199_254_740_993_u64);
        assert!(!Operator::Equals.holds(Some(&claim), &Operand::Integer(9_007_199_254_740_992)));
        assert!(Operator::Greater.holds(Some(&claim), &Operand::Integer(9_007_199_254_740_992)));
        let huge = json!("340282366920938463463374607431768211457");
        assert!(Operator::Greater.holds(Some(&huge), &text("340282366920938463463374607431768211456")));
        assert!(Operator::Less.holds(Some(&json!("-10")), &text("-9")));
        assert!(Operator::Less.holds(Some(&json!(-1)), &Operand::Integer(0)));
        assert!(Operator::Greater.holds(Some(&json!(u64::MAX)), &Operand::Integer(i128::from(i64::MAX))));
    }

    #[test]
    fn jwt_47_only_canonical_integers_are_integers() {
        for claim in [
            json!(1.0),
            json!(-0.0),
            json!(1e0),
            json!("01"),
            json!("-0"),
            json!("+1"),
            json!("1.0"),
            json!("1e0"),
            json!(""),
            json!("-"),
            json!(" 1"),
            json!("NaN"),
            json!(true),
            json!(null),
            json!([1]),
        ] {
            assert!(!Operator::GreaterOrEquals.holds(Some(&claim), &Operand::Integer(0)), "{claim}");
            assert!(!Operator::LessOrEquals.holds(Some(&claim), &Operand::Integer(9)), "{claim}");
        }
        assert!(!Operator::Equals.holds(Some(&json!(1.0)), &Operand::Integer(1)));
        assert!(!Operator::NotEquals.holds(Some(&json!(1.5)), &Operand::Integer(1)));
    }

    #[test]
    fn jwt_51_text_false_equals_false_and_absent_does_not() {
        assert!(Operator::Equals.holds(Some(&json!(false)), &text("false")));
        assert!(Operator::Equals.holds(Some(&json!("false")), &Operand::Bool(false)));
        assert!(!Operator::Equals.holds(None, &Operand::Bool(false)));
        assert!(!Operator::NotEquals.holds(None, &Operand::Bool(true)));
        assert!(!Operator::Equals.holds(Some(&json!("False")), &Operand::Bool(false)));
    }

    #[test]
    fn pol_07_a_release_rule_normalises_text() {
        assert!(Operator::Equals.holds(Some(&json!(0)), &text("0")));
        assert!(Operator::Equals.holds(Some(&json!("8")), &Operand::Integer(8)));
        assert!(!Operator::Equals.holds(Some(&json!("08")), &Operand::Integer(8)));
    }

    #[test]
    fn contains_looks_at_scalars_of_a_list_only() {
        let list = json!(["STABLE", 7, ["USABLE"], {"x": "LATEST"}, null]);
        assert!(Operator::Contains.holds(Some(&list), &text("STABLE")));
        assert!(Operator::Contains.holds(Some(&list), &text("7")));
        for other in ["USABLE", "LATEST", "null", "STABL", "stable"] {
            assert!(!Operator::Contains.holds(Some(&list), &text(other)), "{other}");
        }
        assert!(!Operator::Contains.holds(Some(&json!("STABLE")), &text("STABLE")));
    }
}
