//! A workload without hardware for tests: software evidence under a root that the server is told to trust.
#![allow(dead_code)] // each test binary uses its part

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_forge::binding::{Question, bind};
use keygate_forge::keys;
use keygate_forge::software::{Software, SoftwareEvidence};

use crate::running::Running;

/// Evidence, and the folder's configuration that trusts it.
pub struct Lab {
    software: Software,
}

impl Lab {
    /// Adds the lab's root to a server that was not started yet.
    pub fn of(server: &Running) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let software = Software::new(i64::try_from(now).unwrap());
        let root = server.folder.path().join("lab.der");
        std::fs::write(&root, software.root_der()).unwrap();
        let anchor = format!(
            "\n[[trust_anchors]]\nname = \"lab\"\nkind = \"software\"\npurpose = \"attestation\"\nfile = \"{}\"\n",
            root.display()
        );
        let file = server.dir().join("keygate.toml");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &anchor).unwrap();
        Self { software }
    }

    /// Creates an exportable key that this lab's evidence opens.
    pub fn create_key(&self, server: &Running, name: &str) {
        let measured = hex::encode([0x5a; 48]);
        let rule = format!(
            r#"{{"version":"1.0.0","anyOf":[{{"authority":"self","allOf":[{{"claim":"software.measurement","equals":"{measured}"}}]}}]}}"#
        );
        let rule = server.file(&format!("{name}.json"), &rule);
        server.admin_ok(&[
            "key",
            "create",
            name,
            "--type",
            "oct-256",
            "--exportable",
            "--rule",
            &rule,
            "--anchor",
            "lab",
        ]);
    }

    /// The body of a release for one challenge, with a recipient of its own.
    pub fn release(&self, challenge: &str, key: &str) -> Vec<u8> {
        let recipient = keys::p256();
        let point = keys::point(&recipient);
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(challenge).unwrap().try_into().unwrap();
        let question = Question { operation: "release", key, ..Question::default() };
        let bound = bind(&bytes, "localhost", &question, &jwk, b"");
        let evidence = self.software.evidence(&SoftwareEvidence::new(bound));
        let data = URL_SAFE_NO_PAD.encode(evidence);
        format!(r#"{{"evidence":{{"kind":"software","data":"{data}"}},"challenge":"{challenge}","recipient":{jwk}}}"#)
            .into_bytes()
    }
}
