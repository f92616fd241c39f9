//! Reference values in files: documents and signed ones, read and shown where they are wrong. `docs/reference-values.md`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_policies::reference::{ReferenceDocument, References, Standing};
use serde_json::{Value, json};

use super::exit::Failure;
use super::output::Output;
use super::places;

/// The most bytes of a file that are read: a signed document is at most 64 KiB.
const LARGEST: u64 = 128 * 1_024;

/// A document of reference values and where it came from.
pub struct ReferenceFile {
    name: String,
    text: String,
    /// The JWS around it, where the file is one.
    jws: Option<String>,
}

impl ReferenceFile {
    /// Reads a file, or standard input for `-`: a document, or a JWS around one, recognised by content. No signature is looked at.
    ///
    /// # Errors
    /// Usage.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let help = "name a file with reference values: a JSON document, or what `keygate reference sign` made of one";
        let bytes = read(path, LARGEST, help)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::usage(format!("`{name}` is not UTF-8"), "write reference values as JSON in UTF-8"))?;
        if text.trim_start().starts_with('{') {
            return Ok(Self { name, text, jws: None });
        }
        let jws = text.trim().to_owned();
        let payload = jws.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        let inner = payload.and_then(|payload| String::from_utf8(payload).ok()).filter(|_| jws.split('.').count() == 3);
        let inner = inner.ok_or_else(|| Failure::usage(format!("`{name}` holds no reference values"), help))?;
        Ok(Self { name, text: inner, jws: Some(jws) })
    }

    /// The document; what does not parse is shown where it is wrong.
    ///
    /// # Errors
    /// Usage, after the places were shown.
    pub fn parsed(&self, output: &Output) -> Result<ReferenceDocument, Failure> {
        ReferenceDocument::parse(self.text.as_bytes()).map_err(|found| {
            if output.is_json() {
                output.object(&json!({"valid": false, "diagnostics": found}));
            }
            places::show(&self.name, &self.text, &found);
            let code = found.first().map_or("reference-invalid", |diagnostic| diagnostic.code);
            Failure::usage(
                format!("`{}` holds no reference values", self.name),
                "mend the place shown above; docs/reference-values.md has the form",
            )
            .with_code(code)
        })
    }

    /// What is sent: the JWS.
    ///
    /// # Errors
    /// Usage: the file is not signed.
    pub fn signed(&self) -> Result<&str, Failure> {
        self.jws.as_deref().ok_or_else(|| {
            Failure::usage(
                format!("`{}` is not signed, and what is unsigned satisfies nothing", self.name),
                "sign it first: keygate reference sign --key KEY.pem --in FILE --out FILE.jws",
            )
        })
    }
}

/// The reference values of these files, as if they were in force: for trials. Signatures and dates are not looked at.
///
/// # Errors
/// As [`ReferenceFile::parsed`].
pub fn for_a_trial(files: &[PathBuf], output: &Output) -> Result<References, Failure> {
    let mut references = References::default();
    for path in files {
        let document = ReferenceFile::read(path)?.parsed(output)?;
        let name = document.name().to_owned();
        let mut documents = match references.get(&name) {
            Some(Standing::InForce(documents)) => documents.clone(),
            _ => Vec::new(),
        };
        documents.push(Arc::new(document));
        references.insert(&name, Standing::InForce(documents));
    }
    Ok(references)
}

/// Prints what differs: a claim, then what is taken from its values and what is added.
pub fn show_changes(output: &Output, changes: &[Value]) {
    if changes.is_empty() {
        output.say("no value changes");
    }
    for change in changes {
        let values = |name: &str| change.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let kept = change.get("kept").and_then(Value::as_u64).unwrap_or_default();
        output.say(&format!("{}  (stay: {kept})", change.get("claim").and_then(Value::as_str).unwrap_or_default()));
        for (mark, name) in [("-", "removed"), ("+", "added")] {
            for value in values(name) {
                output.say(&format!("  {mark} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            }
        }
    }
}

/// Reads a file, or standard input for `-`, as far as it may be long.
///
/// # Errors
/// Usage.
pub fn read(path: &Path, most: u64, help: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = match path == Path::new("-") {
        true => std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)),
    };
    done.map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", path.display()), help))?;
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!("`{}` is larger than {most} bytes", path.display()), help));
    }
    Ok(bytes)
}
