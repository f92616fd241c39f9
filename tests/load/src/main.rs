//! Load over real HTTPS against a Keygate that this program starts itself, or against one that runs already. Loopback only.
//!
//! `performance-floor.md` section 9. Challenges are fetched and bodies built before the clock starts; every run measures its own
//! floors in its own folder, ends by itself, and leaves nothing behind.
#![forbid(unsafe_code)]

mod azure;
mod crypto;
mod evidence;
mod fire;
mod floors;
mod hello;
mod report;
mod scenario;
mod server;
mod shot;
mod system;
mod vault;
mod wire;

use std::io::IsTerminal as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};

use evidence::{Lab, Mint, SoftwareMint};
use fire::{Pace, fire};
use floors::Floors;
use hello::Hello;
use report::{Report, Row};
use scenario::{Armoury, SESSION_KEY, Scenario, WRAP_KEY};
use server::{HOST, Keygate, Scratch};
use shot::Shot;
use system::{Machine, cpu_of, rss_of};
use vault::{Vault, Verifier};
use wire::Door;

/// A result whose error is for a person.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Requests of the comparison with the bare server: its CPU is read in steps of 10 ms, which is what 500 of them take.
const HELLO_REQUESTS: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Load over real HTTPS against a Keygate of its own, or one that runs already.
#[derive(Debug, Parser)]
#[command(name = "keygate-load", version)]
#[command(after_help = "Example:\n  keygate-load release-nitro release-session --clients 16 --requests 4000")]
struct Args {
    /// What to ask, one after the other; nothing given: everything.
    scenarios: Vec<Scenario>,
    /// Closed loop: this many clients, each waiting for its answer.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024), conflicts_with = "rate")]
    clients: u16,
    /// Open loop: this many requests a second, whatever comes back.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Requests of each scenario.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// The longest that a scenario may fire; challenges live for 300 s.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=200))]
    seconds: u64,
    /// The keygate program [default: beside this one].
    #[arg(long, value_name = "FILE")]
    keygate: Option<PathBuf>,
    /// Make the throw-away folder in here, to choose the disk [default: the system's folder for such].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// A server that runs already, https://HOST:PORT on loopback; release-software and garbage only.
    #[arg(long, value_name = "URL", requires = "ca", requires = "identity")]
    server: Option<String>,
    /// Its CA, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// An identity of the software attester that it trusts (`keygate software-identity`).
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The key to ask for.
    #[arg(long, value_name = "NAME", default_value = "load-software")]
    key: String,
    /// What the software evidence says was measured, 48 bytes in hex [default: 5a…].
    #[arg(long, value_name = "HEX")]
    measurement: Option<String>,
    /// Its process, to read CPU and memory.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// How results are printed: table on a terminal, json in a pipe, unless given.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

fn main() -> ExitCode {
    let mut raw = std::env::args_os().skip(1);
    if raw.next().is_some_and(|first| first == hello::COMMAND) {
        let served = raw.next().ok_or_else(|| "no folder".into()).and_then(|tls| hello::serve(Path::new(&tls)));
        return if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&args)));
    match done {
        Ok(report) => {
            let json = args.format.map_or_else(|| !std::io::stdout().is_terminal(), |f| f == Format::Json);
            match json {
                true => println!("{:#}", report.to_json()),
                false => print!("{}", report.to_table()),
            }
            ExitCode::from(u8::from(report.has_unexpected()))
        }
        Err(error) => {
            eprintln!("keygate-load: {error}");
            ExitCode::from(3)
        }
    }
}

async fn run(args: &Args) -> Fallible<Report> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    match &args.server {
        Some(url) => against_running(args, url, now).await,
        None => against_own(args, now).await,
    }
}

/// Starts a server, makes its keys and runs every scenario.
async fn against_own(args: &Args, now: i64) -> Fallible<Report> {
    let program = match &args.keygate {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("keygate"),
    };
    let scenarios = if args.scenarios.is_empty() { Scenario::ALL.to_vec() } else { args.scenarios.clone() };
    let (lab, verifier) = (Lab::new(now), Verifier::new()?);
    eprintln!("starting {}", program.display());
    let keygate = Keygate::start(&program, args.folder.as_deref(), &lab, &verifier)?;
    for kind in Lab::kinds() {
        keygate.create_key(&format!("load-{}", kind.name), kind.name, &["--exportable"])?;
    }
    keygate.create_key(SESSION_KEY, "software", &["--exportable", "--option", "freshness=session"])?;
    keygate.create_key(WRAP_KEY, "software", &["--option", "freshness=session"])?;

    let ca = std::fs::read(keygate.ca())?;
    let door = Door::new(keygate.data, HOST, &ca)?;
    let vault = match scenarios.iter().any(|scenario| vault::asked_by(*scenario).is_some()) {
        true => Some(Vault::open(&keygate, &door, &ca, &verifier).await?),
        false => None,
    };
    let bare = Hello::start(&keygate.tls())?;
    let bare_door = Door::new(bare.address, HOST, &ca)?;
    let mut report =
        Report { machine: Machine::here(), floors: Floors::measure(keygate.folder())?, hello: None, rows: Vec::new() };
    let hello_shot = vec![Shot::served("/", b"{}".to_vec())];
    // However scenarios are asked: what is compared with is the CPU of a request, not how many there are.
    let closed = Pace::Closed { clients: usize::from(args.clients) };
    let longest = Duration::from_secs(args.seconds);
    let hello = (Scenario::Hello, closed, longest);
    report.hello = measured(hello, &bare_door, Some(bare.pid()), hello_shot, HELLO_REQUESTS).await?.cpu_each();
    let armoury = Armoury { door: &door, lab: Some(&lab), outside: None, vault: vault.as_ref() };
    for scenario in scenarios {
        if scenario == Scenario::Hello {
            let shots = armoury.shots(scenario, 1).await?;
            report
                .rows
                .push(measured(asked(args, scenario), &bare_door, Some(bare.pid()), shots, requests(args)).await?);
            continue;
        }
        eprintln!("{}: building {} requests", scenario.name(), requests(args));
        let shots = armoury.shots(scenario, requests(args)).await?;
        report.rows.push(measured(asked(args, scenario), &door, Some(keygate.pid()), shots, requests(args)).await?);
    }
    Ok(report)
}

/// Asks a server that runs already, which trusts an identity of the software attester.
async fn against_running(args: &Args, url: &str, now: i64) -> Fallible<Report> {
    let scenarios = if args.scenarios.is_empty() { vec![Scenario::ReleaseSoftware] } else { args.scenarios.clone() };
    if scenarios.iter().any(|s| !matches!(s, Scenario::ReleaseSoftware | Scenario::Garbage)) {
        return Err("a server that runs already is asked release-software and garbage only".into());
    }
    let (host, address) = address_of(url)?;
    let ca = std::fs::read(args.ca.as_ref().ok_or("--ca is missing")?)?;
    let measurement = args.measurement.clone().unwrap_or_else(|| "5a".repeat(48));
    let identity = args.identity.as_ref().ok_or("--identity is missing")?;
    let mint = Mint::Software(SoftwareMint::from_identity(identity, &measurement, now)?);
    let door = Door::new(address, &host, &ca)?;
    let scratch = Scratch::new(args.folder.as_deref())?;
    let floors = Floors::measure(scratch.path())?;
    let mut report = Report { machine: Machine::here(), floors, hello: None, rows: Vec::new() };
    let armoury = Armoury { door: &door, lab: None, outside: Some((&mint, &args.key)), vault: None };
    for scenario in scenarios {
        let shots = armoury.shots(scenario, requests(args)).await?;
        report.rows.push(measured(asked(args, scenario), &door, args.pid, shots, requests(args)).await?);
    }
    Ok(report)
}

fn requests(args: &Args) -> usize {
    let requests = args.requests as usize;
    // An open loop sends no more than fits into its time.
    args.rate.map_or(requests, |rate| requests.min(rate as usize * args.seconds as usize))
}

fn address_of(url: &str) -> Fallible<(String, SocketAddr)> {
    let rest = url.strip_prefix("https://").ok_or_else(|| format!("`{url}` is no https URL"))?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(|| format!("`{url}` has no port"))?;
    let all = (host, port.parse::<u16>()?).to_socket_addrs()?;
    let address =
        all.into_iter().find(|a| a.ip().is_loopback()).ok_or_else(|| format!("`{host}` is not this machine"))?;
    Ok((host.to_owned(), address))
}

/// A scenario, how its requests follow each other, and the longest that they may.
fn asked(args: &Args, scenario: Scenario) -> (Scenario, Pace, Duration) {
    let pace = match args.rate {
        Some(rate) => Pace::Open { rate: f64::from(rate) },
        None => Pace::Closed { clients: usize::from(args.clients) },
    };
    (scenario, pace, Duration::from_secs(args.seconds))
}

/// Fires, reads the server's CPU and memory before and after, and then looks at answers.
async fn measured(
    (scenario, pace, longest): (Scenario, Pace, Duration),
    door: &Door,
    pid: Option<u32>,
    shots: Vec<Shot>,
    total: usize,
) -> Fallible<Row> {
    let before =
        pid.map(|pid| Ok::<_, Box<dyn std::error::Error + Send + Sync>>((cpu_of(pid)?, rss_of(pid)?))).transpose()?;
    let mut outcome = fire(door, shots, total, pace, longest).await?;
    let after =
        pid.map(|pid| Ok::<_, Box<dyn std::error::Error + Send + Sync>>((cpu_of(pid)?, rss_of(pid)?))).transpose()?;
    let (cpu, rss) = match (before, after) {
        (Some((cpu, rss)), Some((cpu_after, rss_after))) => {
            (Some(cpu_after.saturating_sub(cpu)), Some((rss, rss_after)))
        }
        _ => (None, None),
    };
    if let Some(wrong) = outcome.judge() {
        eprintln!("{}: {wrong}", scenario.name());
    }
    Ok(Row { asked: scenario, pace, outcome, cpu, rss })
}
