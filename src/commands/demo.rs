//! `keygate demo`: the main job in one command, on a machine that has nothing. Keygate's contract, section 2.
//!
//! Everything in it is real: a store in a throw-away folder, the server on loopback with TLS, evidence of this machine's hardware or,
//! where there is none, of the software attester whose anchor only this demo trusts.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use reqwest::Method;
use serde_json::{Value, json};

use super::connect::failure;
use super::exit::{Exit, Failure};
use super::serve::Serving;
use super::{demo_tpm, identity, init};
use crate::app::App;
use crate::attester::{self, Attester};
use crate::client::{Ask, ClientError, Connection, RecipientPlace, Workload};
use crate::clock::{Clock, SystemClock};
use crate::settings::Settings;

/// What the software attester of the demo says it measured.
const MEASURED: &str =
    "6b6579676174652064656d6f20776f726b6c6f61642c206d6561737572656420617320697420776173206275696c742e";
/// What the second workload says: one digit differs.
const ALTERED: &str =
    "6b6579676174652064656d6f20776f726b6c6f61642c206d6561737572656420617320697420776173206275696c742f";
const KEY: &str = "demo-db-key";

/// Arguments of `keygate demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate demo")]
pub struct DemoArgs {
    /// Leave the server running until it is interrupted, with its folder.
    #[arg(long)]
    keep: bool,
    /// Where evidence comes from: auto, snp, tdx, sgx, nitro, tpm, software; auto takes confidential hardware, else software.
    #[arg(long, default_value = "auto")]
    attester: String,
    /// The TPM, for `--attester tpm`; default: the kernel's device.
    #[arg(long, value_name = "ADDRESS", env = "TPM2TOOLS_TCTI")]
    tpm: Option<String>,
}

/// A folder that goes away with its owner, unless it is kept.
struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    fn new(keep: bool) -> Result<Self, Failure> {
        let mut random = [0u8; 6];
        openssl::rand::rand_bytes(&mut random)
            .map_err(|e| Failure::unavailable("dependency-unavailable", e.to_string(), ""))?;
        let path = std::env::temp_dir().join(format!("keygate-demo-{}", hex::encode(random)));
        Ok(Self { path, keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Runs `keygate demo`.
pub async fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let scratch = Scratch::new(args.keep)?;
    let dir = scratch.path.join("data");
    std::fs::create_dir(&scratch.path)
        .map_err(|e| Failure::unavailable("store-failed", e.to_string(), "free some space in the temporary folder"))?;
    say("Keygate demo: a key leaves its store only for the workload that its rule names.\n");

    init::make(&dir, &[], None)?;
    let options = demo_tpm::options(args.tpm.as_deref(), &scratch.path);
    let hardware = hardware(&args.attester, &options)?;
    let good = Evidence::prepare(hardware, &scratch.path, &dir)?;
    let mut settings = Settings::read(&dir.join("keygate.toml"), &[])?;
    // Any free port: the demo runs beside whatever runs here.
    settings.server.bind.set_port(0);
    settings.server.admin_bind.set_port(0);
    let server = Serving::start(App::open(settings).map_err(init::from_app)?)?;
    step(1, "a store, a root key and a CA are made; the real server serves TLS");
    fact("data listener", &format!("https://localhost:{}", server.data.port()));
    fact("admin listener", &format!("https://localhost:{}", server.admin.port()));

    let ca =
        std::fs::read(dir.join("tls/ca.pem")).map_err(|e| Failure::unavailable("store-failed", e.to_string(), ""))?;
    let token = std::fs::read_to_string(dir.join("admin.token"))
        .map_err(|e| Failure::unavailable("store-failed", e.to_string(), ""))?;
    let data = Connection::new(&format!("https://localhost:{}", server.data.port()), &ca, None).map_err(failure)?;
    let admin_url = format!("https://localhost:{}", server.admin.port());
    let admin = Connection::new(&admin_url, &ca, Some(token.trim().to_owned())).map_err(failure)?;

    if good.attester.kind() == "tpm" {
        let data = format!("https://localhost:{}", server.data.port());
        demo_tpm::trust(&dir, (&data, &admin_url), &ca, &options).await?;
        fact("enrolled", "this TPM: it opened a secret that only it can open");
    }
    let claims = attested(&data, good.attester.as_ref()).await?;
    let (claim, value) =
        measurement(&claims).ok_or_else(|| Failure::refused("malformed", "the evidence names no measurement"))?;
    step(2, &format!("evidence of kind `{}` is verified; what it says", good.attester.kind()));
    fact(claim, &shortened(&value));
    fact("anchor", claims.pointer("/keygate/anchor").and_then(Value::as_str).unwrap_or("vendor"));

    create_key(&admin, KEY, &claims, claim, &value).await?;
    step(3, &format!("an operator makes `{KEY}` (AES-256) with a rule"));
    fact("released to", &format!("{claim} = {}", shortened(&value)));

    let given = release(&data, good.attester.as_ref(), KEY).await.map_err(failure)?;
    step(4, "the workload asks: challenge, fresh evidence, fresh recipient key");
    fact("sealed answer", given.answer.pointer_text("/wrapped/wrapping"));
    fact(
        "receipt",
        &format!(
            "checked: entry {} of the audit, chain up to the pinned CA",
            given.receipt.entry().unwrap_or_default()
        ),
    );
    use_released(&given.secret)?;
    fact("unsealed", &format!("{} bytes, used to encrypt and decrypt a record", given.secret.len()));

    let refused = second_workload(&data, &admin, &good, &claims, claim, &scratch.path).await?;
    step(5, "a second workload with one wrong digit in its measurement asks");
    fact("it learns", &format!("{} (403), and a correlation id", refused.code));
    tell_why(&admin, &refused).await?;

    step(6, "the audit trail, and its verdict");
    audit_trail(&admin).await?;

    say(&format!("\nDone in {:.1} s. By hand:", began.elapsed().as_secs_f32()));
    by_hand(args.keep, &dir, &server);
    if args.keep {
        say(&format!("\nThe server runs until Ctrl-C; its folder is {}", scratch.path.display()));
        return server.until_stopped().await;
    }
    server.stop().await
}

/// The hardware that was asked for. `auto` leaves a TPM alone: enrolling it changes nothing, but not everybody expects it.
fn hardware(name: &str, options: &attester::Options) -> Result<Option<Box<dyn Attester>>, Failure> {
    match name {
        "software" => Ok(None),
        "auto" => Ok(attester::choose("auto", options).ok().filter(|found| found.kind() != "tpm")),
        name => attester::choose(name, options)
            .map(Some)
            .map_err(|e| Failure::unavailable("attester", e.to_string(), e.help())),
    }
}

/// What makes evidence in the demo.
struct Evidence {
    attester: Box<dyn Attester>,
    software: Option<PathBuf>,
}

impl Evidence {
    /// The hardware's attester, or a software identity whose root the demo's server trusts.
    fn prepare(hardware: Option<Box<dyn Attester>>, scratch: &Path, dir: &Path) -> Result<Self, Failure> {
        let more = if let Some(attester) = hardware {
            append(dir, "\n[collateral]\nonline = true\n")?;
            return Ok(Self { attester, software: None });
        } else {
            let (file, root) = identity::make(&scratch.join("software"), "software", 1)?;
            let anchor = format!(
                "\n[[trust_anchors]]\nname = \"software\"\nkind = \"software\"\npurpose = \"attestation\"\nfile = \"{}\"\n",
                root.display()
            );
            append(dir, &anchor)?;
            file
        };
        Ok(Self { attester: software(&more, MEASURED)?, software: Some(more) })
    }
}

fn append(dir: &Path, text: &str) -> Result<(), Failure> {
    let file = dir.join("keygate.toml");
    let whole = std::fs::read_to_string(&file).map(|old| old + text);
    whole
        .and_then(|t| std::fs::write(&file, t))
        .map_err(|e| Failure::unavailable("store-failed", e.to_string(), "check the folder"))
}

fn software(identity: &Path, measurement: &str) -> Result<Box<dyn Attester>, Failure> {
    let options = attester::Options {
        software_identity: Some(identity.to_path_buf()),
        software_measurement: Some(measurement.to_owned()),
        software_host: Some("demo".to_owned()),
        ..attester::Options::default()
    };
    attester::choose("software", &options).map_err(|e| Failure::unavailable("attester", e.to_string(), e.help()))
}

fn now() -> Result<i64, Failure> {
    let time = SystemClock::new(0).now();
    time.map(|t| t.secs())
        .map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "set the clock of this machine"))
}

/// What our own verifier says of this machine's evidence.
async fn attested(data: &Connection, attester: &dyn Attester) -> Result<Value, Failure> {
    let workload = Workload::new(data, attester, RecipientPlace::Ec).map_err(failure)?;
    let answer = workload.attest("", now()?).await.map_err(failure)?;
    Ok(answer.get("claims").cloned().unwrap_or_default())
}

/// The claim that names the workload, by kind of evidence.
fn measurement(claims: &Value) -> Option<(&'static str, String)> {
    const NAMES: &[(&str, &str)] = &[
        ("software.measurement", "/software/measurement"),
        ("nitro.pcrs.0", "/nitro/pcrs/0"),
        ("x-ms-sevsnpvm-launchmeasurement", "/x-ms-sevsnpvm-launchmeasurement"),
        ("tdx_mrtd", "/tdx_mrtd"),
        ("x-ms-sgx-mrenclave", "/x-ms-sgx-mrenclave"),
        ("tpm.pcrs.sha256.4", "/tpm/pcrs/sha256/4"),
    ];
    NAMES.iter().find_map(|(name, path)| Some((*name, claims.pointer(path)?.as_str()?.to_owned())))
}

async fn create_key(admin: &Connection, key: &str, claims: &Value, claim: &str, value: &str) -> Result<(), Failure> {
    let anchor = claims.pointer("/keygate/anchor").and_then(Value::as_str).unwrap_or("vendor");
    let kind = claims.get("x-ms-attestation-type").cloned().unwrap_or_default();
    let body = json!({
        "type": "oct-256",
        "exportable": true,
        "reason": "the demo",
        "rules": {
            "rules": {"release": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
                {"claim": "x-ms-attestation-type", "equals": kind},
                {"claim": claim, "equals": value},
            ]}]}},
            "options": {"anchors": [anchor]},
        },
    });
    let headers = [("If-None-Match", "*".to_owned())];
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    admin.send(Method::POST, &format!("/admin/v1/keys/{key}/create"), &headers, Some(bytes)).await.map_err(failure)?;
    Ok(())
}

async fn release(data: &Connection, attester: &dyn Attester, key: &str) -> Result<crate::client::Given, ClientError> {
    let ask = Ask { operation: "release", key: key.to_owned(), ..Ask::default() };
    let time = now().map_err(|f| ClientError::clock(f.what()))?;
    Workload::new(data, attester, RecipientPlace::Ec)?.use_key(&ask, time).await
}

/// Encrypts and decrypts with the released key: it is the real one, or nothing.
fn use_released(key: &[u8]) -> Result<(), Failure> {
    let record = b"a record that only this workload reads";
    let mut tag = [0u8; 16];
    let sealed = encrypt_aead(Cipher::aes_256_gcm(), key, Some(&[0; 12]), b"demo", record, &mut tag);
    let opened = sealed.and_then(|s| decrypt_aead(Cipher::aes_256_gcm(), key, Some(&[0; 12]), b"demo", &s, &tag));
    match opened {
        Ok(opened) if opened == record => Ok(()),
        _ => Err(Failure::refused("crypto-failed", "the released key does not work")),
    }
}

/// Another workload asks and must be refused. On hardware, which cannot lie about itself, a key of another measurement is asked for.
async fn second_workload(
    data: &Connection,
    admin: &Connection,
    good: &Evidence,
    claims: &Value,
    claim: &str,
    _scratch: &Path,
) -> Result<ClientError, Failure> {
    let outcome = match &good.software {
        Some(identity) => release(data, software(identity, ALTERED)?.as_ref(), KEY).await,
        None => {
            let other = format!("{KEY}-other");
            let right = measurement(claims).map_or(96, |(_, value)| value.len());
            let wrong = "0".repeat(right.saturating_sub(1)) + "1";
            create_key(admin, &other, claims, claim, &wrong).await?;
            release(data, good.attester.as_ref(), &other).await
        }
    };
    match outcome {
        Err(refused) if refused.code == "not-released" => Ok(refused),
        Err(other) => Err(failure(other)),
        Ok(_) => Err(Failure::refused("not-released", "the second workload was given the key: this must never happen")),
    }
}

/// An operator looks the correlation id up and reads which leaf failed.
async fn tell_why(admin: &Connection, refused: &ClientError) -> Result<(), Failure> {
    let id = refused.instance.as_deref().unwrap_or_default().trim_start_matches("urn:uuid:");
    let (_, shown) = admin.send(Method::GET, &format!("/admin/v1/audit/{id}"), &[], None).await.map_err(failure)?;
    fact("the operator", &format!("looks up {id}"));
    let leaves = find(&shown, "leaves").and_then(Value::as_array).cloned().unwrap_or_default();
    for leaf in leaves.iter().filter(|l| l.get("result") == Some(&json!(false))) {
        let text = |name: &str| leaf.get(name).map(plain).unwrap_or_else(|| "nothing".to_owned());
        fact("failed leaf", &format!("{} {}", text("path"), text("operator")));
        fact("", &format!("wanted   {}", ending(&text("expected"))));
        fact("", &format!("observed {}", ending(&text("observed"))));
    }
    Ok(())
}

async fn audit_trail(admin: &Connection) -> Result<(), Failure> {
    let (_, listed) = admin.send(Method::GET, "/admin/v1/audit", &[], None).await.map_err(failure)?;
    let entries = listed.get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    for entry in &entries {
        let text = |name: &str| find(entry, name).map(plain).unwrap_or_default();
        let what = [text("operation"), text("key"), text("object"), text("purpose")];
        let what: Vec<String> = what.into_iter().filter(|t| !t.is_empty()).collect();
        let verdict = format!("{} {}", text("decision"), text("code"));
        say(&format!("     {:>3}  {:<12} {:<33} {}", text("number"), text("kind"), what.join(" "), verdict.trim()));
    }
    let body = serde_json::to_vec(&json!({})).unwrap_or_default();
    let (_, verdict) = admin.send(Method::POST, "/admin/v1/audit/verify", &[], Some(body)).await.map_err(failure)?;
    let word = verdict.get("verdict").map(plain).unwrap_or_default();
    fact("verdict", &format!("{word}: {} entries, each chained to the last, and keyed", entries.len()));
    if word == "intact" { Ok(()) } else { Err(Failure::refused("store-corrupt", "the audit trail is damaged")) }
}

fn by_hand(keep: bool, dir: &Path, server: &Serving) {
    if keep {
        let (dir, data, admin) = (dir.display(), server.data.port(), server.admin.port());
        let software = dir.to_string().replace("/data", "/software/identity.pem");
        say(&format!("  keygate release {KEY} --attester software --software-identity {software} \\"));
        say(&format!("    --software-measurement {MEASURED} \\"));
        say(&format!("    --server https://localhost:{data} --ca {dir}/tls/ca.pem --out key.bin"));
        say(&format!("  keygate audit list --dir {dir} --server https://localhost:{admin}"));
        return;
    }
    say("  keygate init --dir d && keygate serve --config d/keygate.toml");
    say("  keygate key create db-key --type oct-256 --exportable --rule rule.json --dir d");
    say("  keygate release db-key --dir d --out db.key     # on the attested machine");
    say("  keygate audit verify --dir d");
    say("  keygate demo --keep                             # this demo, left running");
}

/// The first member of this name, wherever it stands.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name).or_else(|| members.values().find_map(|v| find(v, name))),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn shortened(hex: &str) -> String {
    match (hex.get(..12), hex.len().checked_sub(8).and_then(|from| hex.get(from..))) {
        (Some(head), Some(tail)) if hex.len() > 24 => format!("{head}…{tail}"),
        _ => hex.to_owned(),
    }
}

/// The end of a long value, where two of them differ.
fn ending(text: &str) -> String {
    if text.len() <= 40 { text.to_owned() } else { format!("…{}", text.get(text.len() - 32..).unwrap_or(text)) }
}

fn step(number: u8, what: &str) {
    say(&format!("{number}  {what}"));
}

fn fact(name: &str, what: &str) {
    say(&format!("     {name:<15} {what}"));
}

fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Text at a JSON pointer of an answer.
trait PointerText {
    fn pointer_text(&self, path: &str) -> &str;
}

impl PointerText for serde_json::Map<String, Value> {
    fn pointer_text(&self, path: &str) -> &str {
        let mut segments = path.trim_start_matches('/').split('/');
        let first = segments.next().and_then(|s| self.get(s));
        segments.fold(first, |value, s| value.and_then(|v| v.get(s))).and_then(Value::as_str).unwrap_or_default()
    }
}
