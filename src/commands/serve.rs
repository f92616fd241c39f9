//! `keygate serve`: the service. Keygate's contract, section 2.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::connect::DEFAULT_DIR;
use super::exit::{Exit, Failure};
use super::init::{copy_warning, from_app};
use crate::app::{self, App};
use crate::clock::{Clock, SystemClock};
use crate::http::{self, ListenerSetup, Pace, Side, tls::Clients, tls::Identity};
use crate::settings::{DEFAULTS, Settings};
use crate::telemetry;

/// Arguments of `keygate serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate serve --config /var/lib/keygate/keygate.toml")]
pub struct ServeArgs {
    /// The configuration [default: ./keygate-data/keygate.toml].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data listener's address, instead of the configured one.
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<SocketAddr>,
    /// The admin listener's address, instead of the configured one.
    #[arg(long, value_name = "ADDR")]
    pub admin_bind: Option<SocketAddr>,
    /// Print every setting with its default and its comment, and end.
    #[arg(long)]
    pub print_config: bool,
}

/// Runs `keygate serve`.
pub async fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    if args.print_config {
        tell(DEFAULTS.trim_end());
        return Ok(Exit::Done);
    }
    let file = args.config.clone().unwrap_or_else(|| Path::new(DEFAULT_DIR).join("keygate.toml"));
    let environment: Vec<_> = std::env::vars().collect();
    let mut settings = Settings::read(&file, &environment)?;
    settings.server.bind = args.bind.unwrap_or(settings.server.bind);
    settings.server.admin_bind = args.admin_bind.unwrap_or(settings.server.admin_bind);
    settings.server.check()?;
    let format = if settings.telemetry.format == "json" { telemetry::Format::Json } else { telemetry::Format::Text };
    telemetry::start(format, &settings.telemetry.log)
        .map_err(|e| Failure::config(e.to_string(), "mend `telemetry.log`"))?;
    harden();
    for name in &settings.from_environment {
        tracing::info!(name, "set by the environment");
    }
    let root_beside_store =
        settings.path(&settings.root_key.file).parent() == settings.path(&settings.store.file).parent();
    let app = App::open(settings).map_err(from_app)?;
    let server = Serving::start(app)?;
    tell(&server.line());
    if root_beside_store && let Some(dir) = file.parent() {
        tell(&copy_warning(dir));
    }
    server.until_stopped().await
}

/// Two listeners that serve.
pub(super) struct Serving {
    app: App,
    /// Where the data listener listens.
    pub data: SocketAddr,
    /// Where the admin listener listens.
    pub admin: SocketAddr,
    handles: [ServerHandle; 2],
    tasks: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
    failed: Arc<AtomicBool>,
    wake: Arc<tokio::sync::Notify>,
    terminate: Signal,
    interrupt: Signal,
}

impl Serving {
    /// Binds both listeners and starts to serve.
    pub fn start(app: App) -> Result<Self, Failure> {
        // Before anybody is told that we listen: whoever ends us from then on gets a drain.
        let no_signal = |e: std::io::Error| Failure::unavailable("unreachable", e.to_string(), "");
        let terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
        let settings = &app.settings;
        let now = SystemClock::new(0)
            .now()
            .map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "set the clock"))?;
        let identity = Identity::read(
            &settings.path(&settings.server.certificate),
            &settings.path(&settings.server.private_key),
            now.secs(),
        )?;
        let known = Clients::asked(app.identity.authorities());
        let operators = match settings.server.client_ca.as_os_str().is_empty() {
            true => known.clone(),
            false => Clients::demanded(&settings.path(&settings.server.client_ca))?,
        };
        let bound = |address: SocketAddr| {
            http::bind(address).map_err(|e| {
                Failure::unavailable(
                    "unreachable",
                    format!("cannot listen on {address}: {e}"),
                    "choose another address with --bind",
                )
            })
        };
        let (data, admin) = (bound(settings.server.bind)?, bound(settings.server.admin_bind)?);
        let local = |socket: &std::net::TcpListener| {
            socket.local_addr().map_err(|e| Failure::unavailable("unreachable", e.to_string(), ""))
        };
        let (data_address, admin_address) = (local(&data)?, local(&admin)?);
        let pace = pace(settings);
        let mut prefixes: Vec<String> =
            app::providers(settings).map_err(from_app)?.into_iter().map(|p| p.prefix).collect();
        prefixes.sort();
        prefixes.dedup();
        // The longest first: the root would swallow the others.
        prefixes.reverse();
        let listen = |socket, side, tls, body_bytes| {
            http::listen(ListenerSetup { socket, tls, body_bytes, side, prefixes: prefixes.clone() }, &app.broker, pace)
                .map_err(|e| {
                    Failure::unavailable("unreachable", format!("cannot listen: {e}"), "choose another address")
                })
        };
        let data = listen(data, Side::Data, identity.acceptor(&known)?, settings.limits.body_bytes)?;
        let admin = listen(admin, Side::Admin, identity.acceptor(&operators)?, settings.limits.admin_body_bytes)?;
        let handles = [data.handle(), admin.handle()];
        app.start_background();
        let (failed, wake) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
        let (flag, bell) = (Arc::clone(&failed), Arc::clone(&wake));
        app.keystore.on_failure(Box::new(move || {
            flag.store(true, Ordering::SeqCst);
            bell.notify_one();
        }));
        let tasks = vec![tokio::spawn(data), tokio::spawn(admin)];
        Ok(Self { data: data_address, admin: admin_address, handles, tasks, failed, wake, terminate, interrupt, app })
    }

    /// What it listens on and how it is sealed, in one line.
    pub fn line(&self) -> String {
        format!(
            "keygate listens on https://{} (admin https://{}), sealed by {}",
            self.data, self.admin, self.app.sealed_by
        )
    }

    /// Serves until SIGTERM, SIGINT or a store that failed; then drains.
    pub async fn until_stopped(mut self) -> Result<Exit, Failure> {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = self.wake.notified() => {}
        }
        self.stop().await
    }

    /// Drains and closes the store.
    pub async fn stop(self) -> Result<Exit, Failure> {
        let failed = self.failed.load(Ordering::SeqCst);
        tracing::info!(failed, "draining");
        let broker = Arc::clone(&self.app.broker);
        for handle in &self.handles {
            handle.stop(!failed).await;
        }
        let limit = Duration::from_secs(self.app.settings.server.drain_seconds + 1);
        for task in self.tasks {
            let _ = tokio::time::timeout(limit, task).await;
        }
        if failed {
            return Err(Failure::store("the store failed: nothing was acknowledged that is not on disk"));
        }
        let _ = tokio::task::spawn_blocking(move || broker.stop()).await;
        self.app.keystore.shutdown();
        Ok(Exit::Done)
    }
}

fn pace(settings: &Settings) -> Pace {
    let server = &settings.server;
    Pace {
        workers: server.workers,
        max_connections: server.max_connections,
        header: Duration::from_secs(server.header_seconds),
        request: Duration::from_secs(server.request_seconds),
        keep_alive: Duration::from_secs(server.keep_alive_seconds),
        drain: Duration::from_secs(server.drain_seconds),
        rate: settings.limits.requests_per_second,
        burst: settings.limits.burst,
    }
}

/// No core file, no reading of our memory by neighbours (P57).
fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    if setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_err() {
        tracing::warn!("core dumps could not be switched off");
    }
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        tracing::warn!("this process can be traced by others of the same user");
    }
    if let Err(why) = keygate_keystore::lock_memory() {
        tracing::warn!(%why, "secrets may reach swap");
    }
}

/// One line on standard output. A reader that went away is no reason to stop serving.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
