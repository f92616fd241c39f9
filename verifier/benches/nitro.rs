//! What a Nitro document costs, beside the bare P-384 checks that no design can leave out.
//!
//! Performance floors, sections 4 and 8 (T4, T8, T9). Result lines are `name, µs, ratio to its floor`; both are measured in the
//! same run and the best round counts.

#[path = "../tests/fleet/mod.rs"]
mod fleet;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use fleet::Fleet;
use keygate_verifier::{Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verifier};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;

const NOW: i64 = 1_790_000_000;

/// The best round of every case, in µs.
#[derive(Default)]
struct Results(RefCell<BTreeMap<&'static str, f64>>);

impl Results {
    /// Measures `timed`; `before` runs outside the clock before each call.
    fn case<T>(&self, c: &mut Criterion, name: &'static str, before: impl Fn() -> T, timed: impl Fn(T)) {
        c.bench_function(name, |bench| {
            bench.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let given = before();
                    let start = Instant::now();
                    timed(given);
                    total += start.elapsed();
                }
                let micros = total.as_secs_f64() * 1e6 / rounds as f64;
                let mut best = self.0.borrow_mut();
                best.entry(name).and_modify(|known| *known = known.min(micros)).or_insert(micros);
                total
            });
        });
    }

    /// A result line: the floor is `checks` bare P-384 checks.
    fn line(&self, name: &str, checks: f64) {
        let best = self.0.borrow();
        if let (Some(micros), Some(floor)) = (best.get(name), best.get("floor/p384_verify")) {
            println!("{name}, {micros:.1}, {:.3}", micros / (floor * checks));
        }
    }
}

fn verify(verifier: &Verifier, bytes: &[u8]) -> bool {
    let evidence = Evidence { kind: EvidenceKind::Nitro, bytes };
    let (held, options) = (Endorsements::default(), Options::strict());
    let outcome = verifier.verify(&evidence, &Binding::Unbound, &held, &options, UnixTime::from_secs(NOW));
    matches!(outcome, Ok(Outcome::Verified(_)))
}

fn main() {
    let mut c = Criterion::default().configure_from_args().sample_size(20);
    c = c.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let results = Results::default();
    let fleet = Fleet::new(NOW);
    let cold = || {
        let mut anchors = Anchors::none();
        anchors.add("throw-away", EvidenceKind::Nitro, fleet.root()).expect("the fleet's root is an anchor");
        Verifier::new(anchors)
    };
    let (one, two) = (fleet.enclave(), fleet.enclave());
    let (first, second) = (fleet.document(&one, b"1"), fleet.document(&two, b"2"));
    let mut wrong = first.clone();
    *wrong.last_mut().expect("a document has bytes") ^= 1;

    let group = EcGroup::from_curve_name(Nid::SECP384R1).expect("openssl has p-384");
    let key = EcKey::generate(&group).expect("a key");
    let digest = openssl::sha::sha384(b"floor");
    let signature = EcdsaSig::sign(&digest, &key).expect("a signature");
    results.case(&mut c, "floor/p384_verify", || (), |()| assert!(signature.verify(&digest, &key).expect("openssl")));

    results.case(
        &mut c,
        "parse/nitro",
        || (),
        |()| EvidenceKind::Nitro.check_layout(black_box(&first)).expect("it parses"),
    );
    results.case(&mut c, "verify_cold/nitro", cold, |verifier| assert!(verify(&verifier, &first)));
    let warm = || {
        let verifier = cold();
        assert!(verify(&verifier, &first));
        verifier
    };
    results.case(&mut c, "verify_warm/nitro", warm, |verifier| assert!(verify(&verifier, &second)));
    let known = warm();
    results.case(&mut c, "verify_hot/nitro", || (), |()| assert!(verify(&known, &first)));
    results.case(&mut c, "refuse/nitro_truncated", || (), |()| assert!(!verify(&known, &first[..first.len() - 1])));
    results.case(&mut c, "refuse/nitro_signature", || (), |()| assert!(!verify(&known, &wrong)));

    println!("name, µs, ratio to floor ({})", openssl::version::version());
    for (name, checks) in [
        ("floor/p384_verify", 1.0),
        ("parse/nitro", 1.0),
        ("verify_cold/nitro", 5.0),
        ("verify_warm/nitro", 2.0),
        ("verify_hot/nitro", 1.0),
        ("refuse/nitro_truncated", 1.0),
        ("refuse/nitro_signature", 1.0),
    ] {
        results.line(name, checks);
    }
}
