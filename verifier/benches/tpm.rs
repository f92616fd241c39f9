//! What a quote costs, beside the one bare check that no design can leave out.
//!
//! Performance floors, section 4 (TPM quote, AK enrolled) and T5. Result lines are `name, µs, ratio to its floor`; both are measured
//! in the same run and the best round counts. V is the bare P-256 check: the target of T5 is the floor and 0.25 V more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use keygate_forge::tpm::{Signs, Tpm, TpmQuote};
use keygate_verifier::tpm::PublicArea;
use keygate_verifier::{
    Anchors, Binding, Endorsements, EnrolledKey, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verifier,
};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::{Signer, Verifier as Bare};

const NOW: i64 = 1_790_000_000;

/// The best round of every case, in µs.
#[derive(Default)]
struct Results(RefCell<BTreeMap<&'static str, f64>>);

impl Results {
    fn case(&self, c: &mut Criterion, name: &'static str, timed: impl Fn()) {
        c.bench_function(name, |bench| {
            bench.iter_custom(|rounds| {
                let start = std::time::Instant::now();
                (0..rounds).for_each(|_| timed());
                let total = start.elapsed();
                let micros = total.as_secs_f64() * 1e6 / rounds as f64;
                let mut best = self.0.borrow_mut();
                best.entry(name).and_modify(|known| *known = known.min(micros)).or_insert(micros);
                total
            });
        });
    }

    fn line(&self, name: &str, floor: &str) {
        let best = self.0.borrow();
        if let (Some(micros), Some(floor), Some(v)) = (best.get(name), best.get(floor), best.get("floor/p256_verify")) {
            println!("{name}, {micros:.1}, {:.3}, floor + {:.2} V", micros / floor, (micros - floor) / v);
        }
    }
}

/// A machine with a quote, and what is known of its key.
struct Machine {
    document: Vec<u8>,
    held: Endorsements,
}

fn machine(signs: Signs) -> Machine {
    let tpm = Tpm::new(NOW, signs);
    let mut quote = TpmQuote { certified: false, ..TpmQuote::new(&[7; 32]) };
    let values = (0..24u32).map(|index| (index, vec![u8::try_from(index).expect("a register"); 32])).collect();
    quote.pcrs = BTreeMap::from([("sha256", values)]);
    let public = PublicArea::parse(&tpm.ak_object().area()).expect("an area");
    let mut held = Endorsements::default();
    held.add_enrolled(Arc::new(EnrolledKey {
        public,
        anchor: "makers".to_owned(),
        endorsement_key: [1; 32],
        not_after: UnixTime::FOREVER,
    }));
    Machine { document: tpm.document(&quote), held }
}

fn verify(verifier: &Verifier, machine: &Machine, bytes: &[u8]) -> bool {
    let evidence = Evidence { kind: EvidenceKind::Tpm, bytes };
    let now = UnixTime::from_secs(NOW);
    let outcome = verifier.verify(&evidence, &Binding::Unbound, &machine.held, &Options::strict(), now);
    matches!(outcome, Ok(Outcome::Verified(_)))
}

fn main() {
    let mut c = Criterion::default().configure_from_args().sample_size(20);
    c = c.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let results = Results::default();

    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("openssl has p-256");
    let key = EcKey::generate(&group).expect("a key");
    let digest = openssl::sha::sha256(b"floor");
    let signature = EcdsaSig::sign(&digest, &key).expect("a signature");
    results.case(&mut c, "floor/p256_verify", || assert!(signature.verify(&digest, &key).expect("openssl")));
    let rsa = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).expect("a key")).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha256(), &rsa).expect("a signer");
    let signed = signer.sign_oneshot_to_vec(b"floor").expect("a signature");
    results.case(&mut c, "floor/rsa2048_verify", || {
        let mut bare = Bare::new(MessageDigest::sha256(), &rsa).expect("openssl");
        assert!(bare.verify_oneshot(&signed, b"floor").expect("openssl"));
    });

    let verifier = Verifier::new(Anchors::none());
    let (rsa, ec) = (machine(Signs::Rsassa), machine(Signs::P256));
    results.case(&mut c, "parse/tpm", || {
        EvidenceKind::Tpm.check_layout(black_box(&rsa.document)).expect("it parses");
    });
    results.case(&mut c, "verify/tpm_rsa2048", || assert!(verify(&verifier, &rsa, &rsa.document)));
    results.case(&mut c, "verify/tpm_p256", || assert!(verify(&verifier, &ec, &ec.document)));
    let cut = &rsa.document[..rsa.document.len() - 1];
    results.case(&mut c, "refuse/tpm_truncated", || assert!(!verify(&verifier, &rsa, cut)));

    println!("name, µs, ratio to floor ({})", openssl::version::version());
    for (name, floor) in [
        ("floor/p256_verify", "floor/p256_verify"),
        ("floor/rsa2048_verify", "floor/rsa2048_verify"),
        ("parse/tpm", "floor/rsa2048_verify"),
        ("verify/tpm_rsa2048", "floor/rsa2048_verify"),
        ("verify/tpm_p256", "floor/p256_verify"),
        ("refuse/tpm_truncated", "floor/rsa2048_verify"),
    ] {
        results.line(name, floor);
    }
}
