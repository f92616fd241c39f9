//! `keygate key`: keys of a service. Keygate's contract, section 2.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use keygate_keystore::{KeyType, Operation};
use keygate_policies::{Limits, json};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::admin::{ChangeArgs, Desk, key_name, tell};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::rules::{RuleFile, with_options};
use super::time::moment;

/// Most bytes of a file with a key.
const MAX_KEY_FILE: u64 = 64 * 1_024;

/// Arguments of `keygate key`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate key create db-key --type oct-256 --exportable --rule rule.json")]
pub struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Make a key.
    #[command(after_help = "Example:\n  keygate key create db-key --type oct-256 --exportable --rule rule.json")]
    Create(NewArgs),
    /// Bring a key: raw bytes, a JWK, or PKCS#8 in PEM or DER.
    #[command(after_help = "Example:\n  keygate key import disk-key --type secret --file disk.key --exportable")]
    Import {
        #[command(flatten)]
        new: NewArgs,
        /// The key, or `-` for standard input.
        #[arg(long, value_name = "FILE|-")]
        file: PathBuf,
    },
    /// List keys, deleted ones included.
    #[command(after_help = "Example:\n  keygate key list --format json")]
    List,
    /// Show one key: everything but its material.
    #[command(after_help = "Example:\n  keygate key show db-key")]
    Show {
        /// Key name.
        name: String,
    },
    /// Add a version, the newest from now on.
    #[command(after_help = "Example:\n  keygate key rotate db-key --reason 'yearly'")]
    Rotate {
        /// Key name.
        name: String,
        /// Bring the new version instead of making it.
        #[arg(long, value_name = "FILE|-")]
        file: Option<PathBuf>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Switch a key, or one version of it, off: counts from the next decision on.
    #[command(after_help = "Example:\n  keygate key disable db-key --reason 'incident 7'")]
    Disable(SwitchArgs),
    /// Switch a key, or one version of it, on.
    #[command(after_help = "Example:\n  keygate key enable db-key --reason 'incident 7 is over'")]
    Enable(SwitchArgs),
    /// Delete a key; it can be recovered for the retention of the store.
    #[command(after_help = "Example:\n  keygate key delete old-key --reason 'replaced by db-key'")]
    Delete(NamedArgs),
    /// Take a deletion back.
    #[command(after_help = "Example:\n  keygate key recover old-key --reason 'deleted by mistake'")]
    Recover(NamedArgs),
    /// Destroy a deleted key for ever; with purge protection not before its retention is over.
    #[command(after_help = "Example:\n  keygate key purge old-key --reason 'retention is over'")]
    Purge(NamedArgs),
}

#[derive(Debug, Clone, Args)]
struct NamedArgs {
    /// Key name.
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Clone, Args)]
struct SwitchArgs {
    /// Key name.
    name: String,
    /// Only this version: 32 hex digits.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Clone, Args)]
struct NewArgs {
    /// Key name.
    name: String,
    /// secret, oct-128, oct-192, oct-256, rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384 or ec-p521.
    #[arg(long = "type", value_name = "TYPE")]
    key_type: Option<String>,
    /// The key itself may be released.
    #[arg(long)]
    exportable: bool,
    /// What may be done with it: release, unwrap, wrap, generate, sign [default: all that the type can].
    #[arg(long, value_name = "OP,…", value_delimiter = ',')]
    ops: Vec<String>,
    /// Rules and options, or a bare rule.
    #[arg(long, value_name = "FILE|-")]
    rule: Option<PathBuf>,
    /// An option beside the rule, such as freshness=session. May be given more than once.
    #[arg(long, value_name = "K=V")]
    option: Vec<String>,
    /// Evidence under this trust anchor counts, `vendor` or an operator's. May be given more than once.
    #[arg(long, value_name = "NAME")]
    anchor: Vec<String>,
    /// The rule can never change.
    #[arg(long)]
    immutable: bool,
    /// Why a rule that the linter refuses is set all the same.
    #[arg(long, value_name = "REASON")]
    force: Option<String>,
    /// Not to be used until it is enabled.
    #[arg(long)]
    disabled: bool,
    /// Not to be used before: RFC 3339, or from now such as 12h.
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// Not to be used from then on: RFC 3339, or from now such as 365d.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Free text, NAME=TEXT. May be given more than once.
    #[arg(long, value_name = "NAME=TEXT")]
    tag: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl NewArgs {
    fn key_type(&self) -> Result<Option<KeyType>, Failure> {
        let read = |text: &String| {
            KeyType::parse(text).map_err(|_| {
                let all: Vec<_> = KeyType::ALL.iter().map(|key_type| key_type.as_str()).collect();
                Failure::usage(format!("`{text}` is no type of key"), format!("one of {}", all.join(", ")))
            })
        };
        self.key_type.as_ref().map(read).transpose()
    }

    /// The body of the request, without material.
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        if let Some(key_type) = self.key_type()? {
            put("type", json!(key_type.as_str()));
        }
        put("exportable", json!(self.exportable));
        put("enabled", json!(!self.disabled));
        if !self.ops.is_empty() {
            if let Some(odd) = self.ops.iter().find(|op| Operation::parse(op).is_err()) {
                return Err(Failure::usage(
                    format!("`{odd}` is no operation"),
                    "release, unwrap, wrap, generate, sign",
                ));
            }
            put("operations", json!(self.ops));
        }
        for (name, text) in [("not_before", &self.not_before), ("expires", &self.expires)] {
            if let Some(text) = text {
                put(name, json!(moment(text)?));
            }
        }
        let mut tags = Map::new();
        for tag in &self.tag {
            let split = tag.split_once('=').filter(|(name, _)| !name.is_empty());
            let (name, value) = split.ok_or_else(|| Failure::usage(format!("`{tag}` is no tag"), "write NAME=TEXT"))?;
            tags.insert(name.to_owned(), json!(value));
        }
        if !tags.is_empty() {
            put("tags", Value::Object(tags));
        }
        let document = self.rule.as_deref().map(|path| RuleFile::read(path)?.document()).transpose()?;
        if let Some(rules) = with_options(document, &self.option, &self.anchor)? {
            put("rules", rules);
        }
        if self.immutable {
            put("immutable", json!(true));
        }
        if let Some(force) = &self.force {
            put("force", json!(force));
        }
        Ok(body)
    }
}

/// Runs `keygate key`.
pub async fn run(args: &KeyArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    let change = |verb: &'static str, name: &str, change: ChangeArgs| {
        let (name, server) = (key_name(name), args.server.clone());
        async move {
            let name = name?;
            let desk = Desk::open(&server)?;
            desk.change(&format!("/keys/{name}"), &format!("/keys/{name}/{verb}"), Map::new(), &change).await
        }
    };
    let answer = match &args.verb {
        Verb::Create(new) => {
            if new.key_type()?.is_none() {
                return Err(Failure::usage("a new key needs a type", "name it with --type, such as --type oct-256"));
            }
            let name = key_name(&new.name)?;
            Desk::open(&args.server)?.create(&format!("/keys/{name}/create"), new.body()?, &new.change).await?
        }
        Verb::Import { new, file } => {
            let name = key_name(&new.name)?;
            let mut body = new.body()?;
            body.insert("material".to_owned(), material(file, new.key_type()?)?);
            Desk::open(&args.server)?.create(&format!("/keys/{name}/import"), body, &new.change).await?
        }
        Verb::List => {
            let keys = Desk::open(&args.server)?.pages("/keys", "keys").await?;
            let columns = [
                ("name", "/name"),
                ("type", "/type"),
                ("enabled", "/enabled"),
                ("exportable", "/exportable"),
                ("operations", "/operations"),
                ("rule", "/rule/number"),
                ("deleted", "/deleted_at"),
            ];
            output.list(&columns, &keys);
            return Ok(Exit::Done);
        }
        Verb::Show { name } => {
            let (etag, mut key) = Desk::open(&args.server)?.get(&format!("/keys/{}", key_name(name)?)).await?;
            key["etag"] = json!(etag.unwrap_or_default().trim_matches('"'));
            output.object(&key);
            return Ok(Exit::Done);
        }
        Verb::Rotate { name, file, change } => {
            let name = key_name(name)?;
            let desk = Desk::open(&args.server)?;
            let path = format!("/keys/{name}");
            let mut body = Map::new();
            if let Some(file) = file {
                let (_, key) = desk.get(&path).await?;
                let known = key.get("type").and_then(Value::as_str).and_then(|text| KeyType::parse(text).ok());
                body.insert("material".to_owned(), material(file, known)?);
            }
            desk.change(&path, &format!("{path}/rotate"), body, change).await?
        }
        Verb::Disable(switch) => switched(&args.server, switch, "disable").await?,
        Verb::Enable(switch) => switched(&args.server, switch, "enable").await?,
        Verb::Delete(named) => change("delete", &named.name, named.change.clone()).await?,
        Verb::Recover(named) => change("recover", &named.name, named.change.clone()).await?,
        Verb::Purge(named) => change("purge", &named.name, named.change.clone()).await?,
    };
    Ok(tell(&output, &answer, "key"))
}

async fn switched(server: &ServerArgs, switch: &SwitchArgs, verb: &str) -> Result<Value, Failure> {
    let path = format!("/keys/{}", key_name(&switch.name)?);
    let what = match &switch.version {
        Some(version) => format!("{path}/versions/{version}/{verb}"),
        None => format!("{path}/{verb}"),
    };
    Desk::open(server)?.change(&path, &what, Map::new(), &switch.change).await
}

/// The material in a file, as the request carries it: told apart by what it looks like, unless the type says that it is raw bytes.
fn material(file: &Path, declared: Option<KeyType>) -> Result<Value, Failure> {
    let bytes = read_key(file)?;
    if declared == Some(KeyType::Secret) {
        return Ok(json!({"raw": URL_SAFE_NO_PAD.encode(&*bytes)}));
    }
    let length = declared.and_then(KeyType::oct_length);
    if length.is_some_and(|length| length == bytes.len()) {
        return Ok(json!({"raw": URL_SAFE_NO_PAD.encode(&*bytes)}));
    }
    let text = std::str::from_utf8(&bytes).ok();
    if let Some(text) = text.filter(|text| text.trim_start().starts_with("-----BEGIN")) {
        return Ok(json!({"pem": text}));
    }
    if text.is_some_and(|text| text.trim_start().starts_with('{')) {
        let jwk = json::parse(&bytes, &Limits::request(bytes.len())).map_err(|found| {
            Failure::usage(
                format!("`{}` looks like a JWK and is none: {found}", file.display()),
                "write one JSON object",
            )
        })?;
        return Ok(json!({"jwk": jwk.to_value()}));
    }
    if declared.is_none() && bytes.first() != Some(&0x30) {
        let what = format!("`{}` is neither PEM, nor a JWK, nor DER", file.display());
        return Err(Failure::usage(what, "for raw bytes name the type: --type secret, --type oct-256 …"));
    }
    match length {
        Some(_) => Ok(json!({"raw": URL_SAFE_NO_PAD.encode(&*bytes)})),
        None => Ok(json!({"pkcs8": URL_SAFE_NO_PAD.encode(&*bytes)})),
    }
}

fn read_key(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    use std::io::Read as _;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE as usize + 1));
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_KEY_FILE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", file.display()), "name the key with --file"))?;
    if bytes.len() as u64 > MAX_KEY_FILE {
        return Err(Failure::usage(format!("`{}` is longer than any key", file.display()), "name a file with one key"));
    }
    Ok(bytes)
}
