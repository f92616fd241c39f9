//! What is admitted but unwise: refusals that need to be forced with a reason, and warnings.
//! Bad inputs, rows KEY-02, SGX-28, SNP-21 and NIT-16; native API, section 2 (`rule check`).

use super::document::KeyRules;
use crate::diagnostic::Diagnostic;

pub(crate) fn lint(_rules: &KeyRules) -> Vec<Diagnostic> {
    Vec::new()
}
