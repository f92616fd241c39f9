//! The catalogue's rows on event logs, TPM-22 to TPM-27 and TPM-30: what is believed, and its twin that is not.
//!
//! Catalogue of bad inputs, section 7. TPM-28 and TPM-29 stand beside the parsers of their structures.

mod boot;

use boot::{
    ACTION, APPLICATION, AUTHORITY, EVENT_TAG, GLOBAL, IPL, Log, NO_ACTION, SCRTM_VERSION, SECURITY, SEPARATOR,
    VARIABLE, VARIABLE_BOOT, header, old_event, put, signatures, variable, wide,
};
use keygate_verifier::logs::{Bank, EventLog, LogKind, MAX_EVENTS, MAX_LOG, Registers};
use serde_json::json;

const BANK: Bank = Bank::Sha256;

fn refused(bytes: &[u8]) -> String {
    EventLog::parse(bytes, LogKind::Tpm).map(|log| log.len()).unwrap_err().full_code()
}

fn is_variable(log: &mut Log, name: &str) -> usize {
    let name = wide(name);
    log.events.iter().position(|event| event.data.get(32..32 + name.len()) == Some(&name[..])).unwrap()
}

#[test]
fn the_usual_log_is_believed() {
    let log = Log::usual(&[Bank::Sha1, BANK]);
    let claims = log.claims(BANK).unwrap();
    assert_eq!(claims["secure_boot"], true);
    assert_eq!(claims["firmware_version"], "1.2.3");
    assert_eq!(claims["secure_boot_variables"]["db"], json!([hex::encode([7; 32]), hex::encode([8; 32])]));
    assert_eq!(claims["secure_boot_variables"]["pk_count"], 0);
    let image = hex::encode(boot::digest(BANK, &[b"the image of a boot loader"]));
    assert_eq!(claims["applications"], json!([image]));
    assert_eq!(claims["separators_ok"], true);
}

#[test]
fn tpm_22_the_type_of_an_event_decides_nothing() {
    let good = Log::usual(&[BANK]);
    let (quoted, believed) = (good.registers(BANK), good.claims(BANK).unwrap());
    // What is no longer extended is missing from its register.
    for index in 0..good.events.len() {
        let mut log = good.clone();
        log.events[index].kind = NO_ACTION;
        assert_eq!(log.claims_against(BANK, &quoted), Err("binding-mismatch.event-log".into()), "{index}");
    }
    // Any other type: an application stays one, a separator stays one, Secure Boot stays what it was or is not claimed.
    for kind in [0, 5, SCRTM_VERSION, IPL, VARIABLE, VARIABLE_BOOT, APPLICATION, ACTION, AUTHORITY, 0x1234_5678] {
        for index in 0..good.events.len() {
            let mut log = good.clone();
            log.events[index].kind = kind;
            let claims = log.claims_against(BANK, &quoted).unwrap();
            assert_eq!(claims["applications"], believed["applications"], "{index} {kind:#x}");
            assert!(claims.get("secure_boot").is_none_or(|on| *on == true), "{index} {kind:#x}");
            for list in ["pk", "kek", "db", "dbx"] {
                let (ours, theirs) = (&claims["secure_boot_variables"], &believed["secure_boot_variables"]);
                assert!(ours.get(list).is_none_or(|l| *l == theirs[list]), "{index} {kind:#x} {list}");
            }
            assert!(claims.get("firmware_version").is_none_or(|v| v == "1.2.3"), "{index} {kind:#x}");
        }
    }
    // An image that was run while the log calls it an action, and shows the text of one.
    let mut log = good.clone();
    log.extend(4, ACTION, b"the image of a rootkit", b"Calling EFI Application from Boot Option");
    assert_eq!(log.claims(BANK).unwrap()["application_count"], 2);
    // The bytes of an image shown as its payload are still an image.
    log.events.pop();
    log.measure(4, ACTION, b"MZ and so on");
    assert_eq!(log.claims(BANK).unwrap()["application_count"], 2);
    log.events.pop();
    // Nor do they hide as text of two bytes a character, of which one was measured.
    let spread: Vec<u8> = b"MZ and so on".iter().flat_map(|byte| [*byte, 0]).collect();
    log.extend(4, IPL, b"MZ and so on", &spread);
    assert_eq!(log.claims(BANK).unwrap()["application_count"], 2);
    log.events.pop();
    log.measure(4, ACTION, b"Calling EFI Application from Boot Option");
    assert_eq!(log.claims(BANK).unwrap()["application_count"], 1);
}

#[test]
fn tpm_23_each_register_of_firmware_has_one_separator() {
    let good = Log::usual(&[BANK]);
    let code = Err("malformed.event-log-separators".to_owned());
    for register in 0..8 {
        let mut twice = good.clone();
        twice.measure(register, SEPARATOR, &[0; 4]);
        assert_eq!(twice.claims(BANK), code, "{register}");
        // A second one that the log calls something else.
        let last = twice.events.len() - 1;
        twice.events[last].kind = 0x55;
        twice.events[last].data = b"nothing to see".to_vec();
        assert_eq!(twice.claims(BANK), code, "{register}");
        let mut other = good.clone();
        let separator = other.find(|e| e.register == register && e.kind == SEPARATOR);
        separator.digests[0].1 = boot::digest(BANK, &[&[0xff; 4]]);
        assert!(other.claims(BANK).is_ok(), "{register}: four bytes ff are a separator too");
        let mut failed = good.clone();
        let separator = failed.find(|e| e.register == register && e.kind == SEPARATOR);
        separator.digests[0].1 = boot::digest(BANK, &[&[1, 0, 0, 0]]);
        assert_eq!(failed.claims(BANK), code, "{register}");
    }
    for register in [0, 4, 7] {
        let mut none = good.clone();
        none.events.retain(|e| !(e.register == register && e.kind == SEPARATOR));
        assert_eq!(none.claims(BANK), code, "{register}");
    }
}

#[test]
fn tpm_23_what_firmware_measures_by_coincidence_is_let_through() {
    // Four zero bytes as contents of the S-CRTM; a boot order of two entries, measured without its name.
    let mut log = Log::usual(&[BANK]);
    log.measure(0, 7, &[0; 4]);
    log.events.rotate_right(1);
    log.extend(1, VARIABLE_BOOT, &[1, 0, 0, 0], &variable(GLOBAL, "BootOrder", &[1, 0, 0, 0]));
    let claims = log.claims(BANK).unwrap();
    assert!(!claims.contains_key("firmware_version"), "a separator may stand before it");
    for register in [0, 2, 3, 4, 5, 6, 7] {
        let mut other = Log::usual(&[BANK]);
        other.extend(register, VARIABLE_BOOT, &[1, 0, 0, 0], &variable(GLOBAL, "BootOrder", &[1, 0, 0, 0]));
        assert_eq!(other.claims(BANK), Err("malformed.event-log-separators".into()), "{register}");
    }
}

#[test]
fn tpm_24_what_is_appended_after_the_boot_is_no_configuration() {
    let mut off = Log::usual(&[BANK]);
    let index = is_variable(&mut off, "SecureBoot");
    let value = variable(GLOBAL, "SecureBoot", &[0]);
    off.events[index].digests[0].1 = boot::digest(BANK, &[&value]);
    off.events[index].data = value;
    assert_eq!(off.claims(BANK).unwrap()["secure_boot"], false);
    // Root extends PCR 7 with a better one, and hides the true one behind other data and another type.
    off.measure(7, VARIABLE, &variable(GLOBAL, "SecureBoot", &[1]));
    assert_eq!(off.claims(BANK).unwrap()["secure_boot"], false);
    off.events[index].data = b"hidden".to_vec();
    off.events[index].kind = 0x77;
    let claims = off.claims(BANK).unwrap();
    assert!(!claims.contains_key("secure_boot"));
    let flags = off.checked(BANK, |log| log.azure_flags().unwrap());
    assert_eq!(flags["secureBootEnabled"], false);
    let events = off.checked(BANK, |log| log.azure_events(0).unwrap());
    let configured = events["Events"].as_array().unwrap().iter().filter(|event| {
        event["EventTypeString"] == "EV_EFI_VARIABLE_DRIVER_CONFIG"
            && event["ProcessedData"]["UnicodeName"] == "SecureBoot"
    });
    assert_eq!(configured.count(), 0, "Azure's policies count such events");
    // The same for keys: the first db is the one that was in force.
    let mut log = Log::usual(&[BANK]);
    log.measure(7, VARIABLE, &variable(SECURITY, "db", &signatures(&[[9; 32]])));
    let claims = log.claims(BANK).unwrap();
    assert_eq!(claims["secure_boot_variables"]["db_count"], 2);
    assert_eq!(claims["authorities"][0]["variable"], "db");
    // Applications are in measured order and none is left out: a rule sees what was added.
    log.extend(4, APPLICATION, b"another image", b"");
    assert_eq!(log.claims(BANK).unwrap()["application_count"], 2);
    // A register without a separator of its own, closed by firmware's: what was run before is no boot application.
    let mut early = Log::usual(&[BANK]);
    early.extend(4, APPLICATION, b"a tool of the firmware", b"");
    early.events.rotate_right(1);
    let claims = early.claims(BANK).unwrap();
    assert_eq!(claims["application_count"], 1);
    assert_eq!(claims["applications_before_separator"].as_array().unwrap().len(), 1);
}

#[test]
fn tpm_25_data_that_was_not_measured_is_not_claimed() {
    let good = Log::usual(&[BANK]);
    let quoted = good.registers(BANK);
    for (name, value) in [("SecureBoot", vec![0]), ("db", signatures(&[[1; 32]])), ("PK", signatures(&[[1; 32]]))] {
        let mut log = good.clone();
        let index = is_variable(&mut log, name);
        let vendor: [u8; 16] = log.events[index].data[..16].try_into().unwrap();
        log.events[index].data = variable(vendor, name, &value);
        let claims = log.claims_against(BANK, &quoted).unwrap();
        match name {
            "SecureBoot" => assert!(!claims.contains_key("secure_boot")),
            _ => assert!(claims["secure_boot_variables"].get(name.to_lowercase()).is_none(), "{name}"),
        }
        assert!(!claims.contains_key("firmware_debugger"), "an event that is not understood may say so");
    }
    let mut log = good.clone();
    log.events[0].data = wide("9.9.9");
    assert!(!log.claims_against(BANK, &quoted).unwrap().contains_key("firmware_version"));
    // A path is measured by nobody and is no claim at all.
    let mut log = good;
    log.find(|e| e.kind == APPLICATION).data = b"\\EFI\\other".to_vec();
    assert_eq!(log.claims_against(BANK, &quoted), Log::usual(&[BANK]).claims(BANK));
}

#[test]
fn firmware_configures_a_handful_of_variables() {
    let crowd = |before: usize| {
        let mut log = Log::usual(&[BANK]);
        for number in 0..before {
            log.measure(7, VARIABLE, &variable(GLOBAL, &format!("other {number}"), &[1]));
            let last = log.events.pop().unwrap();
            log.events.insert(1, last);
        }
        log.claims(BANK).unwrap()
    };
    assert_eq!(crowd(63)["secure_boot"], true);
    assert!(!crowd(64).contains_key("secure_boot"));
}

#[test]
fn tpm_25_banks_of_one_event_measure_one_payload() {
    let good = Log::usual(&[Bank::Sha1, BANK]);
    assert!(good.claims(BANK).is_ok());
    let mut log = good;
    log.events[0].digests[0].1[0] ^= 1;
    assert_eq!(log.claims(BANK), Err("binding-mismatch.event-log-digests".into()));
}

#[test]
fn tpm_26_headers_and_digests() {
    let sha256 = (0x000b, 32);
    let body = |mutate: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = header(&[sha256]);
        let mut event = Vec::new();
        put(&mut event, &[0, SEPARATOR, 1]);
        event.extend(0x000b_u16.to_le_bytes());
        event.extend([0; 32]);
        put(&mut event, &[0]);
        mutate(&mut event);
        bytes.extend(event);
        bytes
    };
    assert!(EventLog::parse(&body(&|_| ()), LogKind::Tpm).is_ok());
    let malformed = "malformed.event-log";
    // Count of digests, algorithm, the same algorithm twice, cut off.
    for count in [0_u32, 2, 3, u32::MAX] {
        assert_eq!(refused(&body(&|event| event[8..12].copy_from_slice(&count.to_le_bytes()))), malformed, "{count}");
    }
    assert_eq!(refused(&body(&|event| event[12] = 0x0c)), malformed);
    assert_eq!(refused(&body(&|event| event.truncate(20))), malformed);
    let mut twice = header(&[sha256, (0x000c, 48)]);
    put(&mut twice, &[0, SEPARATOR, 2]);
    for _ in 0..2 {
        twice.extend(0x000b_u16.to_le_bytes());
        twice.extend([0; 32]);
    }
    put(&mut twice, &[0]);
    assert_eq!(refused(&twice), malformed);
    // The header: no algorithm, 2^32 of them, sizes, the same one twice.
    let mut many = header(&[sha256]);
    many[56..60].copy_from_slice(&u32::MAX.to_le_bytes());
    for bytes in [
        many,
        header(&[]),
        header(&[(0x000b, 0)]),
        header(&[(0x000b, 20)]),
        header(&[(0x000b, u16::MAX)]),
        header(&[(0x0099, 65)]),
        header(&[sha256, sha256]),
        header(&(0..9).map(|id| (0x1000 + id, 32)).collect::<Vec<_>>()),
    ] {
        assert_eq!(refused(&bytes), malformed);
    }
    // An algorithm that is not served is skipped, by its size.
    let mut unknown = header(&[sha256, (0x0012, 32)]);
    put(&mut unknown, &[0, SEPARATOR, 2]);
    for id in [0x0012_u16, 0x000b] {
        unknown.extend(id.to_le_bytes());
        unknown.extend([0; 32]);
    }
    put(&mut unknown, &[0]);
    assert_eq!(EventLog::parse(&unknown, LogKind::Tpm).unwrap().banks(), [BANK]);
    // Another version, bytes behind the list of algorithms.
    let mut version = header(&[sha256]);
    version[53] = 3;
    assert_eq!(refused(&version), "unsupported.event-log");
    let mut longer = header(&[sha256]);
    longer.push(0);
    longer[28] += 1;
    assert_eq!(refused(&longer), malformed);
}

#[test]
fn tpm_27_sizes() {
    let mut huge = header(&[(0x000b, 32)]);
    put(&mut huge, &[0, SEPARATOR, 1]);
    huge.extend(0x000b_u16.to_le_bytes());
    huge.extend([0; 32]);
    let at = huge.len();
    for size in [u32::MAX, 1 << 31, u32::try_from(MAX_LOG).unwrap() + 1] {
        huge.truncate(at);
        put(&mut huge, &[size]);
        assert_eq!(refused(&huge), "too-large.event-log", "{size}");
    }
    huge.truncate(at);
    put(&mut huge, &[1]);
    assert_eq!(refused(&huge), "malformed.event-log");
    assert_eq!(refused(&vec![0; MAX_LOG + 1]), "too-large.event-log");
    assert_eq!(refused(&vec![0; 64 << 20]), "too-large.event-log");
    let event = old_event(1, 5, [1; 20], &[]);
    assert!(EventLog::parse(&event.repeat(MAX_EVENTS), LogKind::Tpm).is_ok());
    assert_eq!(refused(&event.repeat(MAX_EVENTS + 1)), "too-large.event-log");
    // Those that extend nothing count as well.
    assert_eq!(refused(&old_event(0, NO_ACTION, [0; 20], &[]).repeat(MAX_EVENTS + 1)), "too-large.event-log");
    assert_eq!(refused(&[]), "malformed.event-log");
    assert_eq!(refused(&old_event(24, 5, [1; 20], &[])), "malformed.event-log");
}

#[test]
fn tpm_30_the_locality_of_startup_stands_once_and_first() {
    let note = |log: &mut Log, at: usize, register: u32, locality: &[u8]| {
        log.measure(register, NO_ACTION, &[b"StartupLocality\0", locality].concat());
        let last = log.events.pop().unwrap();
        log.events.insert(at, last);
    };
    let code = |log: &Log| refused(&log.bytes());
    let held = |log: &Log, locality: u8| {
        let mut quoted = log.registers(BANK);
        let mut value = vec![0; 32];
        value[31] = locality;
        for event in log.events.iter().filter(|e| e.register == 0 && e.kind != NO_ACTION) {
            value = boot::digest(BANK, &[&value, &event.digests[0].1]);
        }
        quoted.insert(0, value);
        quoted
    };
    let good = Log::usual(&[BANK]);
    for locality in [0, 3, 4] {
        let mut log = good.clone();
        note(&mut log, 0, 0, &[locality]);
        assert!(log.claims_against(BANK, &held(&log, locality)).is_ok(), "{locality}");
        // The register started elsewhere.
        let other: Registers = held(&log, (locality + 1) % 5);
        assert_eq!(log.claims_against(BANK, &other), Err("binding-mismatch.event-log".into()), "{locality}");
    }
    let wrong = "malformed.startup-locality";
    for bad in [&[1][..], &[2], &[5], &[255], &[], &[3, 0]] {
        let mut log = good.clone();
        note(&mut log, 0, 0, bad);
        assert_eq!(code(&log), wrong, "{bad:?}");
    }
    let mut late = good.clone();
    note(&mut late, 1, 0, &[3]);
    assert_eq!(code(&late), wrong);
    let mut twice = good.clone();
    note(&mut twice, 0, 0, &[3]);
    note(&mut twice, 0, 0, &[3]);
    assert_eq!(code(&twice), wrong);
    let mut elsewhere = good;
    note(&mut elsewhere, 0, 1, &[3]);
    assert_eq!(code(&elsewhere), wrong);
}

#[test]
fn registers_that_the_log_does_not_explain() {
    let log = Log::usual(&[BANK]);
    let quoted = log.registers(BANK);
    // An event that the log leaves out, in a register of firmware.
    let mut short = log.clone();
    short.events.retain(|event| event.register != 3);
    assert_eq!(short.claims_against(BANK, &quoted), Err("binding-mismatch.event-log".into()));
    // Later registers are for the operating system.
    let mut extended = quoted.clone();
    extended.insert(15, vec![5; 32]);
    assert!(log.claims_against(BANK, &extended).is_ok());
    // A register with events that is not quoted, a bank that the log has not.
    for register in [0, 4, 7] {
        let mut fewer = quoted.clone();
        fewer.remove(&register);
        assert_eq!(log.claims_against(BANK, &fewer), Err("binding-mismatch.event-log".into()), "{register}");
    }
    assert_eq!(log.claims_against(Bank::Sha384, &quoted), Err("unsupported.event-log-bank".into()));
}

#[test]
fn phases_of_systemd_explain_pcr_11() {
    let mut log = Log::usual(&[BANK]);
    for (name, content) in [(".linux", &b"a kernel"[..]), (".cmdline", b"quiet")] {
        let name = format!("{name}\0");
        log.extend(11, IPL, name.as_bytes(), &wide(&name));
        log.extend(11, IPL, content, &wide(&name));
    }
    let mut quoted = log.registers(BANK);
    let claims = log.claims_against(BANK, &quoted).unwrap();
    let of = |content: &[u8]| hex::encode(boot::digest(BANK, &[content]));
    assert_eq!(claims["uki"]["sections"], json!({ "linux": of(b"a kernel"), "cmdline": of(b"quiet") }));
    assert!(!claims.contains_key("systemd_phases"));
    let mut reached = Vec::new();
    for word in ["enter-initrd", "leave-initrd", "sysinit", "ready"] {
        let next = boot::digest(BANK, &[&quoted[&11], &boot::digest(BANK, &[word.as_bytes()])]);
        quoted.insert(11, next);
        reached.push(word);
        assert_eq!(log.claims_against(BANK, &quoted).unwrap()["systemd_phases"], json!(reached));
    }
    let next = boot::digest(BANK, &[&quoted[&11], &boot::digest(BANK, &[b"anything else"])]);
    quoted.insert(11, next);
    assert_eq!(log.claims_against(BANK, &quoted), Err("binding-mismatch.event-log".into()));
    // A section that hides behind an unknown event: none is claimed.
    let hidden = log.events.iter().position(|event| event.register == 11).unwrap();
    let registers = log.registers(BANK);
    log.events[hidden].data = b"?".to_vec();
    assert!(!log.claims_against(BANK, &registers).unwrap().contains_key("uki"));
}

#[test]
fn a_dynamic_launch_is_claimed_where_a_register_that_only_it_resets_says_so() {
    // PCR 20 to 22 are reset by whoever reaches locality 2, which is no launch.
    let mut log = Log::usual(&[BANK]);
    log.measure(22, EVENT_TAG, b"behind a reset");
    let claimed = |log: &Log, begun: &[(u32, u8)]| {
        let mut quoted = log.registers(BANK);
        for event in log.events.iter().filter(|event| event.register >= 17) {
            let (_, begun) = begun.iter().find(|(register, _)| *register == event.register).unwrap();
            quoted.insert(event.register, boot::digest(BANK, &[&[*begun; 32], &event.digests[0].1]));
        }
        log.claims_against(BANK, &quoted).map(|claims| claims.get("dynamic_launch").cloned())
    };
    assert_eq!(claimed(&log, &[(22, 0)]), Ok(None));
    assert_eq!(claimed(&log, &[(22, 0xff)]), Ok(None));
    log.measure(17, EVENT_TAG, b"the launch");
    assert_eq!(claimed(&log, &[(17, 0), (22, 0)]), Ok(Some(json!(true))));
    assert_eq!(claimed(&log, &[(17, 0xff), (22, 0)]), Ok(None));
    assert_eq!(claimed(&log, &[(17, 0xfe), (22, 0)]), Err("binding-mismatch.event-log".into()));
}
