//! How a command ends: exit codes, and errors that say what, what to do, and the stable code. Keygate's contract, section 2.

use std::io::Write as _;
use std::process::ExitCode;

/// A command's end that is no failure of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: evidence, rule, policy or answer said no.
    Refused,
}

/// A failure: what, what to do, the stable code, the exit code.
#[derive(Debug)]
pub struct Failure {
    what: String,
    help: String,
    code: String,
    exit: u8,
}

impl Failure {
    /// 1: refused.
    pub fn refused(code: &str, what: impl Into<String>) -> Self {
        Self { what: what.into(), help: String::new(), code: code.to_owned(), exit: 1 }
    }
    /// 2: usage.
    pub fn usage(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), code: "usage".to_owned(), exit: 2 }
    }
    /// 3: store, network or seal not available.
    pub fn unavailable(code: &str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), code: code.to_owned(), exit: 3 }
    }
    /// 74: the store failed while serving.
    pub fn store(what: impl Into<String>) -> Self {
        let help = "check the disk, then start again: nothing that was acknowledged is lost".to_owned();
        Self { what: what.into(), help, code: "store-failed".to_owned(), exit: 74 }
    }
    /// 78: configuration.
    pub fn config(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), code: "config-invalid".to_owned(), exit: 78 }
    }
    /// The same failure with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
    /// The same failure under a code that says more.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = code.to_owned();
        self
    }
    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }
    /// What went wrong.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl From<crate::settings::SettingsError> for Failure {
    fn from(e: crate::settings::SettingsError) -> Self {
        Self::config(e.to_string(), e.help())
    }
}

/// Prints a failure on standard error and gives the process its exit code.
pub fn finish(outcome: Result<Exit, Failure>) -> ExitCode {
    match outcome {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Refused) => ExitCode::from(1),
        Err(failure) => {
            let mut lines = format!("keygate: {}\n", failure.what);
            if !failure.help.is_empty() {
                lines.push_str(&format!("  do: {}\n", failure.help));
            }
            lines.push_str(&format!("  code: {}", failure.code));
            complain(&lines);
            ExitCode::from(failure.exit)
        }
    }
}

/// A line on standard error. A reader that went away is no failure of the command.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
