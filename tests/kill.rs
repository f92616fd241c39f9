//! `kill -9` in the middle of two hundred releases, again and again: what was acknowledged is there, nothing is spent twice.
//!
//! `bad-inputs.md` STO-01, KEY-18, AUD-07, ENV-09; threat model P34, P42. Ten rounds; with `CI` in the
//! environment a hundred, as far as they fit into four minutes; with `KEYGATE_FULL` all hundred. The test says how many it did.

mod lab;
mod running;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::Lab;
use running::{Running, keygate};
use serde_json::Value;

/// Releases that are under way at once.
const PARALLEL: usize = 200;
/// Rounds of an ordinary run and of a full one, and the time that they may take in CI and in full.
const ROUNDS: (usize, usize) = (10, 100);
const LONGEST: Duration = Duration::from_secs(200);
const LONGEST_IN_FULL: Duration = Duration::from_secs(1_800);
const PATH: &str = "/v1/keys/db-key/release";

struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    fn of(server: &Running) -> Self {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(server.ca()).unwrap()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .resolve("localhost", "127.0.0.1:0".parse().unwrap())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self { http, base: server.data.clone() }
    }

    /// Status and body; `None`: no answer came. What was shed is asked again.
    async fn post(&self, path: &str, body: Vec<u8>) -> Option<(u16, Value)> {
        loop {
            let request = self.http.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
            let response = request.body(body.clone()).send().await.ok()?;
            let status = response.status().as_u16();
            let bytes = response.bytes().await.ok()?;
            if !matches!(status, 429 | 503) {
                return Some((status, serde_json::from_slice(&bytes).ok()?));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Sends every body at once and waits for all answers, or for the connection to end.
async fn all_at_once(client: &Arc<Client>, path: &'static str, bodies: &[Vec<u8>]) -> Vec<Option<(u16, Value)>> {
    let tasks: Vec<_> = bodies
        .iter()
        .map(|body| {
            let (client, body) = (Arc::clone(client), body.clone());
            tokio::spawn(async move { client.post(path, body).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// The statuses of a server that runs: a connection that ended without an answer is tried again, which changes none of the claims.
async fn answered(client: &Arc<Client>, bodies: &[Vec<u8>]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (body, answer) in bodies.iter().zip(all_at_once(client, PATH, bodies).await) {
        let again = async || client.post(PATH, body.clone()).await;
        let answer = match answer {
            Some(answer) => answer,
            None => again().await.expect("no answer, twice"),
        };
        statuses.push(answer.0);
    }
    statuses
}

async fn fresh_bodies(client: &Arc<Client>, lab: &Lab) -> Vec<Vec<u8>> {
    let challenges = all_at_once(client, "/v1/challenges", &vec![b"{}".to_vec(); PARALLEL]).await;
    challenges
        .into_iter()
        .map(|answer| {
            let (status, body) = answer.expect("the server gave no challenge");
            assert_eq!(status, 200, "{body}");
            lab.release(body["challenge"].as_str().unwrap(), "db-key")
        })
        .collect()
}

fn random_share() -> f64 {
    let mut bytes = [0; 4];
    openssl::rand::rand_bytes(&mut bytes).unwrap();
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

/// Chain and store of a server that does not run; the receipts must be in the chain.
fn is_sound(server: &Running, receipts: &[String]) -> u64 {
    let mut command = keygate();
    command.args(["--format", "json", "audit", "verify", "--offline", "--dir"]).arg(server.dir());
    for receipt in receipts {
        command.args(["--receipt", receipt]);
    }
    let verify = command.output().unwrap();
    let told: Value = serde_json::from_slice(&verify.stdout).unwrap_or_default();
    assert!(verify.status.success(), "audit verify: {told} {}", String::from_utf8_lossy(&verify.stderr));
    assert_eq!(told["verdict"], "intact", "{told}");
    let papers = told["papers"].as_array().unwrap();
    assert_eq!(papers.len(), receipts.len());
    assert!(papers.iter().all(|p| p["holds"] == true), "an acknowledged entry is missing: {told}");
    let check = server.local(&["store", "check"]);
    let text = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "store check: {text} {}", String::from_utf8_lossy(&check.stderr));
    told["entries"].as_u64().unwrap_or_default()
}

/// One kill: `within` is the time in which the burst would have come to its end.
async fn round(server: &mut Running, lab: &Lab, number: usize, within: Duration) -> (Vec<String>, usize) {
    let client = Arc::new(Client::of(server));
    let bodies = fresh_bodies(&client, lab).await;
    let burst = {
        let (client, bodies) = (Arc::clone(&client), bodies.clone());
        tokio::spawn(async move { all_at_once(&client, PATH, &bodies).await })
    };
    tokio::time::sleep(within.mul_f64(random_share())).await;
    server.kill();
    let first = burst.await.unwrap();

    let mut receipts = Vec::new();
    for (index, (status, body)) in first.iter().enumerate().filter_map(|(i, a)| a.as_ref().map(|a| (i, a))) {
        assert_eq!(*status, 200, "{body}");
        let receipt = body["receipt"].as_str().expect("a release without receipt");
        receipts.push(server.file(&format!("receipt-{number}-{index}"), receipt));
    }
    is_sound(server, &receipts);

    server.start();
    let client = Arc::new(Client::of(server));
    let second = answered(&client, &bodies).await;
    let third = answered(&client, &bodies).await;
    let mut lost = 0;
    for ((first, second), third) in first.iter().zip(&second).zip(&third) {
        match first {
            Some(_) => assert_eq!(*second, 410, "an acknowledged challenge was spent again"),
            // Not acknowledged: either it was never committed, or it was and only the answer was lost.
            None => assert!(matches!(second, 200 | 410), "{second}"),
        }
        lost += usize::from(first.is_none() && *second == 410);
        assert_eq!(*third, 410, "a challenge was spent twice");
    }
    (receipts, lost)
}

/// No evidence, and so no challenge, stands in two releases of the chain: every body has its own of both.
fn each_challenge_is_released_once(server: &Running) -> usize {
    let exported = server.admin(&["audit", "export"]);
    assert!(exported.status.success());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&exported.stdout).lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let body = &entry["body"];
        if body["decision"] != "permit" || body["operation"] != "release" {
            continue;
        }
        let evidence = body["evidence_digest"].as_str().expect("a release without its evidence").to_owned();
        let number = entry["number"].as_u64().unwrap();
        assert_eq!(seen.insert(evidence, number), None, "entry {number} releases for a challenge that was spent");
    }
    seen.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sto_01_after_kill_9_every_acknowledged_release_is_there_and_no_challenge_is_spent_twice() {
    let mut server = Running::init("[limits]\nrequests_per_second = 100000\nburst = 100000\n");
    let lab = Lab::of(&server);
    server.start();
    lab.create_key(&server, "db-key");

    // How long a burst takes when nobody interferes; also warms the caches.
    let client = Arc::new(Client::of(&server));
    let bodies = fresh_bodies(&client, &lab).await;
    let began = Instant::now();
    let answers = all_at_once(&client, PATH, &bodies).await;
    let within = began.elapsed();
    assert!(answers.iter().all(|a| a.as_ref().is_some_and(|(status, _)| *status == 200)));

    let set = |name| std::env::var_os(name).is_some();
    let (rounds, longest, least) = match (set("KEYGATE_FULL"), set("CI")) {
        (true, _) => (ROUNDS.1, LONGEST_IN_FULL, ROUNDS.1),
        (false, true) => (ROUNDS.1, LONGEST, ROUNDS.0),
        (false, false) => (ROUNDS.0, LONGEST, ROUNDS.0),
    };
    let (began, mut done, mut acknowledged, mut lost) = (Instant::now(), 0, Vec::new(), 0);
    while done < rounds && began.elapsed() < longest {
        let (receipts, unheard) = round(&mut server, &lab, done, within).await;
        acknowledged.extend(receipts);
        lost += unheard;
        done += 1;
    }
    println!(
        "{done} of {rounds} kills within {:.0} s: {} releases acknowledged, {lost} committed whose answer was lost",
        began.elapsed().as_secs_f64(),
        acknowledged.len()
    );
    assert!(done >= least, "only {done} kills fitted into {longest:?}");
    let released = each_challenge_is_released_once(&server);
    assert_eq!(released, PARALLEL * (done + 1), "each of the challenges was used once in the end");
    assert_eq!(acknowledged.iter().collect::<HashSet<_>>().len(), acknowledged.len());
    // The receipts of all rounds are in the chain of the last.
    server.terminate();
    for some in acknowledged.chunks(500) {
        is_sound(&server, some);
    }
}
