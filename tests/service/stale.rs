//! No stale decision: policies, rules, key states and signers change while workloads attest and ask for keys, and no answer rests on
//! what was replaced before its call began. Threat model P25; `architecture.md` section 8 step 7.
//!
//! Every change and every call takes a number when it begins and when it ends. What may have counted for a call is what was in force
//! when it began and whatever began to be set before it ended; an answer that fits none of that is stale.
//!
//! 2,000 calls by default; `KEYGATE_FULL=1` makes it 20,000.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keygate::broker::*;
use keygate_keystore::{AttributeChanges, Change, KeyType};
use keygate_policies::attestation::policy_hash;
use serde_json::json;

use super::azure::Azure;
use super::broker::*;
use super::isolated;

/// What is set one after the other, each with the numbers at which it began and ended.
struct Line<T>(Mutex<Vec<(u64, u64, T)>>);

/// Numbers for everything that begins or ends.
#[derive(Default)]
struct Moments(AtomicU64);

impl Moments {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

impl<T: Clone> Line<T> {
    fn new(first: T) -> Self {
        Self(Mutex::new(vec![(0, 0, first)]))
    }

    /// Sets a value: whoever looks on while it is being set may see either.
    fn set(&self, moments: &Moments, value: T, work: impl FnOnce()) {
        let begun = moments.next();
        self.0.lock().unwrap().push((begun, u64::MAX, value));
        work();
        let ended = moments.next();
        self.0.lock().unwrap().last_mut().unwrap().1 = ended;
    }

    /// Whether a value that fits may have counted between two moments.
    fn may(&self, begun: u64, ended: u64, fits: impl Fn(&T) -> bool) -> bool {
        let line = self.0.lock().unwrap();
        let last = line.iter().rposition(|(_, set, _)| *set < begun).unwrap_or(0);
        line.iter().skip(last).any(|(started, _, value)| *started < ended && fits(value))
    }
}

#[derive(Clone)]
struct Policy {
    hash: String,
    permits: bool,
    team: u64,
}

fn calls() -> usize {
    if std::env::var("KEYGATE_FULL").is_ok_and(|full| full == "1") { 20_000 } else { 2_000 }
}

/// A small generator, so that a run can be told from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn text(number: u64, permits: bool, team: u64) -> String {
    let verb = if permits { "permit" } else { "deny" };
    format!(
        r#"version=1.0; authorizationrules{{=> {verb}();}}; issuancerules{{=> issue(type="team", value={team}); => issue(type="number", value={number});}};"#
    )
}

fn rule(team: u64) -> serde_json::Value {
    let mut rules = rules(json!({}));
    rules["rules"]["default"]["anyOf"][0]["allOf"] = json!([{"claim": "team", "equals": team}]);
    rules
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_rests_on_what_was_replaced_before_its_call_began() {
    let azure = Arc::new(Azure::new());
    azure.house.key_with("db-key", KeyType::Oct256, &rule(0));
    let moments = Arc::new(Moments::default());
    let first = text(0, true, 0);
    let policy = |text: &str, permits, team| Policy { hash: policy_hash(text), permits, team };
    let software = Arc::new(Line::new(policy(&first, true, 0)));
    let sgx = Arc::new(Line::new(policy(&first, true, 0)));
    azure.set(AttestationType::Software, &first);
    azure.set(AttestationType::SgxEnclave, &first);
    let (wanted, enabled) = (Arc::new(Line::new(0u64)), Arc::new(Line::new(true)));
    moments.next();
    let (left, over) = (Arc::new(AtomicUsize::new(calls())), Arc::new(AtomicBool::new(false)));

    let changes = {
        let (azure, moments, over) = (Arc::clone(&azure), Arc::clone(&moments), Arc::clone(&over));
        let (software, sgx, wanted, enabled) =
            (Arc::clone(&software), Arc::clone(&sgx), Arc::clone(&wanted), Arc::clone(&enabled));
        std::thread::spawn(move || {
            let (mut dice, mut made) = (Dice(7), 0u64);
            while !over.load(Ordering::SeqCst) {
                made += 1;
                let (permits, team) = (dice.roll(4) != 0, dice.roll(2));
                match dice.roll(4) {
                    0 => {
                        let text = text(made, permits, team);
                        let set = || azure.set(AttestationType::Software, &text);
                        software.set(&moments, policy(&text, permits, team), set);
                    }
                    1 => {
                        let text = text(made, permits, team);
                        sgx.set(&moments, policy(&text, permits, team), || {
                            azure.set(AttestationType::SgxEnclave, &text)
                        });
                    }
                    2 => wanted.set(&moments, team, || azure.house.set_rules("db-key", &rule(team))),
                    _ => {
                        let on = dice.roll(4) != 0;
                        let changes = AttributeChanges { enabled: Some(on), ..AttributeChanges::default() };
                        let name = KeyName::parse("db-key").unwrap();
                        let change = Change::SetAttributes { name, changes };
                        enabled.set(&moments, on, || azure.house.change(change));
                    }
                }
            }
            made
        })
    };

    let mut callers = Vec::new();
    for seed in 0..4u64 {
        let (azure, moments, left) = (Arc::clone(&azure), Arc::clone(&moments), Arc::clone(&left));
        let (software, sgx, wanted, enabled) =
            (Arc::clone(&software), Arc::clone(&sgx), Arc::clone(&wanted), Arc::clone(&enabled));
        callers.push(tokio::spawn(async move {
            let (workload, mut dice, mut seen) = (Workload::new(), Dice(seed + 100), [0usize; 4]);
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                match dice.roll(3) {
                    0 => {
                        let request = azure.request(AttestationType::SgxEnclave);
                        let begun = moments.next();
                        let told = azure.attest(request).await;
                        let ended = moments.next();
                        let fits = |policy: &Policy| match &told {
                            Ok(token) => policy.permits && token_hash(token) == policy.hash,
                            Err(refused) => refused.kind == AzureFaultKind::PolicyEvaluationError && !policy.permits,
                        };
                        assert!(sgx.may(begun, ended, fits), "stale attestation: {told:?}");
                        seen[usize::from(told.is_err())] += 1;
                    }
                    _ => {
                        let request = workload.release(&azure.house, "db-key");
                        let begun = moments.next();
                        let told = azure.house.broker.use_key(request).await.map(drop).map_err(|refused| refused.code);
                        let ended = moments.next();
                        let holds = match told {
                            Ok(()) => {
                                enabled.may(begun, ended, |on| *on)
                                    && software.may(begun, ended, |policy| {
                                        policy.permits && wanted.may(begun, ended, |team| *team == policy.team)
                                    })
                            }
                            Err(Code::PolicyDenied) => software.may(begun, ended, |policy| !policy.permits),
                            Err(Code::NotReleased) => {
                                enabled.may(begun, ended, |on| !on)
                                    || software.may(begun, ended, |policy| {
                                        wanted.may(begun, ended, |team| *team != policy.team)
                                    })
                            }
                            // The store moved during three decisions, or the same evidence was told no often enough.
                            Err(Code::Overloaded | Code::RateLimited) => true,
                            Err(other) => panic!("{other:?}"),
                        };
                        assert!(holds, "stale release: {told:?}");
                        seen[2 + usize::from(told.is_err())] += 1;
                    }
                }
            }
            seen
        }));
    }
    let mut seen = [0usize; 4];
    for caller in callers {
        for (sum, one) in seen.iter_mut().zip(caller.await.unwrap()) {
            *sum += one;
        }
    }
    over.store(true, Ordering::SeqCst);
    let made = changes.join().unwrap();
    println!(
        "{} calls among {made} changes: {} attested, {} denied; {} released, {} refused; none stale",
        calls(),
        seen[0],
        seen[1],
        seen[2],
        seen[3]
    );
    assert!(seen.iter().all(|count| *count > 0), "every outcome must occur: {seen:?}");
    assert_eq!(seen.iter().sum::<usize>(), calls());
}

#[test]
fn no_signer_counts_after_it_was_removed() {
    let (one, two) = (isolated::Signer::new("one"), isolated::Signer::new("two"));
    let house = isolated::House::new(&[&one]);
    let registered = Line::new(false);
    let (moments, over) = (Moments::default(), AtomicBool::new(false));
    moments.next();
    let calls = calls() / 10;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut on = false;
            while !over.load(Ordering::SeqCst) {
                on = !on;
                let jws = one.sign(&two.certificate("policyCertificate"));
                registered.set(&moments, on, || {
                    if on { house.add(&jws) } else { house.remove(&jws) }.map(drop).unwrap();
                });
            }
        });
        let (mut taken, mut refused) = (0usize, 0usize);
        for number in 0..calls as u64 {
            let jws = two.sign(&isolated::policy(&text(number, true, 0)));
            let begun = moments.next();
            let told = house.set(&jws);
            let ended = moments.next();
            match told {
                Ok(_) => taken += 1,
                Err(fault) => {
                    assert_eq!(fault.kind, AzureFaultKind::InvalidOperation, "{}", fault.message);
                    refused += 1;
                    assert!(registered.may(begun, ended, |on| !on), "a registered signer was refused");
                    continue;
                }
            }
            assert!(registered.may(begun, ended, |on| *on), "a signer that was removed counted");
        }
        over.store(true, Ordering::SeqCst);
        println!("{calls} signed policies among changes of the signers: {taken} set, {refused} refused; none stale");
        assert!(taken > 0 && refused > 0);
    });
}

/// `x-ms-policy-hash` of a token.
fn token_hash(token: &str) -> String {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["x-ms-policy-hash"].as_str().unwrap().to_owned()
}

/// The doubter is tested too: a line that was replaced before a call does not count for it.
#[test]
fn a_replaced_value_counts_for_no_later_call() {
    let (moments, line) = (Moments::default(), Line::new(1));
    moments.next();
    line.set(&moments, 2, || ());
    let begun = moments.next();
    assert!(line.may(begun, moments.next(), |value| *value == 2));
    assert!(!line.may(begun, moments.next(), |value| *value == 1));
}
