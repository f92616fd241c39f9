//! `keygate rule`: release rules, tried and checked offline, and their versions in a service. Keygate's contract, sections 2 and 7.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use keygate_policies::reference::Standing;
use keygate_policies::release::RuleName;
use keygate_policies::{Authority, Limits, Severity, json};
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, key_name, tell};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::references::for_a_trial;
use super::rules::RuleFile;

/// Arguments of `keygate rule`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate rule check rule.json")]
pub struct RuleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Check a rule: what is wrong and where, what is refused, what is unwise.
    #[command(after_help = "Example:\n  keygate rule check rule.json")]
    Check {
        /// Rules and options, or a bare rule; `-` for standard input.
        file: PathBuf,
        /// Reference values that there are, signed or not; with one or more of them other names are told. May be given more than once.
        #[arg(long, value_name = "FILE")]
        reference: Vec<PathBuf>,
    },
    /// Try a rule over claims, offline.
    #[command(after_help = "Example:\n  keygate rule try rule.json --claims claims.json --expect release")]
    Try(TryArgs),
    /// Every version of a key's rules, oldest first.
    #[command(after_help = "Example:\n  keygate rule history db-key")]
    History {
        /// Key name.
        key: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// What differs between two versions; without numbers between the last two.
    #[command(after_help = "Example:\n  keygate rule diff db-key --from 1 --to 3")]
    Diff {
        /// Key name.
        key: String,
        /// The older version.
        #[arg(long, value_name = "NUMBER")]
        from: Option<u64>,
        /// The newer version.
        #[arg(long, value_name = "NUMBER")]
        to: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Set an earlier version again, as a further version.
    #[command(after_help = "Example:\n  keygate rule restore db-key 2 --reason 'back to the release of May'")]
    Restore {
        /// Key name.
        key: String,
        /// The version.
        number: u64,
        /// Set a rule that the linter refuses all the same, with the reason for the record.
        #[arg(long, value_name = "TEXT")]
        force: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Clone, Args)]
struct TryArgs {
    /// Rules and options, or a bare rule.
    rule: PathBuf,
    /// The claims of a token with its `iss`, a JSON object; `-` for standard input.
    #[arg(long, value_name = "FILE|-")]
    claims: PathBuf,
    /// Reference values that are to count in the trial, signed or not. May be given more than once.
    #[arg(long, value_name = "FILE")]
    reference: Vec<PathBuf>,
    /// What is expected: exit code 0 if it comes so, else 1.
    #[arg(long, value_enum)]
    expect: Option<Expect>,
    /// Which operation's rule, where the file has one for each.
    #[arg(long, default_value = "release", value_parser = ["release", "unwrap", "generate", "sign", "wrap"])]
    operation: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expect {
    /// The rule is met.
    Release,
    /// The rule is not met.
    Deny,
}

/// Runs `keygate rule`.
pub async fn run(args: &RuleArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    match &args.verb {
        Verb::Check { file, reference } => check(file, reference, &output),
        Verb::Try(wanted) => attempt(wanted, &output),
        Verb::History { key, server } => {
            let (_, told) = Desk::open(server)?.get(&format!("/keys/{}/rules/history", key_name(key)?)).await?;
            let versions = told.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
            let columns = [
                ("number", "/number"),
                ("at", "/at"),
                ("author", "/author"),
                ("reason", "/reason"),
                ("digest", "/digest"),
            ];
            output.list(&columns, &versions);
            Ok(Exit::Done)
        }
        Verb::Diff { key, from, to, server } => {
            let mut query = Vec::new();
            query.extend(from.map(|number| format!("from={number}")));
            query.extend(to.map(|number| format!("to={number}")));
            let path = format!("/keys/{}/rules/diff?{}", key_name(key)?, query.join("&"));
            let (_, told) = Desk::open(server)?.get(path.trim_end_matches('?')).await?;
            show_difference(&output, &told);
            Ok(Exit::Done)
        }
        Verb::Restore { key, number, force, change, server } => {
            let path = format!("/keys/{}", key_name(key)?);
            let mut body = Map::from_iter([("number".to_owned(), json!(number))]);
            body.extend(force.iter().map(|text| ("force".to_owned(), json!(text))));
            let answer = Desk::open(server)?.change(&path, &format!("{path}/rules/restore"), body, change).await?;
            Ok(tell(&output, &answer, "key"))
        }
    }
}

/// Prints a difference: a line for what stood there, a line for what stands there.
pub(super) fn show_difference(output: &Output, told: &Value) {
    if output.is_json() {
        return output.object(told);
    }
    for change in told.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| change.get(name).filter(|value| !value.is_null());
        output.say(change.get("path").and_then(Value::as_str).unwrap_or_default());
        for (mark, name) in [("-", "before"), ("+", "after")] {
            if let Some(value) = part(name) {
                output.say(&format!("  {mark} {value}"));
            }
        }
    }
}

/// 0: it may be set. 1: the linter refuses it. 2: it does not parse.
fn check(file: &Path, reference: &[PathBuf], output: &Output) -> Result<Exit, Failure> {
    let references = for_a_trial(reference, output)?;
    let known = |name: &str| match references.get(name) {
        Some(Standing::InForce(documents)) => documents.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    let file = RuleFile::read(file)?;
    let (found, parses) = match file.parse() {
        Ok(rules) => {
            let mut found = rules.lint();
            if !reference.is_empty() {
                found.extend(rules.lint_references(&known));
            }
            (found, true)
        }
        Err(found) => (found, false),
    };
    let valid = found.iter().all(|diagnostic| diagnostic.severity == Severity::Warning);
    if output.is_json() {
        output.object(&json!({"valid": valid, "diagnostics": found}));
    } else {
        file.show(&found);
        let refused = found.iter().filter(|diagnostic| diagnostic.severity > Severity::Warning).count();
        match (valid, found.len()) {
            (true, 0) => output.say(&format!("{} is sound", file.name)),
            (true, warnings) => output.say(&format!("{} may be set; warnings: {warnings}", file.name)),
            (false, _) if parses => output.say(&format!("{} is refused; reasons: {refused}", file.name)),
            (false, _) => {}
        }
    }
    match (parses, valid) {
        (true, true) => Ok(Exit::Done),
        (true, false) => Ok(Exit::Refused),
        (false, _) => Err(file.failure(&found)),
    }
}

fn attempt(wanted: &TryArgs, output: &Output) -> Result<Exit, Failure> {
    let file = RuleFile::read(&wanted.rule)?;
    let rules = match file.parse() {
        Ok(rules) => rules,
        Err(found) => {
            if output.is_json() {
                output.object(&json!({"valid": false, "diagnostics": found}));
            }
            file.show(&found);
            return Err(file.failure(&found));
        }
    };
    let claims = read_claims(&wanted.claims)?;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    // A rule for our own appraisal is tried on claims that come from anywhere: they stand for it here.
    let authority = Authority { issuer: &issuer, own: true };
    let rule: Option<(RuleName, _)> = rules.rule(&wanted.operation);
    let (permit, leaves) = match rule {
        Some((_, rule)) => {
            let references = for_a_trial(&wanted.reference, output)?;
            let decision = rule.evaluate_with(&authority, &claims, &references);
            (decision.permit, json!(decision.leaves))
        }
        None => (false, json!([])),
    };
    let decision = if permit { "release" } else { "deny" };
    if output.is_json() {
        output.object(&json!({"decision": decision, "leaves": leaves}));
    } else {
        let columns = [
            ("result", "/result"),
            ("path", "/path"),
            ("operator", "/operator"),
            ("expected", "/expected"),
            ("observed", "/observed"),
            ("reason", "/reason"),
        ];
        output.list(&columns, leaves.as_array().map(Vec::as_slice).unwrap_or_default());
        if rule.is_none() {
            output.say(&format!("there is no rule for {}", wanted.operation));
        }
        output.say(decision);
    }
    let good = match wanted.expect {
        None | Some(Expect::Release) => permit,
        Some(Expect::Deny) => !permit,
    };
    Ok(if good { Exit::Done } else { Exit::Refused })
}

fn read_claims(path: &Path) -> Result<Map<String, Value>, Failure> {
    let name = path.display();
    let cannot = |e: std::io::Error| Failure::usage(format!("cannot read `{name}`: {e}"), "name a file with claims");
    let mut bytes = Vec::new();
    let most = Limits::CLAIMS.bytes as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(cannot)?;
    }
    match json::parse(&bytes, &Limits::CLAIMS).map(|node| node.to_value()) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Err(Failure::usage(format!("`{name}` is no JSON object"), "give the claims of one token")),
        Err(found) => {
            Err(Failure::usage(format!("`{name}` is no strict JSON: {found}"), "give the claims of one token"))
        }
    }
}
