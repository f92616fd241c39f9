//! What an SGX or TDX quote costs, beside the bare P-256 check that no design can leave out and beside `dcap-qvl` on the same
//! OpenSSL.
//!
//! Performance floors, sections 4 and 8 (T1, T2, T8, T9). Result lines are `name, µs, ratio to its floor`; both are measured in
//! the same run and the best round counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use keygate_forge::intel::{Intel, SgxQuote, TdxQuote, Tee};
use keygate_verifier::{Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verifier};
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;

#[path = "../tests/dcap/peer.rs"]
mod peer;

const NOW: i64 = 1_790_000_000;

/// The best round of every case, in µs.
#[derive(Default)]
struct Results(RefCell<BTreeMap<String, f64>>);

impl Results {
    /// Measures `timed`; `before` runs outside the clock before each call.
    fn case<T>(&self, c: &mut Criterion, name: &str, before: impl Fn() -> T, timed: impl Fn(&T)) {
        c.bench_function(name, |bench| {
            bench.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let given = before();
                    let start = Instant::now();
                    timed(&given);
                    total += start.elapsed();
                }
                let micros = total.as_secs_f64() * 1e6 / rounds as f64;
                let mut best = self.0.borrow_mut();
                best.entry(name.to_owned()).and_modify(|known| *known = known.min(micros)).or_insert(micros);
                total
            });
        });
    }

    /// A result line: the floor is so many bare P-256 checks.
    fn line(&self, name: &str, checks: f64) {
        let best = self.0.borrow();
        if let (Some(micros), Some(floor)) = (best.get(name), best.get("floor/p256_verify")) {
            println!("{name}, {micros:.1}, {:.3}", micros / (floor * checks));
        }
    }
}

/// A throw-away platform of one kind.
struct Bench {
    intel: Intel,
    kind: EvidenceKind,
    collateral: String,
}

impl Bench {
    fn new(kind: EvidenceKind) -> Self {
        let intel = Intel::new(NOW);
        let tee = if kind == EvidenceKind::Sgx { Tee::Sgx } else { Tee::Tdx };
        let collateral = intel.collateral(&intel.describe(tee));
        Self { intel, kind, collateral }
    }

    /// A new quote with a new report of the quoting enclave.
    fn quote(&self) -> Vec<u8> {
        match self.kind {
            EvidenceKind::Sgx => self.intel.sgx_quote(&SgxQuote::new([1; 64])),
            _ => self.intel.tdx_quote(&TdxQuote::new([1; 64])),
        }
    }

    fn held(&self) -> Endorsements {
        let mut held = Endorsements::default();
        held.add_file(self.collateral.as_bytes()).expect("collateral");
        held
    }

    /// A verifier that knows nothing.
    fn verifier(&self) -> Verifier {
        let mut anchors = Anchors::none();
        anchors.add("throw-away", self.kind, &self.intel.root_der()).expect("the throw-away root is an anchor");
        Verifier::new(anchors)
    }

    fn verify(&self, verifier: &Verifier, bytes: &[u8], held: &Endorsements) -> bool {
        let evidence = Evidence { kind: self.kind, bytes };
        let now = UnixTime::from_secs(NOW);
        let outcome = verifier.verify(&evidence, &Binding::Unbound, held, &Options::strict(), now);
        matches!(outcome, Ok(Outcome::Verified(_)))
    }

    fn run(&self, c: &mut Criterion, results: &Results) {
        let kind = self.kind.as_str();
        let quote = self.quote();
        let (warm, held) = (self.verifier(), self.held());
        assert!(self.verify(&warm, &quote, &held));
        let mut version = quote.clone();
        version[0] = 6;
        let mut signature = quote.clone();
        signature[100] ^= 1;
        let truncated = &quote[..quote.len() - 1];

        let parse = || self.kind.check_layout(black_box(&quote)).expect("it parses");
        results.case(c, &format!("parse/{kind}"), || (), |()| parse());
        let cold = || (self.verifier(), self.held());
        let name = format!("verify_cold/{kind}");
        results.case(c, &name, cold, |(verifier, held)| assert!(self.verify(verifier, &quote, held)));
        let name = format!("verify_warm/{kind}");
        results.case(c, &name, || self.quote(), |quote| assert!(self.verify(&warm, quote, &held)));
        let name = format!("verify_hot/{kind}");
        results.case(c, &name, || (), |()| assert!(self.verify(&warm, &quote, &held)));
        for (name, bytes) in [("version", version.as_slice()), ("truncated", truncated), ("signature", &signature)] {
            let name = format!("refuse/{kind}_{name}");
            results.case(c, &name, || (), |()| assert!(!self.verify(&warm, bytes, &held)));
        }

        let theirs = peer::verifier(&self.intel.root_der());
        let collateral = peer::collateral(self.collateral.as_bytes());
        let now = u64::try_from(NOW).expect("after 1970");
        let judged = || peer::judge(&theirs, &quote, &collateral, now);
        results.case(c, &format!("peer/dcap_qvl_{kind}"), || (), |()| assert!(judged().is_ok()));
    }

    fn lines(&self, results: &Results) {
        let kind = self.kind.as_str();
        for (case, checks) in [
            ("parse/", 1.0),
            ("verify_cold/", 9.0),
            ("verify_warm/", 2.0),
            ("verify_hot/", 1.0),
            ("peer/dcap_qvl_", 9.0),
        ] {
            results.line(&format!("{case}{kind}"), checks);
        }
        for case in ["version", "truncated", "signature"] {
            results.line(&format!("refuse/{kind}_{case}"), 1.0);
        }
    }
}

/// One P-256 check with a key read from its point, as the warm path does it.
fn floor(c: &mut Criterion, results: &Results) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("openssl has p-256");
    let key = EcKey::generate(&group).expect("a key");
    let digest = openssl::sha::sha256(b"floor");
    let signature = EcdsaSig::sign(&digest, &key).expect("a signature");
    let mut context = BigNumContext::new().expect("a context");
    let form = PointConversionForm::UNCOMPRESSED;
    let point = key.public_key().to_bytes(&group, form, &mut context).expect("a point");
    results.case(
        c,
        "floor/p256_verify",
        || (),
        |()| {
            let mut context = BigNumContext::new().expect("a context");
            let point = EcPoint::from_bytes(&group, &point, &mut context).expect("a point");
            let key = EcKey::from_public_key(&group, &point).expect("a key");
            assert!(signature.verify(&digest, &key).expect("openssl"));
        },
    );
}

fn main() {
    let mut c = Criterion::default().configure_from_args().sample_size(20);
    c = c.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let results = Results::default();
    let benches = [EvidenceKind::Sgx, EvidenceKind::Tdx].map(Bench::new);
    floor(&mut c, &results);
    for bench in &benches {
        bench.run(&mut c, &results);
    }
    println!("name, µs, ratio to floor ({})", openssl::version::version());
    results.line("floor/p256_verify", 1.0);
    for bench in &benches {
        bench.lines(&results);
    }
}
