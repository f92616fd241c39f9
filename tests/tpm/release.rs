//! From a machine that starts to a key that is released: enrolment by credential activation, quote, replay of the log, a rule on the
//! boot application. Then the same with one thing wrong, each refused by its own code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::attester::tpm::{Enrolment, LogSource};
use keygate::attester::{Attester, AttesterError, Wanted};
use keygate::client::RecipientPlace;
use keygate_forge::tcg::Log;
use keygate_forge::tpm::{Signs, Tpm, TpmQuote};
use serde_json::json;

use crate::quoted::{bytes, options};
use crate::running::keygate;
use crate::stage::{Altered, KEY, OTHER, RESIDENT, Stage, changed, wait};

fn refusal(code: &str, part: &str) -> (String, String) {
    (code.to_owned(), part.to_owned())
}

#[test]
fn a_machine_that_is_enrolled_gets_its_key_and_another_boot_or_recipient_does_not() {
    let Some(stage) = Stage::enrolled() else { return };
    let out = stage.server.folder.path().join("db.key");
    let output = keygate()
        .args(["--format", "json", "release", KEY, "--attester", "tpm", "--recipient", "tpm"])
        .args(["--server", &stage.server.data, "--tpm", &stage.tpm.address(), "--ima-log", "none"])
        .arg("--tpm-state")
        .arg(stage.tpm.folder.path().join("state"))
        .arg("--event-log")
        .arg(stage.tpm.folder.path().join("log"))
        .arg("--ca")
        .arg(stage.server.ca())
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let key = std::fs::read(&out).unwrap();
    assert_eq!(key.len(), 32);

    let attester = stage.attester(|_| {});
    for place in [RecipientPlace::Ec, RecipientPlace::Rsa, RecipientPlace::Hardware] {
        let given = stage.release(KEY, attester.as_ref(), place).unwrap();
        assert_eq!(given.secret.as_slice(), key, "{place:?}");
    }
    assert_eq!(stage.tpm.loaded(), [0_u32; 0]);
    // Another boot application in the rule.
    assert_eq!(stage.release(OTHER, attester.as_ref(), RecipientPlace::Ec).unwrap_err().code, "not-released");
    // A recipient in memory, where the rule wants one in the TPM.
    assert_eq!(stage.release(RESIDENT, attester.as_ref(), RecipientPlace::Rsa).unwrap_err().code, "not-released");
    assert_eq!(stage.release(RESIDENT, attester.as_ref(), RecipientPlace::Hardware).unwrap().secret.len(), 32);
    // Without a log nothing says what booted.
    let silent = stage.attester(|options| options.event_log = LogSource::None);
    assert_eq!(stage.release(KEY, silent.as_ref(), RecipientPlace::Ec).unwrap_err().code, "not-released");
    // Enrolling again keeps the key and the record.
    assert_eq!(stage.enrol("db-1")["attestation_key"], "kept");
    stage.release(KEY, attester.as_ref(), RecipientPlace::Ec).unwrap();
}

/// A quote that a program made up, by a key of its own that says it is an attestation key.
struct SelfMade;

impl Attester for SelfMade {
    fn kind(&self) -> &'static str {
        "tpm"
    }
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let quote = TpmQuote { certified: false, ..TpmQuote::new(&wanted.report_data[..32]) };
        Ok(Tpm::new(wanted.now, Signs::P256).document(&quote))
    }
}

#[test]
fn a_quote_with_one_thing_wrong_is_refused_by_its_own_code() {
    let Some(stage) = Stage::enrolled() else { return };
    let usual = || stage.attester(|_| {});
    let right = || stage.release(KEY, usual().as_ref(), RecipientPlace::Ec).map(drop);
    right().unwrap();

    let other_data = Altered::question(usual(), |wanted| wanted.report_data[31] ^= 1);
    assert_eq!(stage.refused(&other_data), refusal("freshness-failed", "qualifying-data"));
    let not_bound = Altered::question(usual(), |wanted| wanted.report_data[32] ^= 1);
    stage.release(KEY, &not_bound, RecipientPlace::Ec).expect("the second half is not carried");

    assert_eq!(stage.refused(&SelfMade), refusal("chain-untrusted", "attestation-key"));

    let key = usual();
    let spki = key.resident_key().unwrap().spki_der().to_vec();
    let certified = Altered {
        inner: key,
        question: Box::new(move |wanted| wanted.public_key_der.clone_from(&spki)),
        document: Box::new(|document| {
            let member = document.as_object_mut().unwrap().remove("recipient_key").unwrap();
            document["quote"] = member["certify"].clone();
            document["signature"] = member["signature"].clone();
        }),
    };
    assert_eq!(stage.refused(&certified), refusal("malformed", "attest-type"));

    let few = || {
        stage.attester(|options| {
            options.registers = Some("sha256:0,4,7,8".to_owned());
            options.event_log = LogSource::None;
        })
    };
    let other_selection = Altered::document(few(), |document| {
        let registers = document["pcrs"]["sha256"].as_object_mut().unwrap();
        let value = registers.remove("8").unwrap();
        registers.insert("9".to_owned(), value);
    });
    assert_eq!(stage.refused(&other_selection), refusal("binding-mismatch", "pcr-selection"));
    let other_value = Altered::document(few(), |document| document["pcrs"]["sha256"]["8"] = json!("00".repeat(32)));
    assert_eq!(stage.refused(&other_value), refusal("binding-mismatch", "pcr-digest"));

    let weak = stage.attester(|options| {
        options.registers = Some("sha1:all".to_owned());
        options.event_log = LogSource::None;
    });
    assert_eq!(stage.refused(weak.as_ref()), refusal("unsupported", "pcr-bank"));
    right().unwrap();
}

#[test]
fn a_log_that_is_not_what_was_measured_is_refused() {
    let Some(mut stage) = Stage::enrolled() else { return };
    let with = |log: Log| {
        let bytes = URL_SAFE_NO_PAD.encode(log.bytes());
        Altered::document(stage.attester(|_| {}), move |document| document["event_log"] = json!(bytes))
    };
    let mismatch = refusal("binding-mismatch", "event-log");
    stage.release(KEY, &with(stage.log.clone()), RecipientPlace::Ec).unwrap();
    let altered = changed(&stage.log, |events| {
        events[1].sha256[0] ^= 1;
        events[1].sha384[0] ^= 1;
    });
    assert_eq!(stage.refused(&with(altered)), mismatch, "one event changed");
    let one_bank = changed(&stage.log, |events| events[1].sha256[0] ^= 1);
    assert_eq!(stage.refused(&with(one_bank)), mismatch, "one event changed in one bank");
    let dropped = changed(&stage.log, |events| drop(events.remove(1)));
    assert_eq!(stage.refused(&with(dropped)), mismatch, "one event dropped");
    let reordered = changed(&stage.log, |events| events.swap(1, 2));
    assert_eq!(stage.refused(&with(reordered)), mismatch, "two events of one register reordered");

    stage.tpm.extend(4, &[1; 32], &[1; 48]);
    assert_eq!(stage.refused(stage.attester(|_| {}).as_ref()), mismatch, "one register extended after the log");
    stage.restart();
    stage.release(KEY, stage.attester(|_| {}).as_ref(), RecipientPlace::Ec).expect("after a restart it is as before");
}

#[test]
fn a_key_that_is_not_restricted_is_not_enrolled() {
    let Some(stage) = Stage::enrolled() else { return };
    let options = options(&stage.tpm, |options| options.ek_chain = Some(stage.tpm.issuer()));
    let enrolment = Enrolment::begin(&options.root, &options.tpm).unwrap();
    let connection = stage.connection(Some(std::fs::read_to_string(&stage.token).unwrap()));
    let ask = |body: &serde_json::Value| wait(connection.post("/v1/enrolments", body, None));
    let body = enrolment.request("db-1");
    ask(&body).unwrap();
    let mut area = bytes(&body["ak_public"]);
    assert_eq!(area[4..8], [0x00, 0x05, 0x04, 0x72]);
    area[5] &= !1;
    let mut unrestricted = body.clone();
    unrestricted["ak_public"] = json!(URL_SAFE_NO_PAD.encode(area));
    let refused = ask(&unrestricted).unwrap_err();
    let is_of_the_key = refused.what.starts_with("attestation-key: ");
    assert_eq!((refused.code.as_str(), is_of_the_key), ("chain-untrusted", true), "{refused}");

    // A secret that the TPM did not give back ends the attempt.
    let begun = ask(&body).unwrap();
    let path = format!("/v1/enrolments/{}/activation", begun["id"].as_str().unwrap());
    let secret = json!({"secret": URL_SAFE_NO_PAD.encode([0; 32])});
    assert_eq!(wait(connection.post(&path, &secret, None)).unwrap_err().code, "binding-mismatch");
}

#[test]
fn a_reset_counter_that_went_back_is_refused() {
    let Some(mut stage) = Stage::enrolled() else { return };
    let ask = |stage: &Stage| stage.release(KEY, stage.attester(|_| {}).as_ref(), RecipientPlace::Ec);
    stage.tpm.ask(0x8001, 0x145, &[0, 0]);
    let before = stage.tpm.snapshot();
    for _ in 0..2 {
        stage.restart();
        ask(&stage).unwrap();
    }
    stage.tpm.roll_back(&before);
    stage.tpm.extend_log(&stage.log);
    let refused = ask(&stage).unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.what.starts_with("reset-count: ")),
        ("freshness-failed", true),
        "{refused}"
    );
    // Two more starts, and the counter is ahead of where it was seen last.
    stage.restart();
    stage.restart();
    assert_eq!(ask(&stage).map(|given| given.secret.len()).unwrap(), 32);
}

#[test]
fn the_demo_goes_the_whole_way_with_a_tpm() {
    let Some(tpm) = crate::tpm_stage::SoftTpm::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = keygate()
        .args(["demo", "--attester", "tpm", "--tpm", &tpm.address()])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for wanted in
        ["enrolled        this TPM", "kind `tpm`", "tpm.pcrs.sha256.4", "allowed-ek", "not-released", "intact"]
    {
        assert!(said.contains(wanted), "`{wanted}` is missing:\n{said}");
    }
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
    assert_eq!(tpm.loaded(), [0_u32; 0]);
}
