//! A Keygate of our own: a folder that is thrown away, the lab's roots as its anchors, a key for each scenario.
//!
//! `native-api.md` section 2. Everything goes through the command line, as an operator would do it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Fallible;
use crate::evidence::Lab;

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
    /// `init`, the lab's anchors and endorsements, `serve`.
    pub fn start(program: &Path, parent: Option<&Path>, lab: &Lab) -> Fallible<Self> {
        let scratch = Scratch::new(parent)?;
        let dir = scratch.path().join("data");
        run(Command::new(program).arg("init").arg("--dir").arg(&dir))?;
        furnish(&dir, lab)?;
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
        command.args(["--server", &format!("https://{HOST}:{}", self.admin.port())]);
        command.arg("--ca").arg(self.ca()).arg("--credential").arg(self.dir().join("admin.token"));
        run(&mut command)
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

/// Anchors, endorsements and limits that do not stand in the way of one source.
fn furnish(dir: &Path, lab: &Lab) -> Fallible<()> {
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
    let file = dir.join("keygate.toml");
    let text = fs::read_to_string(&file)? + &more;
    Ok(fs::write(&file, text)?)
}

fn run(command: &mut Command) -> Fallible<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
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
        furnish(&path, &Lab::new(1_790_000_000)).unwrap();
        let text = fs::read_to_string(path.join("keygate.toml")).unwrap();
        assert_eq!(text.matches("[[trust_anchors]]").count(), 5);
        assert!(path.join("endorsements/tdx.json").exists());
        drop(scratch);
        assert!(!path.exists());
    }
}
