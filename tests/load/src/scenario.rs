//! What is asked, prepared before the clock starts: every body with its own challenge, binding and recipient.
//!
//! `performance-floor.md` section 9. A body that was sent before measures the refusal of a spent challenge; none is sent twice, but
//! for sessions, whose token is made for that.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use keygate_forge::binding::Question;
use serde_json::{Value, json};

use crate::Fallible;
use crate::azure;
use crate::evidence::{Lab, Mint, Recipient};
use crate::floors::Floors;
use crate::shot::Shot;
use crate::vault::{self, Vault};
use crate::wire::Door;

/// Sessions that a run of sessions uses.
const SESSIONS: usize = 16;
/// The key that sessions release.
pub const SESSION_KEY: &str = "load-session";
/// The key that sessions unwrap with.
pub const WRAP_KEY: &str = "load-wrap";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The bare server, for comparison.
    Hello,
    /// Release of a key to software evidence.
    ReleaseSoftware,
    /// Release of a key to a Nitro document.
    ReleaseNitro,
    /// Release of a key to a TDX quote.
    ReleaseTdx,
    /// Release of a key to a SEV-SNP report.
    ReleaseSnp,
    /// Release of a key to the token of a session.
    ReleaseSession,
    /// Unwrap under the token of a session.
    Unwrap,
    /// An SGX quote to a token in Azure's dialect.
    AzureSgx,
    /// A TDX quote to a token in Azure's dialect.
    AzureTdx,
    /// A SEV-SNP report to a token in Azure's dialect.
    AzureSnp,
    /// Release at the Key Vault door to a token of another verifier.
    KvRelease,
    /// `wrapkey` with RSA-OAEP-256 by a role.
    KvWrapRsa,
    /// `wrapkey` with A256KW by a role.
    KvWrapAes,
    /// `unwrapkey` with RSA-OAEP-256 by a role, of a key without a rule.
    KvUnwrapRsa,
    /// `unwrapkey` with A256KW, likewise.
    KvUnwrapAes,
    /// `sign` with RS256, likewise.
    KvSignRs256,
    /// `sign` with ES256, likewise.
    KvSignEs256,
    /// Three releases and two unwraps by session, one release by each kind of evidence, one piece of garbage.
    Mixed,
    /// What strangers send: all of it must be refused.
    Garbage,
}

impl Scenario {
    /// Every scenario, in the order they run.
    pub const ALL: [Self; 19] = [
        Self::Hello,
        Self::ReleaseSoftware,
        Self::ReleaseNitro,
        Self::ReleaseTdx,
        Self::ReleaseSnp,
        Self::ReleaseSession,
        Self::Unwrap,
        Self::AzureSgx,
        Self::AzureTdx,
        Self::AzureSnp,
        Self::KvRelease,
        Self::KvWrapRsa,
        Self::KvWrapAes,
        Self::KvUnwrapRsa,
        Self::KvUnwrapAes,
        Self::KvSignRs256,
        Self::KvSignEs256,
        Self::Mixed,
        Self::Garbage,
    ];

    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }

    /// Kind of evidence that is asked with, where one is.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Self::ReleaseSoftware => Some("software"),
            Self::ReleaseNitro => Some("nitro"),
            Self::ReleaseTdx | Self::AzureTdx => Some("tdx"),
            Self::ReleaseSnp | Self::AzureSnp => Some("snp"),
            Self::AzureSgx => Some("sgx"),
            _ => None,
        }
    }

    /// The cryptography that no design can leave out while roots, collateral, certificates and key sets are known. Of an attestation:
    /// the signatures of evidence and token. Of a vault's release: the signature of the token, the seal to the recipient, the signature
    /// of the answer. Of other uses of a key: the operation itself, with a private key that is read and dropped.
    pub fn floor(self, floors: &Floors) -> Option<Duration> {
        match self {
            Self::AzureSgx | Self::AzureTdx => Some(2 * floors.p256 + floors.rs256),
            Self::AzureSnp => Some(floors.p384 + floors.rs256),
            Self::KvRelease => Some(floors.rs256_check + floors.oaep + floors.key_wrap + floors.rs256),
            Self::KvWrapRsa => Some(floors.oaep),
            Self::KvWrapAes | Self::KvUnwrapAes => Some(floors.key_wrap),
            Self::KvUnwrapRsa => Some(floors.oaep_open_fresh),
            Self::KvSignRs256 => Some(floors.rs256_fresh),
            Self::KvSignEs256 => Some(floors.es256_fresh),
            _ => None,
        }
    }

    /// What it may cost over kept TLS. `performance-floor.md` section 8: T14 and T15, T16 and T17, T19 to T21.
    pub fn target(self, floors: &Floors) -> Option<Target> {
        let floor = self.floor(floors)?;
        let (cryptography, hellos) = match self {
            Self::AzureSgx | Self::AzureTdx | Self::AzureSnp => (floor.mul_f64(1.30), 6),
            Self::KvRelease => (floor.mul_f64(1.80), 8),
            Self::KvWrapAes | Self::KvUnwrapAes => (floors.p256.mul_f64(0.30), 8),
            Self::KvUnwrapRsa | Self::KvSignRs256 => (floor.mul_f64(1.15), 8),
            _ => (floor.mul_f64(1.50), 8),
        };
        Some(Target { cryptography, hellos })
    }

    /// Whether answers mean that something durable was written for each.
    pub fn is_durable(self) -> bool {
        !matches!(self, Self::Hello | Self::Garbage)
    }
}

/// What a request may cost: a time, and so many requests to the bare server.
pub struct Target {
    /// For what has to be done.
    pub cryptography: Duration,
    /// For the way there and back, and the entry in the audit.
    pub hellos: u32,
}

/// Where bodies come from.
pub struct Armoury<'a> {
    /// The server.
    pub door: &'a Door,
    /// The lab, where the server trusts it.
    pub lab: Option<&'a Lab>,
    /// Software evidence of an identity, for a server that runs already, and the key to ask for.
    pub outside: Option<(&'a Mint<'a>, &'a str)>,
    /// The vault, where it was opened.
    pub vault: Option<&'a Vault<'a>>,
}

impl Armoury<'_> {
    /// `count` requests of a scenario; sessions give fewer, to be used over and over.
    pub async fn shots(&self, scenario: Scenario, count: usize) -> Fallible<Vec<Shot>> {
        if let Some(ask) = vault::asked_by(scenario) {
            return self.vault.ok_or("this scenario needs a vault that this program opened")?.shots(ask, count);
        }
        match scenario {
            Scenario::Hello => Ok(vec![Shot::served("/", b"{}".to_vec())]),
            Scenario::Garbage => self.garbage(count).await,
            Scenario::ReleaseSession => self.sessions(SESSION_KEY, None).await,
            Scenario::Unwrap => self.unwraps().await,
            Scenario::Mixed => self.mixed(count).await,
            Scenario::AzureSgx | Scenario::AzureTdx | Scenario::AzureSnp => {
                azure::shots(self.lab()?, scenario.kind().unwrap_or_default(), count)
            }
            release => self.releases(release.kind().unwrap_or_default(), count).await,
        }
    }

    fn mint(&self, kind: &str) -> Fallible<Mint<'_>> {
        self.lab()?.mint(kind)
    }

    fn lab(&self) -> Fallible<&Lab> {
        Ok(self.lab.ok_or("this scenario needs a server that this program started")?)
    }

    async fn releases(&self, kind: &str, count: usize) -> Fallible<Vec<Shot>> {
        if let (Some((mint, key)), "software") = (self.outside, kind) {
            return self.proofs(mint, "release", key, count, "").await;
        }
        self.proofs(&self.mint(kind)?, "release", &format!("load-{kind}"), count, "").await
    }

    /// `count` uses of a key, each with its own proof; `more` are members of the body, with a comma in front.
    async fn proofs(
        &self,
        mint: &Mint<'_>,
        operation: &str,
        key: &str,
        count: usize,
        more: &str,
    ) -> Fallible<Vec<Shot>> {
        let challenges = self.door.challenges(count).await?;
        let question = Question { operation, key, ..Question::default() };
        let question = if more.is_empty() { question } else { Question { alg: "A256GCM", input: b"32", ..question } };
        let path = format!("/v1/keys/{key}/{operation}");
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = challenges.len().div_ceil(threads).max(1);
        let body = |challenge: &(String, [u8; 32])| {
            let body = proof(mint, challenge, &self.door.host, &question, &Recipient::new(), more);
            Shot::served(path.clone(), body.into_bytes())
        };
        let shots = std::thread::scope(|scope| {
            let workers: Vec<_> = challenges
                .chunks(share)
                .map(|part| scope.spawn(|| part.iter().map(&body).collect::<Vec<_>>()))
                .collect();
            workers.into_iter().map(|w| w.join()).collect::<Result<Vec<_>, _>>()
        });
        Ok(shots.map_err(|_| "a thread that makes evidence ended early")?.concat())
    }

    /// Requests by session tokens: a body without input releases, one with a ciphertext unwraps it.
    async fn sessions(&self, key: &str, ciphertext: Option<&str>) -> Fallible<Vec<Shot>> {
        let mint = self.mint("software")?;
        let mut shots = Vec::new();
        for challenge in self.door.challenges(SESSIONS).await? {
            let recipient = Recipient::new();
            let question = Question { operation: "attest", ..Question::default() };
            let body = proof(&mint, &challenge, &self.door.host, &question, &recipient, "");
            let answer = self.door.ask("/v1/attestations", body).await?;
            let token = answer.get("token").and_then(Value::as_str).ok_or("the attestation gave no token")?;
            let (operation, input) = match ciphertext {
                None => ("release", String::new()),
                Some(text) => ("unwrap", format!(r#","alg":"A256GCM","ciphertext":"{text}""#)),
            };
            let body = format!(r#"{{"token":"{token}","recipient":{}{input}}}"#, recipient.jwk);
            shots.push(Shot::served(format!("/v1/keys/{key}/{operation}"), body.into_bytes()));
        }
        Ok(shots)
    }

    async fn unwraps(&self) -> Fallible<Vec<Shot>> {
        let more = r#","alg":"A256GCM","bytes":32"#;
        let made = self.proofs(&self.mint("software")?, "generate", WRAP_KEY, 1, more).await?;
        let shot = made.into_iter().next().ok_or("no request was made")?;
        let answer = self.door.ask(&shot.path, String::from_utf8(shot.body)?).await?;
        let ciphertext = answer.get("ciphertext").and_then(Value::as_str).ok_or("generate gave no ciphertext")?;
        self.sessions(WRAP_KEY, Some(ciphertext)).await
    }

    async fn mixed(&self, count: usize) -> Fallible<Vec<Shot>> {
        let each = count.div_ceil(10);
        let mut by_turn = Vec::new();
        for kind in ["software", "nitro", "tdx", "snp"] {
            by_turn.push(self.releases(kind, each).await?);
        }
        by_turn.push(self.garbage(each).await?);
        let (sessions, unwraps) = (self.sessions(SESSION_KEY, None).await?, self.unwraps().await?);
        let mut shots = Vec::with_capacity(count);
        for turn in 0..each {
            shots.extend(by_turn.iter().filter_map(|kind| kind.get(turn).cloned()));
            shots.extend((0..3).map(|n| sessions[(3 * turn + n) % sessions.len()].clone()));
            shots.extend((0..2).map(|n| unwraps[(2 * turn + n) % unwraps.len()].clone()));
        }
        shots.truncate(count);
        Ok(shots)
    }

    async fn garbage(&self, count: usize) -> Fallible<Vec<Shot>> {
        let (kind, key) = match self.outside {
            Some((_, key)) => ("software", key.to_owned()),
            None => ("software", "load-software".to_owned()),
        };
        let own = match self.outside {
            Some(_) => None,
            None => Some(self.mint(kind)?),
        };
        let mint = own.as_ref().or(self.outside.map(|(mint, _)| mint)).ok_or("no evidence can be made")?;
        let live = self.proofs(mint, "release", &key, count.div_ceil(4), "").await?;
        let absent = self.proofs(mint, "release", "no-such-key", count.div_ceil(8), "").await?;
        let path = format!("/v1/keys/{key}/release");
        let mut shots = Vec::with_capacity(count);
        for index in 0..count {
            let sound = live[index % live.len()].body.clone();
            let (path, body) = match index % 8 {
                0 => (path.clone(), random(600)?),
                1 => (path.clone(), sound[..sound.len() / 2].to_vec()),
                2 => (path.clone(), String::from_utf8(sound)?.replacen(r#""software""#, r#""abacus""#, 1).into_bytes()),
                3 => (path.clone(), with_other_challenge(&sound)?),
                4 => (path.clone(), with_changed_evidence(&live[index / 8 % live.len()].body)?),
                5 => (path.clone(), String::from_utf8(sound)?.replacen('{', r#"{"please":true,"#, 1).into_bytes()),
                6 => (absent[index / 8 % absent.len()].path.clone(), absent[index / 8 % absent.len()].body.clone()),
                _ => {
                    let token = URL_SAFE_NO_PAD.encode(random(300)?);
                    (
                        path.clone(),
                        format!(r#"{{"token":"{token}","recipient":{}}}"#, Recipient::new().jwk).into_bytes(),
                    )
                }
            };
            shots.push(Shot::refused(path, body));
        }
        Ok(shots)
    }
}

fn proof(
    mint: &Mint<'_>,
    challenge: &(String, [u8; 32]),
    host: &str,
    question: &Question<'_>,
    recipient: &Recipient,
    more: &str,
) -> String {
    let evidence = URL_SAFE_NO_PAD.encode(mint.evidence(&challenge.1, host, question, recipient));
    format!(
        r#"{{"evidence":{{"kind":"{}","data":"{evidence}"}},"challenge":"{}","recipient":{}{more}}}"#,
        mint.kind(),
        challenge.0,
        recipient.jwk
    )
}

fn random(count: usize) -> Fallible<Vec<u8>> {
    let mut bytes = vec![0; count];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(bytes)
}

fn with_other_challenge(body: &[u8]) -> Fallible<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body)?;
    value["challenge"] = json!(URL_SAFE_NO_PAD.encode(random(32)?));
    Ok(serde_json::to_vec(&value)?)
}

/// The signature's last byte, so that everything before it has to be looked at.
fn with_changed_evidence(body: &[u8]) -> Fallible<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body)?;
    let data = value["evidence"]["data"].as_str().ok_or("a body without evidence")?;
    let mut evidence = URL_SAFE_NO_PAD.decode(data)?;
    let at = evidence.len().checked_sub(8).ok_or("evidence that is too short")?;
    evidence[at] = if evidence[at] == b'A' { b'B' } else { b'A' };
    value["evidence"]["data"] = json!(URL_SAFE_NO_PAD.encode(evidence));
    Ok(serde_json::to_vec(&value)?)
}
