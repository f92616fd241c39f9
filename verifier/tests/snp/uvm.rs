//! Endorsements of utility VMs: recorded, forged, wrong in one way, and judged at many times.

use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::nitro::{Nitro, NitroDocument};
use keygate_forge::uvm::{Uvm, UvmAlg, UvmEndorsement as Wanted, UvmFault};
use keygate_forge::x509::CertFault;
use keygate_verifier::{
    Anchors, Binding, Endorsements, Evidence, EvidenceKind, Genuine, MICROSOFT_UVM_ISSUER, Options, Outcome, UnixTime,
    UvmEndorsement, UvmTrust, Verifier,
};
use serde_json::json;

use crate::support::{Rng, flips, mutations, skipped, time, tried, vector, vectors_root};
use crate::{NOW, chain, held, judge, judge_forged, verified, verifier};

const DAY: i64 = 86_400;

/// A forged report, a maker of utility VMs, and the verifier that judges both.
struct Scene {
    uvm: Uvm,
    genuine: Genuine,
    verifier: Verifier,
}

impl Scene {
    fn new() -> Self {
        let amd = Amd::new(Product::Milan, NOW);
        let evidence = amd.evidence(&SnpReport { measurement: [0x4d; 48], ..SnpReport::new([7; 64]) });
        let genuine = (*verified(judge_forged(&amd, &evidence.report, &chain(&evidence)))).clone();
        Self { uvm: Uvm::new(NOW), genuine, verifier: Verifier::new(Anchors::none()) }
    }

    fn wanted(&self) -> Wanted {
        self.uvm.describe(&[0x4d; 48])
    }

    fn judge_at(&self, wanted: &Wanted, at: i64) -> Result<UvmEndorsement, String> {
        let issuer = self.uvm.issuer();
        let trust = UvmTrust { issuers: &[&issuer], minimum_svn: 22 };
        let cose = self.uvm.endorsement(wanted);
        self.verifier.verify_uvm(&cose, &self.genuine, &trust, UnixTime::from_secs(at)).map_err(|why| why.full_code())
    }

    fn judge(&self, wanted: &Wanted) -> Result<UvmEndorsement, String> {
        self.judge_at(wanted, NOW)
    }

    /// The code alone.
    fn code(&self, wanted: &Wanted) -> String {
        match self.judge(wanted) {
            Ok(_) => "accepted".to_owned(),
            Err(why) => why.split('.').next().unwrap().to_owned(),
        }
    }
}

/// The recorded report, verified, and the recorded endorsement.
fn recorded() -> Option<(Genuine, Vec<u8>)> {
    vectors_root()?;
    let file = |name: &str| vector(&format!("maa-sdk/sidecar/{name}"));
    let held = held(&[file("amd_chain.pem")]);
    let at = time("2023-06-01T00:00:00Z");
    let genuine = verified(judge(&verifier(), &file("snp_report.bin"), &held, &Options::strict(), at));
    Some(((*genuine).clone(), file("uvm_reference_info.cose")))
}

const MICROSOFT: UvmTrust<'_> = UvmTrust { issuers: &[MICROSOFT_UVM_ISSUER], minimum_svn: 22 };

#[test]
fn the_recorded_endorsement_is_microsofts_and_that_of_the_recorded_report() {
    let Some((genuine, cose)) = recorded() else { return skipped("the recorded endorsement", 1) };
    let verifier = verifier();
    let judge = |trust: &UvmTrust<'_>, at| verifier.verify_uvm(&cose, &genuine, trust, time(at));
    let endorsement = judge(&MICROSOFT, "2023-06-01T00:00:00Z").unwrap();
    assert_eq!(endorsement.issuer_did(), MICROSOFT_UVM_ISSUER);
    assert_eq!(endorsement.feed(), "ContainerPlat-AMD-UVM");
    assert_eq!(endorsement.guest_svn(), 22);
    assert_eq!(hex::encode(endorsement.launch_measurement()), genuine.measurements()[0]);
    assert_eq!(endorsement.signed_at(), Some(time("2023-02-08T05:42:23Z")));
    assert_eq!(endorsement.not_after(), time("2042-02-17T00:55:23Z"), "the end of its authority");
    let claims = endorsement.claims();
    assert_eq!(claims["x-ms-compliance-status"], "azure-compliant-uvm");
    assert_eq!(claims["x-ms-sevsnpvm-uvm-svn"], json!(22));
    // The report's own number counts something else; there the same comparison would refuse the recorded pair.
    assert_eq!(genuine.claims()["x-ms-sevsnpvm-guestsvn"], json!(2));
    // The signer's certificate ended on 2024-01-03: the endorsement holds on, until its authority ends.
    assert!(judge(&MICROSOFT, "2026-11-27T00:00:00Z").is_ok());
    assert!(judge(&MICROSOFT, "2042-02-17T00:55:23Z").is_ok());
    for (at, code) in [
        ("2042-02-17T00:55:24Z", "chain-untrusted.uvm-chain"),
        ("2023-02-08T05:41:22Z", "freshness-failed.uvm-endorsement"),
    ] {
        assert_eq!(judge(&MICROSOFT, at).unwrap_err().full_code(), code, "{at}");
    }
    for (trust, code) in [
        (UvmTrust { issuers: &[], ..MICROSOFT }, "chain-untrusted.uvm-endorsement"),
        (UvmTrust { issuers: &[&MICROSOFT_UVM_ISSUER[..90]], ..MICROSOFT }, "chain-untrusted.uvm-endorsement"),
        (UvmTrust { minimum_svn: 23, ..MICROSOFT }, "tcb-rejected.uvm-svn"),
    ] {
        assert_eq!(judge(&trust, "2023-06-01T00:00:00Z").unwrap_err().full_code(), code);
    }
}

#[test]
fn the_recorded_endorsement_is_not_that_of_another_report() {
    let Some((_, cose)) = recorded() else { return skipped("the other recorded report", 1) };
    let (report, chain) =
        (vector("maa-sdk/samples/sevsnp-report.bin"), vector("maa-sdk/samples/sevsnp-vcek-chain.pem"));
    let at = time("2025-06-01T00:00:00Z");
    let other = verified(judge(&verifier(), &report, &held(&[chain]), &Options::strict(), at));
    let refused = verifier().verify_uvm(&cose, &other, &MICROSOFT, at).unwrap_err();
    assert_eq!(refused.full_code(), "binding-mismatch.uvm-measurement");
}

#[test]
fn every_bit_of_the_recorded_endorsement_counts_but_those_of_its_time_stamp() {
    let Some((genuine, cose)) = recorded() else { return skipped("the recorded endorsement", 1) };
    let (verifier, at) = (verifier(), time("2023-06-01T00:00:00Z"));
    let stamp = cose.windows(10).position(|w| w == b"\x69timestamp").unwrap();
    // Label, head and 5213 bytes.
    let unsigned = stamp + 13..stamp + 13 + 5213;
    let mut count = 0;
    for (index, mask) in flips(0..cose.len(), 97) {
        let mut flipped = cose.clone();
        flipped[index] ^= mask;
        let verdict = verifier.verify_uvm(&flipped, &genuine, &MICROSOFT, at);
        assert_eq!(verdict.is_ok(), unsigned.contains(&index), "byte {index:#x}, bit {mask:#x}: {verdict:?}");
        count += 1;
    }
    tried("flipped bits of an endorsement", count);
}

#[test]
fn a_forged_endorsement_of_every_algorithm_is_accepted() {
    let scene = Scene::new();
    for algorithm in UvmAlg::ALL {
        for timestamp in [None, Some(vec![1, 2, 3])] {
            let endorsement = scene.judge(&Wanted { algorithm, timestamp, ..scene.wanted() }).unwrap();
            assert_eq!(endorsement.launch_measurement(), &[0x4d; 48], "{algorithm:?}");
            assert_eq!(endorsement.feed(), "Forged-UVM");
        }
    }
}

#[test]
fn every_fault_is_refused_by_its_code() {
    let scene = Scene::new();
    for fault in UvmFault::ALL {
        let code = scene.code(&Wanted { fault: Some(*fault), ..scene.wanted() });
        assert!(fault.allows(&code), "{fault:?}: {code}, not {}", fault.expected_code());
    }
    for fault in CertFault::ALL {
        let code = scene.code(&Wanted { authority_fault: Some(*fault), ..scene.wanted() });
        assert!(fault.allows(&code), "{fault:?}: {code}, not {}", fault.expected_code());
    }
}

#[test]
fn measurement_version_and_issuer_are_compared() {
    let scene = Scene::new();
    let with = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = scene.wanted();
        change(&mut wanted);
        scene.judge(&wanted).err()
    };
    assert_eq!(with(&|_| {}), None);
    assert_eq!(with(&|w| w.launch_measurement = w.launch_measurement.to_uppercase()), None);
    let other = |w: &mut Wanted| w.launch_measurement = format!("4c{}", "4d".repeat(47));
    assert_eq!(with(&other).as_deref(), Some("binding-mismatch.uvm-measurement"));
    for bad in ["4d".repeat(47), "4d".repeat(49), "4g".repeat(48), String::new()] {
        assert_eq!(
            with(&|w| w.launch_measurement = bad.clone()).as_deref(),
            Some("malformed.uvm-endorsement"),
            "{bad}"
        );
    }
    assert_eq!(with(&|w| w.guest_svn = "18446744073709551615".to_owned()), None);
    assert_eq!(with(&|w| w.guest_svn = "21".to_owned()).as_deref(), Some("tcb-rejected.uvm-svn"));
    for bad in ["", "022", "+22", "-1", " 22", "22.0", "0x22", "18446744073709551616"] {
        let svn = |w: &mut Wanted| w.guest_svn = bad.to_owned();
        assert_eq!(with(&svn).as_deref(), Some("malformed.uvm-endorsement"), "{bad}");
    }
    let other = |w: &mut Wanted| w.issuer = Some(MICROSOFT_UVM_ISSUER.to_owned());
    assert_eq!(with(&other).as_deref(), Some("chain-untrusted.uvm-endorsement"));
}

#[test]
fn a_trusted_name_still_needs_its_root_and_its_form() {
    let (scene, other) = (Scene::new(), Uvm::new(NOW));
    let judge = |issuer: String| {
        let cose = scene.uvm.endorsement(&Wanted { issuer: Some(issuer.clone()), ..scene.wanted() });
        let trust = UvmTrust { issuers: &[&issuer], minimum_svn: 0 };
        scene
            .verifier
            .verify_uvm(&cose, &scene.genuine, &trust, UnixTime::from_secs(NOW))
            .map(drop)
            .map_err(|why| why.full_code())
    };
    assert_eq!(judge(scene.uvm.issuer()), Ok(()));
    assert_eq!(judge(other.issuer()), Err("chain-untrusted.uvm-chain".to_owned()), "the root of another maker");
    let usage = scene.uvm.issuer().replace(".59.1.2", ".59.1.3");
    assert_eq!(judge(usage), Err("chain-untrusted.uvm-chain".to_owned()), "a key usage that the signer lacks");
    let method = scene.uvm.issuer().replace("did:x509:0", "did:x509:1");
    assert_eq!(judge(method), Err("unsupported.uvm-endorsement".to_owned()));
}

#[test]
fn the_chain_is_judged_at_the_time_of_signing_and_its_authorities_now_as_well() {
    let scene = Scene::new();
    let signer_validity = (NOW - 400 * DAY, NOW - 35 * DAY);
    let ended = |signing_time| Wanted { signing_time, signer_validity, ..scene.wanted() };
    let untrusted = Some("chain-untrusted.uvm-chain");
    // The signer's certificate has ended: only what was signed before that counts, and only if that is told.
    for (signing_time, code) in [
        (Some(NOW - 35 * DAY), None),
        (Some(NOW - 400 * DAY), None),
        (Some(NOW - 35 * DAY + 1), untrusted),
        (Some(NOW - 400 * DAY - 1), untrusted),
        (None, untrusted),
        (Some(i64::MIN), untrusted),
    ] {
        assert_eq!(scene.judge(&ended(signing_time)).err().as_deref(), code, "{signing_time:?}");
    }
    // Without a time everything is judged now.
    let unsigned = Wanted { signing_time: None, ..scene.wanted() };
    let until = scene.judge(&unsigned).unwrap().not_after();
    assert_eq!(until.secs(), NOW + 335 * DAY, "the signer's end");
    assert!(scene.judge_at(&unsigned, until.secs()).is_ok());
    assert_eq!(scene.judge_at(&unsigned, until.secs() + 1).err().as_deref(), untrusted);
    // An authority that has ended vouches for nothing any more, whenever it was signed.
    let until = Wanted { authority_until: NOW - 1, signing_time: Some(NOW - DAY), ..scene.wanted() };
    assert_eq!(scene.judge(&until).err().as_deref(), untrusted);
    assert!(scene.judge_at(&until, NOW - 1).is_ok());
    // Nothing is signed in the future, but for a clock that is a minute ahead.
    let at = |ahead: i64| scene.judge(&Wanted { signing_time: Some(NOW + ahead), ..scene.wanted() }).err();
    assert_eq!(at(60), None);
    assert_eq!(at(61).as_deref(), Some("freshness-failed.uvm-endorsement"));
    assert_eq!(at(i64::MAX - NOW).as_deref(), Some("freshness-failed.uvm-endorsement"));
}

#[test]
fn of_several_endorsements_one_that_holds_suffices() {
    let scene = Scene::new();
    let sound = scene.uvm.endorsement(&scene.wanted());
    let bad = scene.uvm.endorsement(&Wanted { fault: Some(UvmFault::SignatureChanged), ..scene.wanted() });
    let issuer = scene.uvm.issuer();
    let trust = UvmTrust { issuers: &[&issuer], minimum_svn: 0 };
    let find = |list: &[Vec<u8>]| scene.verifier.find_uvm(list, &scene.genuine, &trust, UnixTime::from_secs(NOW));
    assert_eq!(find(&[]), Ok(None));
    assert!(find(&[bad.clone(), sound]).unwrap().is_some());
    assert_eq!(find(&[bad, vec![]]).unwrap_err().code(), "signature-invalid", "the refusal of the first");
}

#[test]
fn a_right_signature_is_checked_once() {
    let scene = Scene::new();
    let cose = scene.uvm.endorsement(&scene.wanted());
    let issuer = scene.uvm.issuer();
    let trust = UvmTrust { issuers: &[&issuer], minimum_svn: 0 };
    let mut checks = Vec::new();
    for _ in 0..2 {
        scene.verifier.verify_uvm(&cose, &scene.genuine, &trust, UnixTime::from_secs(NOW)).unwrap();
        checks.push(scene.verifier.counts().signature_checks);
    }
    assert_eq!(checks, [3, 3], "two certificates and the message");
}

#[test]
fn other_evidence_has_no_utility_vm() {
    let (scene, nitro) = (Scene::new(), Nitro::new(NOW));
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Nitro, &nitro.root_der()).unwrap();
    let document = nitro.document(&NitroDocument::new());
    let evidence = Evidence { kind: EvidenceKind::Nitro, bytes: &document };
    let now = UnixTime::from_secs(NOW);
    let outcome = Verifier::new(anchors).verify(
        &evidence,
        &Binding::Unbound,
        &Endorsements::default(),
        &Options::show_all(),
        now,
    );
    let Ok(Outcome::Verified(other)) = outcome else { panic!("{outcome:?}") };
    let issuer = scene.uvm.issuer();
    let trust = UvmTrust { issuers: &[&issuer], minimum_svn: 0 };
    let refused = scene.verifier.verify_uvm(&scene.uvm.endorsement(&scene.wanted()), &other, &trust, now).unwrap_err();
    assert_eq!(refused.full_code(), "unsupported.uvm-endorsement");
}

#[test]
fn disturbed_endorsements_are_refused_without_a_panic() {
    let scene = Scene::new();
    let sound = scene.uvm.endorsement(&Wanted { timestamp: None, ..scene.wanted() });
    let issuer = scene.uvm.issuer();
    let trust = UvmTrust { issuers: &[&issuer], minimum_svn: 0 };
    let (mut rng, count) = (Rng::new(0x0f4), mutations(300, 100_000));
    for _ in 0..count {
        let mutated = rng.mutated(&sound);
        assert!(scene.verifier.verify_uvm(&mutated, &scene.genuine, &trust, UnixTime::from_secs(NOW)).is_err());
        let _ = UvmEndorsement::inspect(&mutated);
    }
    tried("disturbed endorsements", count);
    let long = vec![0; 64 * 1024 + 1];
    let refused = scene.verifier.verify_uvm(&long, &scene.genuine, &trust, UnixTime::from_secs(NOW)).unwrap_err();
    assert_eq!(refused.code(), "too-large");
}

#[test]
fn inspect_says_what_is_written() {
    let scene = Scene::new();
    let says = UvmEndorsement::inspect(&scene.uvm.endorsement(&scene.wanted())).unwrap();
    assert_eq!(says["issuer"], json!(scene.uvm.issuer()));
    assert_eq!(says["guestsvn"], json!(22));
    assert_eq!(says["launchmeasurement"], json!("4d".repeat(48)));
    assert_eq!(says["signed-at"], json!(UnixTime::from_secs(NOW - DAY).to_string()));
}
