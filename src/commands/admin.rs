//! Calls to the admin listener: read a state, name it, change it, say why. Keygate's contract, section 3 *Admin*.

use clap::Args;
use keygate_keystore::KeyName;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::connect::{Listener, ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::client::{ClientError, Connection};

/// How a change is asked for.
#[derive(Debug, Clone, Default, Args)]
pub struct ChangeArgs {
    /// Why, for the audit; default: `asked for on the command line`.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// The state that the change rests on, as `show`, `get` or an earlier change gave it; default: the newest.
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
}

/// The admin listener of one service.
pub struct Desk {
    connection: Connection,
}

impl Desk {
    /// Connects.
    ///
    /// # Errors
    /// Usage, configuration.
    pub fn open(server: &ServerArgs) -> Result<Self, Failure> {
        Ok(Self { connection: server.connect(Listener::Admin)? })
    }

    /// Reads something: its entity tag and itself.
    ///
    /// # Errors
    /// The server's refusal, or none was reached.
    pub async fn get(&self, path: &str) -> Result<(Option<String>, Value), Failure> {
        self.try_get(path).await.map_err(failure)
    }

    /// The same, with the refusal as it came.
    pub async fn try_get(&self, path: &str) -> Result<(Option<String>, Value), ClientError> {
        self.connection.send(Method::GET, &format!("/admin/v1{path}"), &[], None).await
    }

    /// Asks something that needs a body and changes nothing.
    pub async fn ask(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.connection.post(&format!("/admin/v1{path}"), body, None).await
    }

    /// Asks for bytes, written to `out` as they come.
    pub async fn download(&self, path: &str, body: &Value, out: &mut impl std::io::Write) -> Result<u64, ClientError> {
        self.connection.download(&format!("/admin/v1{path}"), body, out).await
    }

    /// Every page of a list, its elements under `name`.
    ///
    /// # Errors
    /// As [`Desk::get`].
    pub async fn pages(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        self.each_page(path, name, |page| all.extend(page)).await?;
        Ok(all)
    }

    /// The same, a page at a time.
    ///
    /// # Errors
    /// As [`Desk::get`].
    pub async fn each_page(&self, path: &str, name: &str, mut take: impl FnMut(Vec<Value>)) -> Result<(), Failure> {
        let mut after = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let (_, mut page) = self.get(&format!("{path}{mark}limit=500{after}")).await?;
            if let Some(Value::Array(elements)) = page.get_mut(name).map(Value::take) {
                take(elements);
            }
            match page.get("next") {
                Some(Value::String(next)) => after = format!("&after={next}"),
                Some(Value::Number(next)) => after = format!("&after={next}"),
                _ => return Ok(()),
            }
        }
    }

    /// Makes something that is not there.
    ///
    /// # Errors
    /// As [`Desk::get`].
    pub async fn create(&self, path: &str, body: Map<String, Value>, change: &ChangeArgs) -> Result<Value, Failure> {
        self.send(path, body, change, ("If-None-Match", "*".to_owned())).await
    }

    /// Changes something that `state` shows.
    ///
    /// # Errors
    /// As [`Desk::get`].
    pub async fn change(
        &self,
        state: &str,
        path: &str,
        body: Map<String, Value>,
        change: &ChangeArgs,
    ) -> Result<Value, Failure> {
        let etag = match &change.if_match {
            Some(etag) => quoted(etag),
            None => self.get(state).await?.0.unwrap_or_else(|| "*".to_owned()),
        };
        self.send(path, body, change, ("If-Match", etag)).await
    }

    async fn send(
        &self,
        path: &str,
        mut body: Map<String, Value>,
        change: &ChangeArgs,
        state: (&str, String),
    ) -> Result<Value, Failure> {
        let reason = change.reason.as_deref().unwrap_or("asked for on the command line");
        body.insert("reason".to_owned(), json!(reason));
        let trial = if change.dry_run { "?dry_run=true" } else { "" };
        let path = format!("/admin/v1{path}{trial}");
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut id = [0; 16];
        openssl::rand::rand_bytes(&mut id)
            .map_err(|e| Failure::unavailable("dependency-unavailable", e.to_string(), "try again"))?;
        let headers = [state, ("Idempotency-Key", hex::encode(id))];
        let send = || self.connection.send(Method::POST, &path, &headers, Some(body.clone()));
        // An answer that was lost on the way is asked for again: the same request is never done twice.
        let sent = match send().await {
            Err(lost) if lost.code == "unreachable" => send().await,
            other => other,
        };
        sent.map(|(_, answer)| answer).map_err(explained)
    }
}

/// A diagnostic with its place: `line 5, column 5: MESSAGE`.
fn placed(diagnostic: &Value) -> String {
    let message = diagnostic.get("message").and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| diagnostic.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
    match (number("line"), number("column")) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: {message}"),
        _ => message.to_owned(),
    }
}

/// A refusal, with what is wrong in a rule or a policy that was sent.
fn explained(error: ClientError) -> Failure {
    let found: Vec<String> =
        error.reasons.iter().filter(|reason| reason.get("message").is_some()).map(placed).collect();
    if found.is_empty() {
        return failure(error);
    }
    let code = error.code.clone();
    let help = match code.as_str() {
        "policy-invalid" => "mend the policy: `keygate policy check FILE` shows where",
        "reference-invalid" => "mend, sign and import again: docs/reference-values.md says what each word means",
        _ => "mend the rule (`keygate rule check FILE` shows where), or set it with --force and a reason",
    };
    Failure::refused(&code, format!("{error}: {}", found.join("; "))).with_help(help)
}

/// An object for people: how many versions instead of each, the rule by number and digest.
fn in_short(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(versions) = object.get("versions").and_then(Value::as_array).map(Vec::len) {
        object["versions"] = json!(versions);
    }
    if let Some(rule) = object.get("rule").filter(|rule| rule.is_object()) {
        object["rule"] = json!({"number": rule.get("number"), "digest": rule.get("digest")});
    }
    object
}

/// An entity tag with its quotes.
pub fn quoted(etag: &str) -> String {
    if etag == "*" || etag.starts_with('"') { etag.to_owned() } else { format!("\"{etag}\"") }
}

/// The name of a key, as it may stand in a path.
///
/// # Errors
/// Usage.
pub fn key_name(text: &str) -> Result<String, Failure> {
    let name = KeyName::parse(text).map_err(|e| {
        Failure::usage(format!("`{text}` is {e}"), "1 to 127 of A-Z a-z 0-9 . _ -, the first a letter or digit")
    })?;
    Ok(name.as_str().to_owned())
}

/// Prints what a change did, or would do: the object under `name`, and where it is recorded.
pub fn tell(output: &Output, answer: &Value, name: &str) -> Exit {
    if output.is_json() {
        output.object(answer);
        return Exit::Done;
    }
    if answer.get("dry_run").and_then(Value::as_bool) == Some(true) {
        output.say("nothing was changed; this is what would be:");
    }
    output.object(&in_short(answer.get(name).unwrap_or(&Value::Null)));
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        output.say(&format!("warning: {}", placed(warning)));
    }
    tell_entry(output, answer)
}

/// Says where a change is recorded.
pub fn tell_entry(output: &Output, answer: &Value) -> Exit {
    if let Some(entry) = answer.pointer("/entry/number") {
        output.say(&format!("recorded as audit entry {entry}"));
    }
    Exit::Done
}
