//! A real server: `keygate init`, `keygate serve`, commands against it, and how it is ended.
#![allow(dead_code)] // each test binary uses its part

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder that `keygate init` made, and the process that serves it.
pub struct Running {
    pub folder: tempfile::TempDir,
    pub data: String,
    pub admin: String,
    ports: (u16, u16),
    child: Option<Child>,
}

pub fn keygate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygate"));
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("KEYGATE_") && n.contains("__")) {
        command.env_remove(name);
    }
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Running {
    /// A new folder with `extra` behind its configuration; not started.
    pub fn init(extra: &str) -> Self {
        Self::init_at(&[], extra)
    }

    /// The same, reached under these names too.
    pub fn init_at(hosts: &[&str], extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("d");
        let names = hosts.iter().flat_map(|host| ["--host", host]);
        let made = keygate().arg("init").arg("--dir").arg(&dir).args(names).output().unwrap();
        assert!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
        let file = dir.join("keygate.toml");
        let text = std::fs::read_to_string(&file).unwrap() + "\n" + extra;
        std::fs::write(&file, text).unwrap();
        let ports = (free_port(), free_port());
        let url = |port: u16| format!("https://localhost:{port}");
        Self { folder, data: url(ports.0), admin: url(ports.1), ports, child: None }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("d")
    }
    pub fn ca(&self) -> PathBuf {
        self.dir().join("tls/ca.pem")
    }

    /// Starts the server and waits until it is ready.
    pub fn start(&mut self) {
        self.start_in(&[]);
    }

    /// The same with more in its environment.
    pub fn start_in(&mut self, environment: &[(&str, &str)]) {
        let mut child = keygate()
            .envs(environment.iter().copied())
            .args(["serve", "--bind", &format!("127.0.0.1:{}", self.ports.0)])
            .args(["--admin-bind", &format!("127.0.0.1:{}", self.ports.1)])
            .arg("--config")
            .arg(self.dir().join("keygate.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap()))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(
            line.contains("listens"),
            "serve said `{line}`: {}",
            std::fs::read_to_string(self.log()).unwrap_or_default()
        );
        self.child = Some(child);
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("serve.log")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map(Child::id).unwrap()
    }

    /// Resident memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and the exit code after the drain.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        panic!("the server did not drain within 30 s");
    }

    /// A command against the admin listener, with the first admin's credential.
    pub fn admin(&self, args: &[&str]) -> Output {
        let credential = self.dir().join("admin.token");
        let mut command = keygate();
        command.args(["--format", "json"]).args(args).args(["--server", &self.admin]).arg("--ca").arg(self.ca());
        command.arg("--credential").arg(credential).output().unwrap()
    }

    /// The same, which must succeed.
    pub fn admin_ok(&self, args: &[&str]) -> Value {
        let output = self.admin(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "keygate {}: {error}", args.join(" "));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// A command on the folder itself.
    pub fn local(&self, args: &[&str]) -> Output {
        keygate().args(["--format", "json"]).args(args).arg("--dir").arg(self.dir()).output().unwrap()
    }

    /// Writes a file beside the data and names it.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Python with these modules, of the packages in `tests/clients/requirements.txt`, or `None` with a loud line; in CI their absence
/// is a failure.
pub fn python(modules: &str) -> Option<PathBuf> {
    let named = std::env::var_os("KEYGATE_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| PathBuf::from("python3"));
    let imports = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if imports.is_ok_and(|o| o.status.success()) {
        return Some(python);
    }
    skipped(&format!("a python client: no python with {modules}; see tests/clients/requirements.txt"));
    None
}

/// A Node that finds the packages of `tests/clients/node/package.json` in `KEYGATE_NODE_MODULES` or `target/node-client`, or `None` with
/// a loud line; in CI its absence is a failure.
pub fn node() -> Option<Command> {
    let named = std::env::var_os("KEYGATE_NODE_MODULES").map(PathBuf::from);
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node-client/node_modules");
    let modules = named.unwrap_or_else(usual);
    let node = || {
        let mut node = Command::new("node");
        node.env("NODE_PATH", &modules);
        node
    };
    let both = "require('@azure/attestation'); require('@azure/keyvault-keys')";
    if node().args(["-e", both]).output().is_ok_and(|o| o.status.success()) {
        return Some(node());
    }
    skipped("a node client: no node with the packages of tests/clients/node/package.json");
    None
}

/// Whether there is a software TPM with its tools; without them a loud line, and in CI a failure.
pub fn swtpm() -> bool {
    let there = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let all = ["swtpm", "swtpm_setup", "tpm2_quote"].into_iter().all(there);
    if !all {
        skipped("a machine with a TPM: no swtpm, swtpm_setup and tpm2-tools");
    }
    all
}

fn skipped(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    // Not by a macro, whose words are kept back where a test succeeds.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {what}\n").as_bytes());
}

pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}
