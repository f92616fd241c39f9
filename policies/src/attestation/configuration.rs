//! Properties that steer the engine: what they are called, what they take.
//! Policy language, section 4.4.

use super::ast::{Action, Expr, Made, Rule, Section};
use super::claims::ClaimValue;

/// A property and what it takes.
pub(super) struct Known {
    pub(super) name: &'static str,
    section: Section,
    takes: Takes,
    /// For a message: what it is.
    pub(super) form: &'static str,
}

enum Takes {
    Truth,
    /// From the first to the second.
    Between(i64, i64),
    Baseline,
}

impl Known {
    /// Whether a value is one of its values.
    pub(super) fn takes(&self, value: &ClaimValue) -> bool {
        match (&self.takes, value) {
            (Takes::Truth, ClaimValue::Boolean(_)) => true,
            (Takes::Between(least, most), ClaimValue::Integer(integer)) => (least..=most).contains(&integer),
            (Takes::Baseline, ClaimValue::Text(text)) => is_baseline(text),
            _ => false,
        }
    }
}

/// `azuredefault`, or the number of a baseline; whether there is one of that number, the verifier knows.
fn is_baseline(text: &str) -> bool {
    text == "azuredefault" || (matches!(text.len(), 1..=4) && text.bytes().all(|byte| byte.is_ascii_digit()))
}

const KNOWN: [Known; 5] = [
    Known {
        name: "x-ms-sgx-tcbidentifier",
        section: Section::Configuration,
        takes: Takes::Baseline,
        form: "a string, `azuredefault` or the number of a baseline",
    },
    Known {
        name: "required_pcr_mask",
        section: Section::Configuration,
        takes: Takes::Between(0, 0xFF_FFFF),
        form: "an integer from 0 to 16777215, bit i for register i",
    },
    Known {
        name: "require_valid_aik_cert",
        section: Section::Configuration,
        takes: Takes::Truth,
        form: "`true` or `false`",
    },
    Known {
        name: "report_validity_in_minutes",
        section: Section::Issuance,
        takes: Takes::Between(1, 525_600),
        form: "an integer from 1 to 525600",
    },
    Known { name: "omit_x5c", section: Section::Issuance, takes: Takes::Truth, form: "`true` or `false`" },
];

/// The property of that name in a section.
pub(super) fn named(section: Section, name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.section == section && known.name == name)
}

/// The names a section knows.
pub(super) fn names(section: Section) -> impl Iterator<Item = &'static str> {
    KNOWN.iter().filter(move |known| known.section == section).map(|known| known.name)
}

/// What `configurationrules` set; it steers how evidence is verified, before there are claims.
///
/// A property that is `None` has its default: baseline `azuredefault`, mask 16777215, certificate required.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    pub(super) values: Vec<(String, ClaimValue)>,
}

impl Configuration {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let set = |rule: &Rule| match &rule.action {
            Action::Make(_, Made::New { kind, value }) => match (&kind.node, &value.node) {
                (Expr::Literal(ClaimValue::Text(name)), Expr::Literal(value)) => Some((name.clone(), value.clone())),
                _ => None,
            },
            _ => None,
        };
        Self { values: rules.iter().filter_map(set).collect() }
    }

    fn get(&self, name: &str) -> Option<&ClaimValue> {
        self.values.iter().find(|(mine, _)| mine == name).map(|(_, value)| value)
    }

    /// SGX: `x-ms-sgx-tcbidentifier`, the TCB baseline.
    #[must_use]
    pub fn sgx_tcb_identifier(&self) -> Option<&str> {
        match self.get("x-ms-sgx-tcbidentifier")? {
            ClaimValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// TPM: `required_pcr_mask`, bit i set where the quote must cover register i.
    #[must_use]
    pub fn required_pcr_mask(&self) -> Option<u32> {
        match self.get("required_pcr_mask")? {
            ClaimValue::Integer(mask) => u32::try_from(*mask).ok(),
            _ => None,
        }
    }

    /// TPM: `require_valid_aik_cert`, whether the certificate of the identity key must chain to a trusted root.
    #[must_use]
    pub fn require_valid_aik_cert(&self) -> Option<bool> {
        match self.get("require_valid_aik_cert")? {
            ClaimValue::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }
}
