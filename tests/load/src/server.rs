//! A Keygate of our own: a folder that is thrown away, the lab's roots as its anchors, a key for each scenario.
//!
//! `native-api.md` section 2. Everything goes through the command line, as an operator would do it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Fallible;
use crate::evidence::Lab;
use crate::vault::{ISSUER, Verifier};

/// The host name that is dialled and bound.
pub const HOST: &str = "localhost";

/// A folder that goes away.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder, beside others of the system's or in `parent`.
    pub fn new(parent: Option<&Path>) -> Fallible<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let mut random = [0; 8];
        openssl::rand::rand_bytes(&mut random)?;
        let path = parent.join(format!("keygate-load-{}", hex::encode(random)));
        fs::create_dir(&path).map_err(|e| format!("cannot make `{}`: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that runs.
pub struct Keygate {
    program: PathBuf,
    scratch: Scratch,
    child: Child,
    /// The data listener.
    pub data: SocketAddr,
    admin: SocketAddr,
}

impl Keygate {
    /// `init`, the lab's anchors and endorsements, the verifier's keys, `serve`.
    pub fn start(program: &Path, parent: Option<&Path>, lab: &Lab, verifier: &Verifier) -> Fallible<Self> {
        let scratch = Scratch::new(parent)?;
        let dir = scratch.path().join("data");
        run(Command::new(program).arg("init").arg("--dir").arg(&dir))?;
        furnish(&dir, lab, verifier)?;
        let log = fs::File::create(scratch.path().join("serve.log"))?;
        let mut child = Command::new(program)
            .args(["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0", "--config"])
            .arg(dir.join("keygate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let addresses: Vec<SocketAddr> = line
            .split("https://")
            .skip(1)
            .filter_map(|rest| rest.split([' ', ')', ',']).next()?.parse().ok())
            .collect();
        let &[data, admin] = &addresses[..] else {
            let _ = child.kill();
            let _ = child.wait();
            let log = fs::read_to_string(scratch.path().join("serve.log")).unwrap_or_default();
            return Err(format!("the server did not start: `{}` {log}", line.trim()).into());
        };
        Ok(Self { program: program.to_path_buf(), scratch, child, data, admin })
    }

    /// Creates a key with a rule that evidence of `kind` from the lab meets.
    pub fn create_key(&self, name: &str, kind: &str, more: &[&str]) -> Fallible<()> {
        let rule = Lab::kinds().into_iter().find(|k| k.name == kind).ok_or("no rule for this kind")?.rule;
        let file = self.scratch.path().join(format!("{name}.json"));
        fs::write(&file, rule)?;
        let mut command = Command::new(&self.program);
        command.args(["key", "create", name, "--type", "oct-256", "--rule"]).arg(file);
        command.args(["--anchor", &format!("lab-{kind}")]).args(more);
        self.ordered(&mut command).map(drop)
    }

    /// Creates a credential with these roles.
    pub fn create_credential(&self, name: &str, roles: &[&str]) -> Fallible<String> {
        let mut command = Command::new(&self.program);
        command.args(["--format", "json", "credential", "create", name]);
        command.args(roles.iter().flat_map(|role| ["--role", role]));
        let told: Value = serde_json::from_slice(&self.ordered(&mut command)?)?;
        Ok(told["token"].as_str().ok_or("the new credential has no token")?.to_owned())
    }

    /// A command against the admin listener.
    fn ordered(&self, command: &mut Command) -> Fallible<Vec<u8>> {
        command.args(["--server", &format!("https://{HOST}:{}", self.admin.port())]);
        command.arg("--ca").arg(self.ca()).arg("--credential").arg(self.dir().join("admin.token"));
        run(command)
    }

    fn dir(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// The CA, PEM.
    pub fn ca(&self) -> PathBuf {
        self.tls().join("ca.pem")
    }

    /// The folder with the server's certificate and key.
    pub fn tls(&self) -> PathBuf {
        self.dir().join("tls")
    }

    /// The folder that holds the store, for floors of the same disk.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Keygate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Anchors, endorsements, a verifier that is never asked for its keys, and limits that do not stand in the way of one source.
fn furnish(dir: &Path, lab: &Lab, verifier: &Verifier) -> Fallible<()> {
    fs::create_dir(dir.join("anchors"))?;
    fs::create_dir(dir.join("endorsements"))?;
    let mut more = String::from(
        "\n[limits]\nrequests_per_second = 1000000\nburst = 1000000\n\
         \n[collateral]\ndirectory = \"endorsements\"\n\
         \n[telemetry]\nlog = \"warn\"\n",
    );
    for (kind, root) in lab.roots() {
        fs::write(dir.join(format!("anchors/{kind}.der")), root)?;
        more.push_str(&format!(
            "\n[[trust_anchors]]\nname = \"lab-{kind}\"\nkind = \"{kind}\"\npurpose = \"attestation\"\nazure_tokens = true\nfile = \"anchors/{kind}.der\"\n"
        ));
    }
    for (name, content) in lab.endorsements() {
        fs::write(dir.join("endorsements").join(name), content)?;
    }
    fs::write(dir.join("verifier.jwks"), verifier.key_set()?)?;
    more.push_str(&format!(
        "\n[[issuers]]\nname = \"lab\"\nissuer = \"{ISSUER}\"\nprofile = \"maa\"\njwks = \"verifier.jwks\"\n"
    ));
    let file = dir.join("keygate.toml");
    let text = fs::read_to_string(&file)? + &more;
    Ok(fs::write(&file, text)?)
}

/// Runs to its end; what it printed.
fn run(command: &mut Command) -> Fallible<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_server_is_furnished_once_and_thrown_away() {
        let scratch = Scratch::new(None).unwrap();
        let path = scratch.path().to_path_buf();
        fs::write(path.join("keygate.toml"), "[[providers]]\nid = \"default\"\n").unwrap();
        furnish(&path, &Lab::new(1_790_000_000), &Verifier::new().unwrap()).unwrap();
        let text = fs::read_to_string(path.join("keygate.toml")).unwrap();
        assert_eq!(text.matches("[[trust_anchors]]").count(), 5);
        assert_eq!(text.matches("[[issuers]]").count(), 1);
        assert!(fs::read_to_string(path.join("verifier.jwks")).unwrap().contains("\"keys\""));
        assert!(path.join("endorsements/tdx.json").exists());
        drop(scratch);
        assert!(!path.exists());
    }
}
