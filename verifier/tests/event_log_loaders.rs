//! What boot loaders measured, and what Windows measured about itself: claims of real logs, and their twins.

mod boot;
mod support;

use boot::{EVENT_TAG, IPL, Log, SEPARATOR, tagged, wide};
use keygate_verifier::logs::{Bank, EventLog, LogKind};
use serde_json::{Map, Value, json};
use support::{case, vector, vectors_root};

const BANK: Bank = Bank::Sha256;

fn strings(claims: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = claims.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// GRUB's log of one boot.
fn grub() -> Log {
    let mut log = Log::usual(&[BANK]);
    for command in ["set root=hd0,gpt1", "linux /vmlinuz ro quiet", "initrd /initrd.img"] {
        log.extend(8, IPL, command.as_bytes(), format!("grub_cmd: {command}\0").as_bytes());
    }
    log.extend(9, IPL, b"a kernel", b"/vmlinuz\0");
    log.extend(8, IPL, b"/vmlinuz ro quiet", b"kernel_cmdline: /vmlinuz ro quiet\0");
    log
}

#[test]
fn a_command_line_is_one_whatever_the_log_calls_it() {
    let log = grub();
    let claims = log.claims(BANK).unwrap();
    assert_eq!(strings(&claims, "kernel_command_lines"), ["/vmlinuz ro quiet"]);
    assert_eq!(strings(&claims, "grub_commands").len(), 4);
    assert_eq!(strings(&claims, "boot_files"), [hex::encode(boot::digest(BANK, &[b"a kernel"]))]);
    // Another kernel ran; the log calls its line a command, and a harmless command the line.
    let mut other = log.clone();
    other.events.truncate(other.events.len() - 5);
    for (text, label) in [
        ("/vmlinuz ro quiet", "kernel_cmdline: "),
        ("linux /evil init=/bin/sh", "grub_cmd: "),
        ("/evil init=/bin/sh", "grub_cmd: "),
    ] {
        other.extend(8, IPL, text.as_bytes(), format!("{label}{text}\0").as_bytes());
    }
    assert_eq!(
        strings(&other.claims(BANK).unwrap(), "kernel_command_lines"),
        ["/vmlinuz ro quiet", "/evil init=/bin/sh"]
    );
    // An event that does not show its text may be any command: no list is claimed.
    let mut hidden = other.clone();
    let quoted = hidden.registers(BANK);
    let last = hidden.events.len() - 2;
    hidden.events[last].data = b"grub_cmd: true\0".to_vec();
    let claims = hidden.claims_against(BANK, &quoted).unwrap();
    assert!(!claims.contains_key("kernel_command_lines") && !claims.contains_key("grub_commands"));
}

#[test]
fn texts_in_every_form_that_loaders_measure() {
    let line = wide("root=/dev/sda1 quiet\0");
    let mut log = Log::usual(&[BANK]);
    log.measure(12, IPL, &line);
    // systemd-boot logged one byte less than it measured.
    log.extend(8, IPL, &line, &line[..line.len() - 1]);
    log.extend(8, IPL, b"linux /v\0", b"grub_cmd linux /v\0x");
    log.extend(8, IPL, b"/v\0", b"grub_kernel_cmdline /v\0x");
    let claims = log.claims(BANK).unwrap();
    assert_eq!(strings(&claims, "kernel_command_lines"), ["root=/dev/sda1 quiet", "root=/dev/sda1 quiet", "/v"]);
    // More text than a claim carries: none.
    for _ in 0..600 {
        log.extend(8, IPL, b"true", b"grub_cmd: true\0");
    }
    let claims = log.claims(BANK).unwrap();
    assert!(claims.contains_key("kernel_command_lines") && !claims.contains_key("grub_commands"));
}

#[test]
fn real_logs_show_their_command_lines() {
    if vectors_root().is_none() {
        return support::skipped("logs of boot loaders", 8);
    }
    for (name, bank, beginning, count) in [
        ("log-arch-linux-workstation", Bank::Sha256, "initrd=\\intel-ucode.img", 1),
        ("log-bootorder", Bank::Sha256, "/boot/vmlinuz-5.4.0-45-generic root=PARTUUID=", 1),
        ("log-sd-boot-fedora37", Bank::Sha256, " console=ttyS0", 2),
        ("log-keylime-uefi", Bank::Sha256, "(hd0,gpt2)/vmlinuz-6.15.4", 1),
        ("log-ubuntu-1804-amd-sev", Bank::Sha384, "/boot/vmlinuz-", 1),
        ("log-rhel8-uefi", Bank::Sha384, "(hd0,gpt2)/boot/vmlinuz-4.18", 1),
    ] {
        let bytes = vector(&format!("evidence/eventlog/{name}.bin"));
        let log = EventLog::parse(&bytes, LogKind::Tpm).unwrap();
        let quoted = log.replay(bank).unwrap();
        let claims = log.check(bank, &quoted).unwrap().claims().unwrap();
        let lines = strings(&claims, "kernel_command_lines");
        assert!(lines[0].starts_with(beginning), "{name}: {lines:?}");
        assert_eq!(lines.len(), count, "{name}: {lines:?}");
        assert!(claims["application_count"].as_u64().unwrap() <= 4, "{name}");
    }
    // A unified kernel image in a TDX guest: sections by their names. GRUB there shares a register with files: no list is whole.
    let claims = |name: &str| {
        let bytes = vector(&format!("evidence/eventlog/{name}.bin"));
        let log = EventLog::parse(&bytes, LogKind::Ccel).unwrap();
        let quoted = log.replay(Bank::Sha384).unwrap();
        log.check(Bank::Sha384, &quoted).unwrap().claims().unwrap()
    };
    let gke = claims("ccel-data-grub-gke");
    let sections: Vec<&String> = gke["uki"]["sections"].as_object().unwrap().keys().collect();
    assert_eq!(sections, ["linux", "osrel", "cmdline", "initrd", "uname", "sbat"]);
    let cos = claims("ccel-gcp-cos113");
    assert!(!cos.contains_key("kernel_command_lines"));
    assert_eq!(cos["secure_boot"], false);
    assert_eq!(strings(&cos, "boot_files").len(), 5);
    assert_eq!(cos["application_count"], 2);
}

/// The log of a Windows machine of one cloud, with the separators that its old firmware left out.
fn windows() -> Option<Log> {
    vectors_root()?;
    let mut log = Log::read_old(&vector("evidence/tpm/tpm-gcp-windows-sha1/eventlog.bin"));
    for register in [0, 4, 5] {
        log.measure(register, SEPARATOR, &[0; 4]);
        let separator = log.events.pop().unwrap();
        log.events.insert(6, separator);
    }
    Some(log)
}

#[test]
fn windows_says_what_it_decided() {
    let Some(log) = windows() else { return support::skipped("the log of Windows", 1) };
    let claims = log.claims(Bank::Sha1).unwrap();
    let windows = claims["windows"].as_object().unwrap();
    for (name, value) in [
        ("boot_debugging", false),
        ("kernel_debug", false),
        ("test_signing", false),
        ("flight_signing", false),
        ("safe_mode", false),
        ("winpe", false),
        ("code_integrity", true),
    ] {
        assert_eq!(windows[name], value, "{name}");
    }
    assert!(!windows.contains_key("vsm_required"), "this machine has no virtualization-based security");
    assert_eq!(windows["hypervisor_launch_type"], 0);
    assert_eq!(windows["data_execution_prevention"], 1);
    assert_eq!(windows["application_svns"], json!([1, 1]));
    assert_eq!(windows["transfer_control"], json!([1]));
    assert_eq!(windows["bitlocker_unlock"], json!([0, 0]));
    let modules = windows["modules"].as_array().unwrap();
    assert!(modules.len() > 60, "{}", modules.len());
    assert_eq!(modules[0]["path"], "\\Windows\\system32\\winload.efi");
    assert_eq!(modules[0]["validated"], true);
    assert_eq!(modules[0]["svn"], 1);
    assert_eq!(claims["application_count"], 1);
    assert_eq!(claims["secure_boot"], true);
    // What is appended when Windows runs counts for nothing; without the end of the register nothing is claimed.
    let mut later = log.clone();
    later.measure(12, EVENT_TAG, &tagged(0x4001_0001, &tagged(0x0005_0001, &[1])));
    assert_eq!(later.claims(Bank::Sha1).unwrap()["windows"], claims["windows"]);
    for register in [12, 13, 14] {
        let mut open = log.clone();
        open.events.retain(|event| !(event.register == register && event.data == b"WBCL"));
        assert!(!open.claims(Bank::Sha1).unwrap().contains_key("windows"), "{register}");
    }
    // The same setting with a debugger: measured so, it is claimed so; only shown so, nothing is claimed.
    let mut debugged = log.clone();
    let quoted = log.registers(Bank::Sha1);
    let event = debugged.find(|event| event.register == 12 && event.kind == EVENT_TAG);
    let at = event.data.windows(9).position(|w| *w == [1, 0, 4, 0, 1, 0, 0, 0, 0]).unwrap() + 8;
    event.data[at] = 1;
    assert!(!debugged.claims_against(Bank::Sha1, &quoted).unwrap().contains_key("windows"));
    let data = debugged.find(|event| event.register == 12 && event.kind == EVENT_TAG).data.clone();
    debugged.find(|event| event.register == 12 && event.kind == EVENT_TAG).digests[0].1 =
        boot::digest(Bank::Sha1, &[&data]);
    assert_eq!(debugged.claims(Bank::Sha1).unwrap()["windows"]["boot_debugging"], true);
    let flags = |log: &Log| log.checked(Bank::Sha1, |log| log.azure_flags().unwrap());
    assert_eq!(flags(&debugged)["bootDebuggingDisabled"], false);
    let fine = flags(&log);
    for (name, value) in [
        ("secureBootEnabled", true),
        ("bootDebuggingDisabled", true),
        ("notSafeMode", true),
        ("notWinPE", true),
        ("vbsEnabled", false),
        ("iommuEnabled", false),
    ] {
        assert_eq!(fine[name], value, "{name}");
    }
}

#[test]
fn events_stand_in_azures_form() {
    let Some(log) = windows() else { return support::skipped("the log of Windows", 1) };
    let events = log.checked(Bank::Sha1, |log| log.azure_events(7).unwrap());
    let events = events["Events"].as_array().unwrap();
    assert_eq!(events.len(), log.events.len());
    assert!(events.iter().zip(7..).all(|(event, sequence)| event["EventSeq"] == sequence));
    let by = |kind: &str| -> Vec<&Value> { events.iter().filter(|event| event["EventTypeString"] == kind).collect() };
    let configuration = by("EV_EFI_VARIABLE_DRIVER_CONFIG");
    let names: Vec<&str> =
        configuration.iter().map(|event| event["ProcessedData"]["UnicodeName"].as_str().unwrap()).collect();
    assert_eq!(names, ["SecureBoot", "PK", "KEK", "db", "dbx"]);
    assert_eq!(configuration[0]["ProcessedData"]["VariableData"], "AQ");
    assert_eq!(configuration[0]["ProcessedData"]["VariableGuid"], "8BE4DF61-93CA-11D2-AA0D-00E098032B8C");
    assert_eq!(configuration[0]["EventType"], 0x8000_0001_u32);
    let tagged: Vec<&Value> =
        by("EV_EVENT_TAG").into_iter().filter(|event| event["PcrIndex"] == 12 || event["PcrIndex"] == 13).collect();
    assert_eq!(tagged.len(), 4);
    for event in &tagged {
        let boundary = &event["ProcessedData"]["EVENT_TRUSTBOUNDARY"];
        assert_eq!(boundary["EVENT_BOOTDEBUGGING"], false);
        assert_eq!(boundary["EVENT_CODEINTEGRITY"], true);
        assert_eq!(boundary["EVENT_BITLOCKER_UNLOCK"]["Value"], 0);
        assert_eq!(boundary["EVENT_APPLICATION_SVN"], 1);
    }
    let modules =
        tagged[3]["ProcessedData"]["EVENT_TRUSTBOUNDARY"]["EVENT_LOADEDMODULE_AGGREGATION"].as_array().unwrap();
    assert!(modules.iter().all(|module| module["EVENT_IMAGEVALIDATED"] == true));
    assert!(modules.iter().any(|module| module["EVENT_FILEPATH"] == "\\Windows\\System32\\drivers\\WdBoot.sys"
        || module["EVENT_FILEPATH"].as_str().unwrap().to_lowercase().ends_with("wdboot.sys")));
    assert_eq!(by("EV_SEPARATOR").len(), 7);
    // One event of Windows that hides its payload: none of them says anything, and a policy finds nothing.
    let mut hidden = log.clone();
    let quoted = log.registers(Bank::Sha1);
    hidden.find(|event| event.register == 12 && event.kind == EVENT_TAG).data.push(0);
    let bytes = hidden.bytes();
    let checked = EventLog::parse(&bytes, LogKind::Tpm).unwrap().check(Bank::Sha1, &quoted).unwrap();
    assert!(!checked.azure_events(0).unwrap().to_string().contains("EVENT_TRUSTBOUNDARY"));
    assert_eq!(checked.azure_flags().unwrap()["bootDebuggingDisabled"], false);
    // The log of a TDX guest has no such form.
    let Some(_) = case("tdx-v4-00806f050000-00b2526a-a") else { return };
    let bytes = vector("evidence/eventlog/ccel-gcp-cos113.bin");
    let log = EventLog::parse(&bytes, LogKind::Ccel).unwrap();
    let quoted = log.replay(Bank::Sha384).unwrap();
    let refused = log.check(Bank::Sha384, &quoted).unwrap().azure_events(0).unwrap_err();
    assert_eq!(refused.full_code(), "unsupported.event-log");
}

#[test]
fn settings_of_virtualization_based_security() {
    let boundary = |values: &[(u32, &[u8])]| {
        let inside: Vec<u8> = values.iter().flat_map(|(tag, data)| tagged(*tag, data)).collect();
        tagged(0x4001_0001, &inside)
    };
    let make = |vsm: &[u8], twice: bool| {
        let mut log = Log::usual(&[BANK]);
        let idk = [
            &1_u32.to_le_bytes()[..],
            &2048_u32.to_le_bytes(),
            &3_u32.to_le_bytes(),
            &256_u32.to_le_bytes(),
            &[1, 0, 1],
            &[0xc1; 256],
        ]
        .concat();
        log.measure(
            12,
            EVENT_TAG,
            &boundary(&[(0x000a_0001, vsm), (0x000a_0003, &[1]), (0x0005_0020, &idk), (0x000a_0007, &[1; 1])]),
        );
        if twice {
            log.measure(13, EVENT_TAG, &boundary(&[(0x000a_0001, &[0])]));
        }
        for register in [12, 13, 14] {
            log.measure(register, SEPARATOR, b"WBCL");
        }
        log
    };
    let log = make(&[1], false);
    let claims = log.claims(BANK).unwrap();
    assert_eq!(claims["windows"]["vsm_required"], true);
    assert_eq!(claims["windows"]["hvci_policy"], 1);
    assert_eq!(claims["windows"]["vsm_encryption_key"]["e"], "AQAB");
    assert_eq!(claims["windows"]["vsm_encryption_key"]["n"].as_str().unwrap().len(), 342);
    let flags = |log: &Log| log.checked(BANK, |log| log.azure_flags().unwrap());
    assert_eq!(flags(&log)["vbsEnabled"], true);
    assert_eq!(flags(&log)["iommuEnabled"], true);
    assert_eq!(flags(&log)["bootDebuggingDisabled"], false, "nothing says so");
    // Zero, an odd value, one boundary that says no: each is no.
    for other in [make(&[0], false), make(&[2], false), make(&[], false), make(&[1], true)] {
        assert_eq!(other.claims(BANK).unwrap()["windows"]["vsm_required"], false);
        assert_eq!(flags(&other)["vbsEnabled"], false);
    }
    // Too deep, in an event that was measured.
    let mut deep = Log::usual(&[BANK]);
    let nested = (0..9).fold(tagged(1, &[0]), |inner, _| tagged(0x4001_0001, &inner));
    deep.measure(12, EVENT_TAG, &nested);
    assert_eq!(deep.claims(BANK), Err("too-large.sipa".into()));
}
