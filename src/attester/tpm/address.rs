//! Where the TPM is: addresses in the style of the TPM2 tools.
//!
//! tpm2-tss, *TCTI*: `name:key=value,…`. `device:/dev/tpmrm0`; `swtpm:host=127.0.0.1,port=2321` or `swtpm:path=/run/tpm.sock`, which
//! take raw commands; `mssim:host=127.0.0.1,port=2321`, which frames them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::fault::TpmError;

/// Devices below the root, the one with the kernel's resource manager first.
const DEVICES: &[&str] = &["dev/tpmrm0", "dev/tpm0"];
/// The port of an emulator where none is said.
const PORT: u16 = 2_321;

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A character device of the kernel.
    Device(PathBuf),
    /// An emulator that takes raw commands over TCP: host and port.
    Tcp(String, u16),
    /// An emulator that takes raw commands over a Unix socket.
    Unix(PathBuf),
    /// The Microsoft simulator's command port: host and port.
    Simulator(String, u16),
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`TpmError::Address`].
    pub fn parse(given: &str) -> Result<Self, TpmError> {
        let wrong = |detail: &str| TpmError::Address { given: given.to_owned(), detail: detail.to_owned() };
        let (name, rest) = given.split_once(':').unwrap_or((given, ""));
        if name == "device" {
            let path = if rest.is_empty() { "/dev/tpmrm0" } else { rest };
            return Ok(Self::Device(PathBuf::from(path)));
        }
        if !matches!(name, "swtpm" | "mssim") {
            return Err(wrong("it begins with none of `device:`, `swtpm:`, `mssim:`"));
        }
        let (mut host, mut port, mut path) = (None, None, None);
        for pair in rest.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| wrong("it is made of `key=value`"))?;
            let place = match key {
                "host" => &mut host,
                "port" => &mut port,
                "path" if name == "swtpm" => &mut path,
                _ => return Err(wrong("its keys are `host`, `port` and, of `swtpm`, `path`")),
            };
            if value.is_empty() || place.replace(value).is_some() {
                return Err(wrong("each key has one value"));
            }
        }
        if let Some(path) = path {
            if host.is_some() || port.is_some() {
                return Err(wrong("it has a path, or host and port"));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let port = match port.map(str::parse::<u16>) {
            None => PORT,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(wrong("the port is no number from 1 to 65535")),
        };
        let host = host.unwrap_or("127.0.0.1").to_owned();
        Ok(if name == "swtpm" { Self::Tcp(host, port) } else { Self::Simulator(host, port) })
    }

    /// The device below `root`, if there is one.
    pub fn device(root: &Path) -> Option<Self> {
        DEVICES.iter().map(|device| root.join(device)).find(|path| path.exists()).map(Self::Device)
    }

    /// The device that is looked for first, whether it is there or not.
    pub fn usual(root: &Path) -> Self {
        Self::Device(root.join("dev/tpmrm0"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::Tcp(host, port) => write!(f, "swtpm:host={host},port={port}"),
            Self::Unix(path) => write!(f, "swtpm:path={}", path.display()),
            Self::Simulator(host, port) => write!(f, "mssim:host={host},port={port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_tools_are_understood_and_written_again() {
        for (given, written) in [
            ("device:/dev/tpm0", "device:/dev/tpm0"),
            ("device", "device:/dev/tpmrm0"),
            ("swtpm:host=127.0.0.1,port=2322", "swtpm:host=127.0.0.1,port=2322"),
            ("swtpm:port=2322,host=::1", "swtpm:host=::1,port=2322"),
            ("swtpm", "swtpm:host=127.0.0.1,port=2321"),
            ("swtpm:path=/run/tpm.sock", "swtpm:path=/run/tpm.sock"),
            ("mssim:host=sim", "mssim:host=sim,port=2321"),
        ] {
            assert_eq!(Address::parse(given).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for given in [
            "",
            "tabrmd:",
            "/dev/tpm0",
            "swtpm:host",
            "swtpm:host=",
            "swtpm:host=a,host=b",
            "swtpm:port=0",
            "swtpm:port=65536",
            "swtpm:path=/a,port=1",
            "mssim:path=/a",
            "swtpm:depth=1",
        ] {
            let refused = Address::parse(given).unwrap_err();
            assert_eq!(refused.code(), "config-invalid", "{given}");
            assert!(refused.help().contains("swtpm:path="), "{given}");
        }
    }
}
