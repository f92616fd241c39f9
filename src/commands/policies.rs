//! Attestation policies in files: read, checked with the place underlined, shown beside what is in force. Keygate's contract, section 7.

use std::io::Read as _;
use std::path::Path;

use keygate_policies::Diagnostic;
use keygate_policies::attestation::AttestationPolicy;
use serde_json::{Map, Value, json};

use super::exit::Failure;
use super::output::Output;
use super::places;
use crate::broker::admin::policies::text_of;

/// The most bytes of a policy file that are read: a signed policy is 64 KiB of text, encoded twice.
const LARGEST: u64 = 256 * 1_024;

/// A policy and where it came from.
pub struct PolicyFile {
    /// The file.
    pub name: String,
    /// The text of the policy.
    pub text: String,
    /// The JWS around it, where the file is one.
    jws: Option<String>,
}

impl PolicyFile {
    /// Reads a file, or standard input for `-`: a policy, or a JWS around one, recognised by content.
    ///
    /// # Errors
    /// Usage.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let help = "name a file with a policy, or a JWS around one";
        let cannot = |e: std::io::Error| Failure::usage(format!("cannot read `{name}`: {e}"), help);
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
        } else {
            std::fs::File::open(path)
                .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
                .map_err(cannot)?;
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::usage(format!("`{name}` is not UTF-8"), "write policies in UTF-8"))?;
        let jws = text.trim();
        if !is_jws(jws) {
            return Ok(Self { name, text, jws: None });
        }
        let inner = text_of(jws)
            .ok_or_else(|| Failure::usage(format!("`{name}` is a JWS, but there is no policy inside"), help))?;
        Ok(Self { name, text: inner, jws: Some(jws.to_owned()) })
    }

    /// The policy, or what is wrong with it.
    ///
    /// # Errors
    /// Every diagnostic.
    pub fn parse(&self) -> Result<AttestationPolicy, Vec<Diagnostic>> {
        AttestationPolicy::parse(&self.text)
    }

    /// The policy; what does not parse is shown where it is wrong.
    ///
    /// # Errors
    /// Usage, after the diagnostics were printed.
    pub fn parsed(&self, output: &Output) -> Result<AttestationPolicy, Failure> {
        self.parse().map_err(|found| {
            if output.is_json() {
                output.object(&json!({"valid": false, "diagnostics": found}));
            }
            self.show(&found);
            self.failure(&found)
        })
    }

    /// What ends a command over a text that is no policy, once the places were shown.
    pub fn failure(&self, found: &[Diagnostic]) -> Failure {
        let code = found.first().map_or("policy-invalid", |diagnostic| diagnostic.code);
        Failure::usage(
            format!("`{}` is no policy", self.name),
            "mend the place shown above; docs/policy-language.md has the grammar",
        )
        .with_code(code)
    }

    /// The members of a request that sets it.
    pub fn body(&self) -> Map<String, Value> {
        let (name, text) = match &self.jws {
            Some(jws) => ("jws", jws),
            None => ("policy", &self.text),
        };
        Map::from_iter([(name.to_owned(), json!(text))])
    }

    /// Shows each place on standard error.
    pub fn show(&self, found: &[Diagnostic]) {
        places::show(&self.name, &self.text, found);
    }
}

/// Three parts of base64 between two dots; no policy is written so.
fn is_jws(text: &str) -> bool {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'/' | b'=');
    text.starts_with("ey") && text.split('.').count() == 3 && text.split('.').all(|part| part.bytes().all(base64))
}

/// Prints a difference of lines: a mark, the numbers on both sides, the line.
pub fn show_lines(output: &Output, lines: &[Value]) {
    for line in difference_text(lines) {
        output.say(&line);
    }
}

fn difference_text(lines: &[Value]) -> Vec<String> {
    let number = |line: &Value, name: &str| line.get(name).and_then(Value::as_u64);
    let (mut told, mut last) = (Vec::new(), None);
    for line in lines {
        let (before, after) = (number(line, "before"), number(line, "after"));
        // Lines that were left out between two places.
        if let (Some((Some(left), _)), Some(here)) = (last, before)
            && here > left + 1
        {
            told.push("  ⋮".to_owned());
        }
        let cell = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let part = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let text = format!("{} {:>4} {:>4}  {}", part("mark"), cell(before), cell(after), part("text"));
        told.push(text.trim_end().to_owned());
        last = Some((before.or(last.and_then(|(before, _)| before)), after));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::admin::lines::difference;

    #[test]
    fn a_difference_reads_line_by_line_with_the_numbers_of_both_sides() {
        let before: Vec<String> = (1..=12).map(|n| format!("line {n}")).collect();
        let mut after = before.clone();
        after[1] = "another".to_owned();
        after.remove(10);
        let told = difference_text(&difference(&before.join("\n"), &after.join("\n"))).join("\n");
        let wanted = "     1    1  line 1
-    2       line 2
+         2  another
     3    3  line 3
     4    4  line 4
  ⋮
     9    9  line 9
    10   10  line 10
-   11       line 11
    12   11  line 12";
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_jws_is_told_from_a_text_by_its_form() {
        assert!(is_jws("eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6IiJ9."));
        assert!(is_jws("eyJhbGciOiJub25lIn0.."));
        for text in ["", "version=1.0; authorizationrules{};", "eyJ", "ey.a b.c"] {
            assert!(!is_jws(text), "{text}");
        }
    }
}
