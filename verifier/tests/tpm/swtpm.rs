//! A software TPM opens what was hidden for one of its keys, and for no other.
//!
//! `swtpm`, `swtpm_setup` and the tools of `tpm2-tools`; where they are absent the test says so loudly and passes, under `CI` it fails.

use std::path::Path;
use std::process::{Command, Output};

use keygate_verifier::tpm::{EndorsementRandomness, PublicArea, make_credential};

/// A software TPM in a folder of its own, on a pair of ports of its own; stopped when dropped.
struct Machine {
    folder: std::path::PathBuf,
    port: u16,
    process: std::process::Child,
}

fn present() -> bool {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let all = ["swtpm", "swtpm_setup", "tpm2_createek", "tpm2_activatecredential"].iter().all(|tool| has(tool));
    if !all {
        assert!(std::env::var_os("CI").is_none(), "no software tpm, and CI must not skip");
        let line = b"SKIPPED the software tpm: swtpm or tpm2-tools are not installed\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line);
    }
    all
}

/// A pair of neighbouring ports that nobody listens on.
fn ports() -> u16 {
    for _ in 0..200 {
        let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no pair of ports is free");
}

impl Machine {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("keygate-swtpm-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("tpm")).unwrap();
        let state = folder.join("tpm").display().to_string();
        let setup = Command::new("swtpm_setup")
            .args(["--tpm2", "--tpmstate", &state, "--pcr-banks", "sha256", "--overwrite"])
            .args(["--logfile", &folder.join("setup.log").display().to_string()])
            .output()
            .unwrap();
        assert!(setup.status.success(), "swtpm_setup: {}", String::from_utf8_lossy(&setup.stderr));
        let port = ports();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={state}")])
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .args(["--ctrl", &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1)])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let machine = Self { folder, port, process };
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(50));
            if machine.tool("tpm2_getcap properties-fixed").status.success() {
                return machine;
            }
        }
        panic!("swtpm does not answer");
    }

    fn tool(&self, line: &str) -> Output {
        let mut words = line.split(' ');
        Command::new(words.next().unwrap())
            .args(words)
            .current_dir(&self.folder)
            .env("TPM2TOOLS_TCTI", format!("swtpm:host=127.0.0.1,port={}", self.port))
            .output()
            .unwrap()
    }

    /// Runs a tool, and empties the few places for objects.
    fn run(&self, line: &str) {
        let done = self.tool(line);
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        self.tool("tpm2_flushcontext -t");
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    fn area(&self, name: &str) -> PublicArea {
        PublicArea::parse(&self.file(name)).unwrap()
    }

    /// Opens a credential for the key `ak.ctx`: the secret, if the TPM gives it back.
    fn activate(&self, blob: &[u8], encrypted_seed: &[u8]) -> Option<Vec<u8>> {
        let file = [&[0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1][..], blob, encrypted_seed].concat();
        std::fs::write(self.folder.join("credential"), file).unwrap();
        let _ = std::fs::remove_file(self.folder.join("secret"));
        self.run("tpm2_startauthsession --policy-session -S session.ctx");
        self.run("tpm2_policysecret -S session.ctx -c e");
        let opened = self
            .tool("tpm2_activatecredential -c ak.ctx -C ek.ctx -i credential -o secret -P session:session.ctx")
            .status
            .success();
        self.tool("tpm2_flushcontext session.ctx");
        self.tool("tpm2_flushcontext -t");
        opened.then(|| self.file("secret"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(Path::new(&self.folder));
    }
}

fn round(ek: &str, ak: &str) {
    if !present() {
        return;
    }
    let machine = Machine::new(&ek.replace(' ', "-"));
    machine.run(&format!("tpm2_createek -c ek.ctx -G {ek} -u ek.pub"));
    machine.run(&format!("tpm2_createak -C ek.ctx -c ak.ctx {ak} -u ak.pub -n ak.name"));
    let (ek, ak) = (machine.area("ek.pub"), machine.area("ak.pub"));
    ek.check_endorsement_key().unwrap();
    ak.check_attestation_key().unwrap();
    assert_eq!(ak.name(), machine.file("ak.name"));
    let secret = [0x3c; 32];
    let mut random = [0; 128];
    openssl::rand::rand_bytes(&mut random).unwrap();
    let made = make_credential(&ek, ak.name(), &secret, &EndorsementRandomness(&random)).unwrap();
    assert_eq!(machine.activate(&made.blob, &made.encrypted_seed).as_deref(), Some(&secret[..]));
    // The same for another name, and a credential with a bit turned: nothing comes back.
    let mut other = ak.name().to_vec();
    other[9] ^= 1;
    let misnamed = make_credential(&ek, &other, &secret, &EndorsementRandomness(&random)).unwrap();
    assert_eq!(machine.activate(&misnamed.blob, &misnamed.encrypted_seed), None);
    let mut turned = made.blob.clone();
    turned[40] ^= 1;
    assert_eq!(machine.activate(&turned, &made.encrypted_seed), None);
}

#[test]
fn tpm_16_an_rsa_endorsement_key_opens_its_credential_alone() {
    round("rsa", "-G ecc -g sha256 -s ecdsa");
}

#[test]
fn tpm_16_an_ecc_endorsement_key_opens_its_credential_alone() {
    round("ecc", "-G rsa -g sha256 -s rsapss");
}
