//! The machine: quote, registers, logs, and the state before a sleep.

use keygate_forge::azure_tpm::{
    Attest, Attested, Bound, Draft, Event, ImaList, Log, Machine, Tagged, Wanted, boundary, rsa, tag,
};
use keygate_forge::base64;
use keygate_verifier::tpm_azure::TpmRules;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_request_of_the_second_form_shows_the_machine_and_its_key() {
    let machine = machine();
    for (bound, info) in [
        (Bound::Quote, json!({"tpm_quote": {"hash_alg": "sha-256"}})),
        (Bound::Certify, json!({"tpm_certify": {"name_alg": 11, "obj_attr": 50, "auth_policy": ""}})),
    ] {
        let shown = appraised(&machine, &Wanted { bound, ..wanted() }).unwrap();
        assert_eq!(shown.anchor(), Some("lab"));
        assert_eq!(shown.key_claims()["aikValidated"], true);
        assert_eq!(shown.key_claims()["tpmVersion"], 2);
        let spki = machine.aik.public_key_to_der().unwrap();
        let hash = openssl::sha::sha256(&spki);
        assert_eq!(shown.key_claims()["aikPubHash"], openssl::base64::encode_block(&hash));
        let names = [format!("tpm-ak:{}", hex::encode(hash)), "tpm-firmware:2020031200000001".to_owned()];
        assert_eq!(shown.platforms(), names);
        let claims = shown.log_claims();
        let key = json_of(&claims, "x-ms-tpm-request-key");
        assert_eq!((&key["info"], &key["jwk"]), (&info, shown.confirmed_key()));
        assert_eq!(Some(&key), shown.attested_key());
        let pcrs = json_of(&claims, "pcrs");
        let seven = machine.registers(0x0b)[&7].clone();
        assert_eq!(pcrs["PCRs"][7], json!({"Index": 7, "Digests": {"SHA256": base64::url(&seven)}}));
        assert!(!claims.contains_key("bootEvents") && !claims.contains_key("x-ms-tpm-other-keys"));
        assert_eq!(shown.recorded()["pcrs"]["sha256"]["7"], hex::encode(&seven));
    }
}

#[test]
fn events_are_told_in_order_with_what_they_measured() {
    let machine = machine();
    let claims = appraised(&machine, &wanted()).unwrap().log_claims();
    let events = json_of(&claims, "events");
    let events = events["Events"].as_array().unwrap();
    let sequence: Vec<i64> = events.iter().map(|event| event["EventSeq"].as_i64().unwrap()).collect();
    assert!(sequence.windows(2).all(|pair| pair[0] < pair[1]), "{sequence:?}");
    let named = |name: &str| {
        let of = |event: &&Value| event["ProcessedData"]["UnicodeName"] == name;
        let found: Vec<&Value> = events.iter().filter(of).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].clone()
    };
    let secure = named("SecureBoot");
    assert_eq!((&secure["EventTypeString"], &secure["PcrIndex"]), (&json!("EV_EFI_VARIABLE_DRIVER_CONFIG"), &json!(7)));
    assert_eq!(secure["ProcessedData"]["VariableGuid"], "8BE4DF61-93CA-11D2-AA0D-00E098032B8C");
    assert_eq!(secure["ProcessedData"]["VariableData"], "AQ");
    assert_eq!(named("BootOrder")["PcrIndex"], 1);
    let boundaries: Vec<&Value> =
        events.iter().filter_map(|event| event["ProcessedData"].get("EVENT_TRUSTBOUNDARY")).collect();
    assert_eq!(boundaries.len(), 2);
    assert_eq!(boundaries[0]["EVENT_BOOTDEBUGGING"], false);
    assert_eq!(boundaries[0]["EVENT_VBS_VSM_REQUIRED"], true);
    assert_eq!(boundaries[1]["EVENT_CODEINTEGRITY"], true);
}

#[test]
fn verdicts_about_the_boot_follow_the_log() {
    let shown = appraised(&machine(), &wanted()).unwrap();
    let claims = shown.boot_claims();
    for (name, value) in [
        ("secureBootEnabled", true),
        ("bootDebuggingDisabled", true),
        ("notSafeMode", true),
        ("notWinPE", true),
        ("vbsEnabled", true),
        ("iommuEnabled", true),
        ("vbsReportPresent", false),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let other = [(tag::BOOT_DEBUGGING, Tagged::Flag(true)), (tag::WINPE, Tagged::Flag(true))];
    let machine = Machine::new(NOW, Log::windows(false, &other, &[]));
    let claims = appraised(&machine, &wanted()).unwrap().boot_claims();
    for name in ["secureBootEnabled", "bootDebuggingDisabled", "notWinPE", "vbsEnabled", "iommuEnabled"] {
        assert_eq!(claims[name], false, "{name}");
    }
}

#[test]
fn tpm_01_02_and_08_a_quote_is_made_by_a_tpm_for_this_challenge() {
    let machine = machine();
    let quote = |change: fn(&mut Attest)| refused(&machine, &Wanted { quote: change, ..wanted() });
    assert_eq!(quote(|attest| attest.magic ^= 1), "signature-invalid.magic");
    assert_eq!(quote(|attest| attest.kind = 0x8017), "malformed.tpm-name");
    assert_eq!(quote(|attest| attest.kind = 0x801a), "malformed.attest-type");
    assert_eq!(quote(|attest| attest.extra_data[0] ^= 1), "freshness-failed.qualifying-data");
    assert_eq!(quote(|attest| attest.extra_data.push(0)), "freshness-failed.qualifying-data");
    assert_eq!(quote(|attest| attest.extra_data = CHALLENGE.to_vec()), "freshness-failed.qualifying-data");
    // The challenge of the payload is not the one that was quoted.
    let other =
        changed(&machine, &wanted(), |draft| draft.payload["att_data"]["challenge"] = json!(base64::url(&[1; 16])));
    assert_eq!(code(other), "freshness-failed.qualifying-data");
    let other = changed(&machine, &wanted(), |draft| {
        state(draft)["signature"] = json!(base64::url(&keygate_forge::azure_tpm::signature(&rsa(), b"x")));
    });
    assert_eq!(code(other), "signature-invalid.quote");
    let sha1 = changed(&machine, &wanted(), |draft| {
        let signature = keygate_forge::azure_tpm::signature(&machine.aik, b"x");
        state(draft)["signature"] = json!(base64::url(&[&[0, 0x14, 0, 0x04], &signature[4..]].concat()));
    });
    assert_eq!(code(sha1), "unsupported.tpm-signature");
}

#[test]
fn tpm_03_and_04_registers_are_exactly_those_that_were_quoted() {
    let machine = machine();
    let values = |change: fn(&mut Vec<Value>)| {
        code(changed(&machine, &wanted(), |draft| change(state(draft)["pcrs"][0]["values"].as_array_mut().unwrap())))
    };
    assert_eq!(values(|list| drop(list.pop())), "binding-mismatch.pcr-selection");
    assert_eq!(values(|list| list[23]["digest"] = json!(base64::url(&[9; 32]))), "binding-mismatch.pcr-digest");
    let quote = |change: fn(&mut Attest)| refused(&machine, &Wanted { quote: change, ..wanted() });
    let fewer = |attest: &mut Attest| {
        if let Attested::Quote { selection, .. } = &mut attest.attested {
            selection[0].1.pop();
        }
    };
    assert_eq!(quote(fewer), "binding-mismatch.pcr-selection");
}

#[test]
fn tpm_06_registers_of_the_mask_stand_in_a_strong_bank() {
    let machine = machine();
    let with = |banks: &[u16], registers: std::ops::Range<u32>, mask| {
        let wanted = Wanted { banks: banks.to_vec(), registers: registers.collect(), ..wanted() };
        let rules = TpmRules { required_pcrs: mask, ..rules() };
        judged(&machine, &machine.request(&wanted), &rules).map(|shown| shown.log_claims()["pcrs"].to_string())
    };
    assert!(with(&[0x0b], 0..24, 0x00ff_ffff).is_ok());
    let both = with(&[0x04, 0x0b], 0..24, 0x00ff_ffff).unwrap();
    assert!(both.contains("SHA1") && both.contains("SHA256"), "{both}");
    assert_eq!(with(&[0x04], 0..24, 0).unwrap_err().full_code(), "unsupported.pcr-bank");
    assert_eq!(with(&[0x0b], 0..23, 0x00ff_ffff).unwrap_err().full_code(), "binding-mismatch.required-pcrs");
    assert_eq!(with(&[0x0b], 0..23, 0x007f_ffff).err().map(|refused| refused.full_code()), None);
    // Example 40 of the policy language.
    assert!(with(&[0x0b], 0..4, 15).is_ok());
    assert_eq!(with(&[0x0b], 0..4, 31).unwrap_err().full_code(), "binding-mismatch.required-pcrs");
}

#[test]
fn what_was_measured_into_registers_that_were_not_quoted_is_not_told() {
    let machine = machine();
    let wanted = Wanted { registers: (0..4).collect(), ..wanted() };
    let rules = TpmRules { required_pcrs: 15, ..rules() };
    let shown = judged(&machine, &machine.request(&wanted), &rules).unwrap();
    let events = json_of(&shown.log_claims(), "events");
    let registers: Vec<i64> =
        events["Events"].as_array().unwrap().iter().filter_map(|event| event["PcrIndex"].as_i64()).collect();
    assert!(!registers.is_empty() && registers.iter().all(|index| *index < 4), "{registers:?}");
    assert_eq!(shown.boot_claims()["secureBootEnabled"], false);
}

#[test]
fn tpm_25_a_log_explains_the_registers_or_is_refused() {
    let machine = machine();
    let with = |log: &Log| {
        code(changed(&machine, &wanted(), |draft| state(draft)["logs"][0]["log"] = json!(base64::url(&log.bytes()))))
    };
    let mut other = machine.log.clone();
    other.events.remove(0);
    assert_eq!(with(&other), "binding-mismatch.event-log");
    let mut other = machine.log.clone();
    other.events.push(boundary(12, &[(tag::BOOT_DEBUGGING, Tagged::Flag(false))]));
    assert_eq!(with(&other), "binding-mismatch.event-log");
    assert_eq!(
        code(changed(&machine, &wanted(), |draft| state(draft)["logs"] = json!([]))),
        "binding-mismatch.event-log"
    );
    // Data that were not measured are no data.
    let mut other = machine.log.clone();
    let at = other.events.iter().position(|event| event.register == 7).unwrap();
    *other.events[at].data.last_mut().unwrap() = 0;
    let shown =
        changed(&machine, &wanted(), |draft| state(draft)["logs"][0]["log"] = json!(base64::url(&other.bytes())));
    let events = json_of(&shown.unwrap().log_claims(), "events").to_string();
    assert!(!events.contains("\"UnicodeName\":\"SecureBoot\""), "{events}");
}

#[test]
fn tpm_31_certificates_in_keyrings_of_linux_are_events_as_far_as_register_10_bears_them_out() {
    let mut machine = machine();
    let certificate = machine.aik_certificate.clone();
    machine.ima = Some(ImaList::of_certificate(".ima", &certificate));
    let shown = appraised(&machine, &wanted()).unwrap();
    let events = json_of(&shown.log_claims(), "events");
    let events = events["Events"].as_array().unwrap();
    let last = events.last().unwrap();
    assert_eq!((&last["EventTypeString"], &last["PcrIndex"]), (&json!("IMA_MEASUREMENT_EVENT"), &json!(10)));
    assert_eq!(last["EventSeq"], events.len() - 1);
    let told = &last["ProcessedData"];
    assert_eq!((&told["Keyring"], &told["KernelVersion"]), (&json!(".ima"), &json!("6.1.0")));
    assert_eq!(told["CertificateSubject"], "CN=forge attestation key");
    let other = ImaList::of_certificate(".evm", &certificate);
    let swapped = |draft: &mut Draft| state(draft)["logs"][1]["log"] = json!(base64::url(&other.text()));
    assert_eq!(code(changed(&machine, &wanted(), swapped)), "binding-mismatch.ima-log");
    // Where register 10 was not quoted, the list counts for nothing.
    let few = Wanted { registers: (0..8).collect(), ..wanted() };
    let rules = TpmRules { required_pcrs: 0xff, ..rules() };
    let shown = judged(&machine, &machine.request(&few), &rules).unwrap();
    assert!(!shown.log_claims()["events"].as_str().unwrap().contains("IMA_MEASUREMENT_EVENT"));
}

#[test]
fn a_second_log_goes_on_where_the_first_ended() {
    let machine = machine();
    let whole = machine.log.clone();
    let (first, second) = whole.events.split_at(whole.events.len() - 4);
    let logs = |parts: &[&[Event]]| -> Value {
        let log =
            |events: &&[Event]| json!({"type": "TCG", "log": base64::url(&Log { events: events.to_vec() }.bytes())});
        parts.iter().map(log).collect()
    };
    let told = |parts: &[&[Event]]| changed(&machine, &wanted(), |draft| state(draft)["logs"] = logs(parts));
    let shown = told(&[first, second]).unwrap();
    let alone = appraised(&machine, &wanted()).unwrap();
    assert_eq!(shown.log_claims()["events"], alone.log_claims()["events"]);
    assert_eq!(code(told(&[second, first])), "binding-mismatch.event-log");
    // The old format, with SHA-1 alone, goes on behind no other.
    let old = [&16_u32.to_le_bytes()[..], &13_u32.to_le_bytes(), &[0; 20], &1_u32.to_le_bytes(), b"x"].concat();
    let mixed = changed(&machine, &wanted(), |draft| {
        let logs = state(draft)["logs"].as_array_mut().unwrap();
        logs.push(json!({"type": "TCG", "log": base64::url(&old)}));
    });
    assert_eq!(code(mixed), "unsupported.event-log");
}

#[test]
fn the_state_before_a_sleep_is_of_the_same_tpm_and_earlier() {
    let machine = machine();
    let slept = Wanted { slept: true, ..wanted() };
    let shown = appraised(&machine, &slept).unwrap();
    let claims = shown.log_claims();
    assert_eq!(json_of(&claims, "bootEvents"), json_of(&claims, "events"));
    let boot = |change: fn(&mut Attest)| refused(&machine, &Wanted { boot_quote: change, ..slept.clone() });
    assert_eq!(boot(|attest| attest.reset_count += 1), "freshness-failed.reset-count");
    assert_eq!(boot(|attest| attest.clock = 9_001), "freshness-failed.clock");
    assert_eq!(boot(|attest| attest.restart_count = 2), "freshness-failed.clock");
    assert_eq!(boot(|attest| attest.magic ^= 1), "signature-invalid.magic");
    let earlier = |change: &dyn Fn(&mut Value)| {
        code(changed(&machine, &slept, |draft| {
            change(&mut draft.payload["att_data"]["tpm_att_data"]["boot_attestation"])
        }))
    };
    let other = rsa();
    assert_eq!(
        earlier(&|state| state["aik_pub"] = keygate_forge::azure_tpm::rsa_jwk(&other)),
        "signature-invalid.quote"
    );
    assert_eq!(earlier(&|state| state["logs"] = json!([])), "binding-mismatch.event-log");
    // The machine went on measuring after it woke: the log of the boot, and then the log of the resume.
    let mut boot = machine.draft(&slept);
    let resume = Event::plain(16, 0x0d, b"resumed");
    let mut awake = machine;
    awake.log.events.push(resume.clone());
    let mut current = awake.draft(&slept).payload["att_data"]["tpm_att_data"]["current_attestation"].clone();
    current["logs"] = json!([{"type": "TCG", "log": base64::url(&Log { events: vec![resume] }.bytes())}]);
    *state(&mut boot) = current;
    let shown = judged(&awake, &boot.sign(&awake.request_key), &rules()).unwrap().log_claims();
    let count = |name| json_of(&shown, name)["Events"].as_array().unwrap().len();
    assert_eq!(count("events"), count("bootEvents") + 1);
}
