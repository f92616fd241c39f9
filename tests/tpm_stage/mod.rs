//! A software TPM with certificates of its own authority, for one test; killed when dropped.
//!
//! The commands here are written from the library specification and share nothing with the attester.
#![allow(dead_code)] // each test binary uses its part

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keygate_forge::tcg::{Log, event};
use tempfile::TempDir;

const SHA256: u16 = 0x000b;
const SHA384: u16 = 0x000c;
const PASSWORD: [u8; 9] = [0x40, 0, 0, 9, 0, 0, 0, 0, 0];

/// A running swtpm.
pub struct SoftTpm {
    pub folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl SoftTpm {
    /// Makes a TPM with an RSA and a P-384 endorsement key and their certificates, banks SHA-256 and SHA-384, and starts it. `None`
    /// after a loud line where there is no swtpm; under `CI` that is a failure.
    pub fn start() -> Option<Self> {
        Self::with_banks("sha256,sha384")
    }

    /// The same with these banks.
    pub fn with_banks(banks: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for name in ["tpm", "ca", "conf"] {
            std::fs::create_dir(at.join(name)).unwrap();
        }
        let Some(localca) = found("swtpm_localca").filter(|_| found("swtpm").is_some()) else {
            skipped();
            return None;
        };
        let file = |name: &str, text: String| std::fs::write(at.join("conf").join(name), text).unwrap();
        let at = at.display();
        file(
            "swtpm-localca.conf",
            format!(
                "statedir = {at}/ca\nsigningkey = {at}/ca/signkey.pem\nissuercert = {at}/ca/issuercert.pem\ncertserial = {at}/ca/certserial\n"
            ),
        );
        file(
            "swtpm-localca.options",
            "--platform-manufacturer Example\n--platform-version 1.0\n--platform-model Test\n".to_owned(),
        );
        file(
            "swtpm_setup.conf",
            format!(
                "create_certs_tool = {}\ncreate_certs_tool_config = {at}/conf/swtpm-localca.conf\ncreate_certs_tool_options = {at}/conf/swtpm-localca.options\nactive_pcr_banks = sha256\n",
                localca.display()
            ),
        );
        let made = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--create-platform-cert", "--pcr-banks", banks, "--overwrite"])
            .args(["--tpmstate", &format!("{at}/tpm"), "--config", &format!("{at}/conf/swtpm_setup.conf")])
            .output()
            .unwrap();
        assert!(made.status.success(), "swtpm_setup: {}", String::from_utf8_lossy(&made.stdout));
        let mut tpm = Self { folder, port: 0, child: None };
        tpm.run();
        Some(tpm)
    }

    /// Starts the emulator on a free pair of ports; the second is the control channel's.
    fn run(&mut self) {
        for _ in 0..10 {
            let port = free_pair();
            let child = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
                .args(["--tpmstate", &format!("dir={}/tpm", self.folder.path().display())])
                .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
                .args(["--ctrl", &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1)])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            (self.port, self.child) = (port, Some(child));
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(10) {
                if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            self.stop();
        }
        panic!("swtpm did not start");
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Switches it off and on again: registers begin anew, the reset counter grows.
    pub fn restart(&mut self) {
        // TPM2_Shutdown(CLEAR).
        self.ask(0x8001, 0x145, &[0, 0]);
        self.stop();
        self.run();
    }

    /// A copy of its state, to be put back later: what a rollback of the machine's disk does to an emulated TPM.
    pub fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.path().join("tpm")).unwrap();
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// Switches it off, puts the state back, and on again.
    pub fn roll_back(&mut self, snapshot: &[(PathBuf, Vec<u8>)]) {
        self.stop();
        for (path, bytes) in snapshot {
            std::fs::write(path, bytes).unwrap();
        }
        self.run();
    }

    /// The address for `--tpm`.
    pub fn address(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }
    pub fn port(&self) -> u16 {
        self.port
    }
    /// The root above the endorsement key's certificate, and the certificate between them. PEM.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("ca/swtpm-localca-rootca-cert.pem")
    }
    pub fn issuer(&self) -> PathBuf {
        self.folder.path().join("ca/issuercert.pem")
    }

    /// Extends both banks by every event of the log.
    pub fn extend_log(&self, log: &Log) {
        for measured in log.events.iter().filter(|measured| measured.kind != event::NO_ACTION) {
            self.extend(measured.register, &measured.sha256, &measured.sha384);
        }
    }

    /// TPM2_PCR_Extend of one register.
    pub fn extend(&self, register: u32, sha256: &[u8; 32], sha384: &[u8; 48]) {
        let mut body = register.to_be_bytes().to_vec();
        body.extend(9_u32.to_be_bytes());
        body.extend(PASSWORD);
        body.extend(2_u32.to_be_bytes());
        body.extend(SHA256.to_be_bytes());
        body.extend(sha256);
        body.extend(SHA384.to_be_bytes());
        body.extend(sha384);
        assert_eq!(self.ask(0x8002, 0x182, &body)[6..10], [0; 4], "register {register}");
    }

    /// Transient objects and sessions that are loaded.
    pub fn loaded(&self) -> Vec<u32> {
        let of = |first: u32| {
            let mut body = 1_u32.to_be_bytes().to_vec();
            body.extend(first.to_be_bytes());
            body.extend(254_u32.to_be_bytes());
            let answer = self.ask(0x8001, 0x17a, &body);
            answer[19..].chunks_exact(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect::<Vec<_>>()
        };
        [0x8000_0000, 0x0200_0000, 0x0300_0000].into_iter().flat_map(of).collect()
    }

    /// Flushes everything that is loaded.
    pub fn flush(&self) {
        for handle in self.loaded() {
            self.ask(0x8001, 0x165, &handle.to_be_bytes());
        }
    }

    /// One raw command.
    pub fn ask(&self, tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut command = tag.to_be_bytes().to_vec();
        command.extend(u32::try_from(body.len() + 10).unwrap().to_be_bytes());
        command.extend(code.to_be_bytes());
        command.extend_from_slice(body);
        stream.write_all(&command).unwrap();
        read_frame(&mut stream).unwrap()
    }

    /// Runs one of the TPM2 tools on it.
    pub fn tool(&self, name: &str, arguments: &[&str]) {
        let output = Command::new(name)
            .args(arguments)
            .env("TPM2TOOLS_TCTI", self.address())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A command or response with its header.
pub fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 10];
    stream.read_exact(&mut bytes).ok()?;
    let size = u32::from_be_bytes(bytes[2..6].try_into().unwrap()) as usize;
    bytes.resize(size, 0);
    stream.read_exact(&mut bytes[10..]).ok()?;
    Some(bytes)
}

/// A port whose successor is free too.
fn free_pair() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// Where a program is.
pub fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| Path::is_file(file))
}

fn skipped() {
    assert!(std::env::var_os("CI").is_none(), "a software TPM: no swtpm and swtpm_localca");
    // Not by a macro, whose words are kept back where a test succeeds.
    let _ = std::io::stderr().write_all(b"SKIPPED a software TPM: no swtpm and swtpm_localca\n");
}
