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
    /// Three releases and two unwraps by session, one release by each kind of evidence, one piece of garbage.
    Mixed,
    /// What strangers send: all of it must be refused.
    Garbage,
}

impl Scenario {
    /// Every scenario, in the order they run.
    pub const ALL: [Self; 12] = [
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

    /// The cryptography that no design of an attestation can leave out while roots, collateral and certificates are known: the
    /// evidence's signatures and the token's.
    pub fn floor(self, floors: &Floors) -> Option<Duration> {
        match self {
            Self::AzureSgx | Self::AzureTdx => Some(2 * floors.p256 + floors.rs256),
            Self::AzureSnp => Some(floors.p384 + floors.rs256),
            _ => None,
        }
    }

    /// Whether answers mean that something durable was written for each.
    pub fn is_durable(self) -> bool {
        !matches!(self, Self::Hello | Self::Garbage)
    }
}

/// One request.
#[derive(Clone)]
pub struct Shot {
    /// Path.
    pub path: String,
    /// Body.
    pub body: Vec<u8>,
    /// Whether 200 is the right answer, or a refusal.
    pub served: bool,
}

/// Where bodies come from.
pub struct Armoury<'a> {
    /// The server.
    pub door: &'a Door,
    /// The lab, where the server trusts it.
    pub lab: Option<&'a Lab>,
    /// Software evidence of an identity, for a server that runs already, and the key to ask for.
    pub outside: Option<(&'a Mint<'a>, &'a str)>,
}

impl Armoury<'_> {
    /// `count` requests of a scenario; sessions give fewer, to be used over and over.
    pub async fn shots(&self, scenario: Scenario, count: usize) -> Fallible<Vec<Shot>> {
        match scenario {
            Scenario::Hello => Ok(vec![Shot { path: "/".into(), body: b"{}".to_vec(), served: true }]),
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
        let body = |challenge: &(String, [u8; 32])| Shot {
            path: path.clone(),
            body: proof(mint, challenge, &self.door.host, &question, &Recipient::new(), more).into_bytes(),
            served: true,
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
            shots.push(Shot { path: format!("/v1/keys/{key}/{operation}"), body: body.into_bytes(), served: true });
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
            shots.push(Shot { path, body, served: false });
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
