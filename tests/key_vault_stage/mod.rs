//! A vault for Key Vault's clients under a name of its own, a verifier whose tokens count there, and everybody who has a role.
//! `keyvault-api.md` section 5, `secure-key-release.md` section 3.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::rsa::Rsa;
use serde_json::json;

use crate::running::Running;

/// The vault: clients send a token only to a host below the domain that the challenge names. They find it by themselves at 127.0.0.1.
const HOST: &str = "vault.kv.test";
/// A verifier that is known here by its keys alone.
const ISSUER: &str = "https://sharedtest.test.attest.example";
/// Who works with the vault, and as what.
const STAFF: [(&str, &[&str]); 5] = [
    ("officer", &["key-officer", "rule-officer"]),
    ("keeper", &["key-officer"]),
    ("user", &["key-user"]),
    ("purger", &["key-officer", "purge-officer"]),
    ("outsider", &["attestation-reader"]),
];

/// The running vault, and the folder of what its clients bring.
pub struct Stage {
    pub server: Running,
    folder: PathBuf,
}

impl Stage {
    /// Starts it.
    pub fn open() -> Self {
        let mut server = Running::init_at(&[HOST], "");
        let folder = server.folder.path().join("stage");
        std::fs::create_dir_all(&folder).unwrap();
        verifier(&folder);
        let settings = server.dir().join("keygate.toml");
        let text = std::fs::read_to_string(&settings).unwrap()
            + &format!(
                "\n[[issuers]]\nname = \"shared\"\nissuer = \"{ISSUER}\"\nprofile = \"maa\"\njwks = \"{}\"\n",
                folder.join("verifier.jwks").display()
            );
        std::fs::write(&settings, text).unwrap();
        server.start();
        let stage = Self { server, folder };
        for (name, roles) in STAFF {
            let mut words = vec!["credential", "create", name];
            words.extend(roles.iter().flat_map(|role| ["--role", role]));
            let made = stage.server.admin_ok(&words);
            let token = made["token"].as_str().unwrap_or_else(|| panic!("no token: {made}"));
            std::fs::write(stage.folder.join(format!("{name}.token")), token).unwrap();
        }
        stage.describe();
        stage
    }

    /// What a client is told: the vault, the CA, the verifier, the folder, and how an operator reaches the other door.
    fn describe(&self) {
        let told = json!({
            "vault": self.server.data.replace("localhost", HOST),
            "host": HOST,
            "ca": self.server.ca(),
            "issuer": ISSUER,
            "folder": self.folder,
            "keygate": env!("CARGO_BIN_EXE_keygate"),
            "admin": self.server.admin,
        });
        std::fs::write(self.description(), told.to_string()).unwrap();
    }

    /// The file that a client is given.
    pub fn description(&self) -> PathBuf {
        self.folder.join("stage.json")
    }

    /// A client that reaches the vault by no proxy.
    pub fn alone<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            client.env_remove(name);
        }
        client.env("NODE_EXTRA_CA_CERTS", self.server.ca())
    }

    /// Ends the server, whose audit must be intact.
    pub fn close(mut self) {
        let verdict = self.server.admin_ok(&["audit", "verify"]);
        assert_eq!(verdict["verdict"], "intact", "{verdict}");
        assert_eq!(self.server.terminate(), Some(0));
    }
}

/// The verifier's key, with which clients make its tokens, and its key set, which the server is given. `verifier.key` counts,
/// `stranger.key` does not, though tokens under it name the same key.
fn verifier(folder: &Path) {
    for name in ["verifier", "stranger"] {
        let key = Rsa::generate(2048).unwrap();
        let encoded = |number: Vec<u8>| URL_SAFE_NO_PAD.encode(number);
        let (n, e) = (encoded(key.n().to_vec()), encoded(key.e().to_vec()));
        let set = json!({"keys": [{"kty": "RSA", "kid": "verifier-1", "use": "sig", "alg": "RS256", "n": n, "e": e}]});
        std::fs::write(folder.join(format!("{name}.jwks")), set.to_string()).unwrap();
        let pem = openssl::pkey::PKey::from_rsa(key).unwrap().private_key_to_pem_pkcs8().unwrap();
        std::fs::write(folder.join(format!("{name}.key")), pem).unwrap();
    }
}
