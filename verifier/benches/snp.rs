//! What a SEV-SNP report costs, beside the bare P-384 and RSA-4096 checks that no design can leave out.
//!
//! Performance floors, sections 4 and 8 (T3, T8, T9). Result lines are `name, µs, ratio to its floor`; both are measured in the
//! same run and the best round counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use keygate_forge::amd::{Amd, Product, SnpEvidence, SnpReport};
use keygate_verifier::{Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verifier};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer, Verifier as RsaVerifier};
use sev::certs::snp::{Certificate, Chain, Verifiable, ca};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

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

    /// A result line: the floor is so many bare P-384 checks and so many bare RSA-4096 checks.
    fn line(&self, name: &str, p384: f64, rsa: f64) {
        let best = self.0.borrow();
        let of = |name: &str| best.get(name).copied();
        if let (Some(micros), Some(p384_floor), Some(rsa_floor)) =
            (of(name), of("floor/p384_verify"), of("floor/rsa4096_pss_verify"))
        {
            println!("{name}, {micros:.1}, {:.3}", micros / (p384_floor * p384 + rsa_floor * rsa));
        }
    }
}

fn verify(verifier: &Verifier, bytes: &[u8], held: &Endorsements) -> bool {
    let evidence = Evidence { kind: EvidenceKind::Snp, bytes };
    let options = Options { require_amd_crl: true, ..Options::strict() };
    let outcome = verifier.verify(&evidence, &Binding::Unbound, held, &options, UnixTime::from_secs(NOW));
    matches!(outcome, Ok(Outcome::Verified(_)))
}

/// What the peer library does from the same bytes: chain and signature, no dates, no list, no fit.
fn peer(evidence: &SnpEvidence) -> bool {
    let certificate = |der: &[u8]| Certificate::from_der(der).expect("a certificate");
    let chain = Chain {
        ca: ca::Chain { ark: certificate(&evidence.root), ask: certificate(&evidence.authority) },
        vek: certificate(&evidence.vek),
    };
    let report = AttestationReport::from_bytes(&evidence.report);
    (&chain, &report.expect("a report")).verify().is_ok()
}

fn floors(c: &mut Criterion, results: &Results) {
    let group = EcGroup::from_curve_name(Nid::SECP384R1).expect("openssl has p-384");
    let key = EcKey::generate(&group).expect("a key");
    let digest = openssl::sha::sha384(b"floor");
    let signature = EcdsaSig::sign(&digest, &key).expect("a signature");
    results.case(c, "floor/p384_verify", || (), |()| assert!(signature.verify(&digest, &key).expect("openssl")));

    let private = PKey::from_rsa(Rsa::generate(4096).expect("a key")).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha384(), &private).expect("openssl");
    signer.set_rsa_padding(Padding::PKCS1_PSS).expect("openssl");
    signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(48)).expect("openssl");
    let signature = signer.sign_oneshot_to_vec(b"floor").expect("a signature");
    let rsa = private.rsa().expect("rsa");
    let public =
        Rsa::from_public_components(rsa.n().to_owned().expect("a number"), rsa.e().to_owned().expect("a number"));
    let public = PKey::from_rsa(public.expect("a key")).expect("a key");
    results.case(
        c,
        "floor/rsa4096_pss_verify",
        || (),
        |()| {
            let mut verifier = RsaVerifier::new(MessageDigest::sha384(), &public).expect("openssl");
            verifier.set_rsa_padding(Padding::PKCS1_PSS).expect("openssl");
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::custom(48)).expect("openssl");
            assert!(verifier.verify_oneshot(&signature, b"floor").expect("openssl"));
        },
    );
}

fn main() {
    let mut c = Criterion::default().configure_from_args().sample_size(20);
    c = c.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let results = Results::default();
    let amd = Amd::new(Product::Genoa, NOW);
    let first = amd.evidence(&SnpReport::new([1; 64]));
    let second = amd.report(&SnpReport::new([2; 64]));
    let mut held = Endorsements::default();
    held.add_certificate(&first.vek);
    held.add_certificate(&first.authority);
    held.add_crl(&amd.sign_crl(&amd.crl()));
    let cold = || {
        let mut anchors = Anchors::none();
        anchors.add("throw-away", EvidenceKind::Snp, &amd.ark_der()).expect("the throw-away root is an anchor");
        Verifier::new(anchors)
    };
    let warm = cold();
    assert!(verify(&warm, &first.report, &held));
    let mut wrong = second.clone();
    wrong[0x50] ^= 1;
    let mut unknown = second.clone();
    unknown[0] = 6;

    floors(&mut c, &results);
    results.case(
        &mut c,
        "parse/snp",
        || (),
        |()| EvidenceKind::Snp.check_layout(black_box(&second)).expect("it parses"),
    );
    results.case(&mut c, "verify_cold/snp", cold, |verifier| assert!(verify(&verifier, &first.report, &held)));
    results.case(&mut c, "verify_warm/snp", || (), |()| assert!(verify(&warm, &second, &held)));
    results.case(&mut c, "refuse/snp_version", || (), |()| assert!(!verify(&warm, &unknown, &held)));
    results.case(&mut c, "refuse/snp_truncated", || (), |()| assert!(!verify(&warm, &second[..1183], &held)));
    results.case(&mut c, "refuse/snp_signature", || (), |()| assert!(!verify(&warm, &wrong, &held)));
    results.case(&mut c, "peer/sev_snp", || (), |()| assert!(peer(&first)));

    println!("name, µs, ratio to floor ({})", openssl::version::version());
    for (name, p384, rsa) in [
        ("floor/p384_verify", 1.0, 0.0),
        ("floor/rsa4096_pss_verify", 0.0, 1.0),
        ("parse/snp", 1.0, 0.0),
        ("verify_cold/snp", 1.0, 3.0),
        ("verify_warm/snp", 1.0, 0.0),
        ("refuse/snp_version", 1.0, 0.0),
        ("refuse/snp_truncated", 1.0, 0.0),
        ("refuse/snp_signature", 1.0, 0.0),
        ("peer/sev_snp", 1.0, 3.0),
    ] {
        results.line(name, p384, rsa);
    }
}
