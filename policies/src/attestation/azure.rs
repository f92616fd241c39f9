//! A fault of a policy's text as Azure's service words it.
//! Policy language, section 8.

use std::fmt::Write as _;

use crate::diagnostic::Diagnostic;

/// The message of a `PolicyParsingError`: symbol, line, column counted from 0, failure, failing rule.
///
/// ```
/// use keygate_policies::attestation::{AttestationPolicy, azure_message};
///
/// let found = AttestationPolicy::parse("version=1.0\n [").unwrap_err();
/// assert_eq!(azure_message(&found[0]), "\
/// Invalid policy was specified. Policy Parser Exception Thrown:
/// Offending symbol: '['
/// Line: '2', Column: '1'
/// Failure message: 'mismatched input '[' expecting ';''
/// Failing rule: 'policy > versionInfo'");
/// ```
#[must_use]
pub fn azure_message(diagnostic: &Diagnostic) -> String {
    let mut out = String::from("Invalid policy was specified. Policy Parser Exception Thrown:\n");
    let (line, column) = (diagnostic.line.max(1), diagnostic.column.saturating_sub(1));
    let _ = write!(
        out,
        "Offending symbol: '{}'\nLine: '{line}', Column: '{column}'\nFailure message: '{}'\nFailing rule: '{}'",
        diagnostic.symbol, diagnostic.message, diagnostic.rule
    );
    out
}
