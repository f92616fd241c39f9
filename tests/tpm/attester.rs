//! What the attester keeps, what it leaves behind, and what it says where something is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keygate::attester::tpm::{AkKind, AkSource, LogSource};
use keygate::attester::{AttesterError, choose};
use serde_json::Value;

use crate::quoted::{attester, document, options, wanted};
use crate::tpm_stage::SoftTpm;

#[test]
fn nothing_stays_loaded_after_fifty_runs() {
    let Some(tpm) = SoftTpm::start() else { return };
    let good = attester(&tpm, |options| options.registers = Some("sha256:0".to_owned()));
    let bad = attester(&tpm, |options| options.event_log = LogSource::File("/nonexistent/log".into()));
    for round in 0..25 {
        good.evidence(&wanted()).unwrap();
        let refused = bad.evidence(&wanted()).unwrap_err();
        assert!(matches!(refused, AttesterError::Log { .. }), "{round}: {refused}");
    }
    good.resident_key().unwrap();
    assert_eq!(tpm.loaded(), [0_u32; 0]);
}

#[test]
fn the_attestation_key_is_made_once_kept_from_others_and_loaded_after_a_restart() {
    let Some(mut tpm) = SoftTpm::start() else { return };
    let key = |tpm: &SoftTpm| document(&attester(tpm, |_| {}).evidence(&wanted()).unwrap())["ak"].clone();
    let first = key(&tpm);
    let file = tpm.folder.path().join("state/ak-ecc.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    tpm.restart();
    assert_eq!(key(&tpm), first);
    let kept = fs::read_to_string(&file).unwrap();

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = attester(&tpm, |_| {}).evidence(&wanted()).unwrap_err();
    assert_eq!((refused.code(), refused.to_string().contains("others may read it")), ("config-invalid", true));
    for damage in
        ["", "{}", &kept.replace("public", "Public"), &kept[..kept.len() - 1], &kept.replacen("ACM", "AAE", 1)]
    {
        fs::remove_file(&file).unwrap();
        fs::write(&file, damage).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = attester(&tpm, |_| {}).evidence(&wanted()).unwrap_err();
        assert!(refused.to_string().contains("it is damaged"), "{damage}: {refused}");
    }
}

#[test]
fn a_key_of_another_tpm_is_not_replaced_behind_anybodys_back() {
    let (Some(tpm), Some(other)) = (SoftTpm::start(), SoftTpm::start()) else { return };
    attester(&tpm, |_| {}).evidence(&wanted()).unwrap();
    let folder = tpm.folder.path().join("state");
    let elsewhere = |options: &mut keygate::attester::tpm::Options| {
        options.ak = AkSource::Own { kind: AkKind::Ecc, folder: folder.clone() };
    };
    let refused = attester(&other, elsewhere).evidence(&wanted()).unwrap_err();
    assert!(refused.to_string().contains("no longer loads"), "{refused}");
    assert!(refused.help().contains("keygate tpm enrol"), "{}", refused.help());
    assert_eq!(other.loaded(), [0_u32; 0]);

    // Enrolling says so, makes another and puts the old one aside.
    let options = options(&other, elsewhere);
    let enrolment = keygate::attester::tpm::Enrolment::begin(&options.root, &options.tpm).unwrap();
    assert_eq!(enrolment.ak_standing(), "replaced");
    assert!(folder.join("ak-ecc.replaced").exists());
    attester(&other, elsewhere).evidence(&wanted()).unwrap();
}

#[test]
fn a_key_that_somebody_else_put_into_the_tpm_quotes_with_its_certificates() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.tool(
        "tpm2_createprimary",
        &[
            "-C",
            "e",
            "-g",
            "sha256",
            "-G",
            "ecc256:ecdsa-sha256:null",
            "-c",
            "p.ctx",
            "-a",
            "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign",
        ],
    );
    tpm.tool("tpm2_evictcontrol", &["-C", "o", "-c", "p.ctx", "0x81010020"]);
    tpm.flush();
    let given = |certificates: Option<std::path::PathBuf>| {
        attester(&tpm, |options| options.ak = AkSource::Given { handle: 0x8101_0020, certificates })
    };
    let one: Value = document(&given(None).evidence(&wanted()).unwrap());
    assert!(one.get("ak_certificate").is_none());
    let pem = [fs::read(tpm.issuer()).unwrap(), fs::read(tpm.root()).unwrap()].concat();
    let file = tpm.folder.path().join("chain.pem");
    fs::write(&file, pem).unwrap();
    let with = document(&given(Some(file.clone())).evidence(&wanted()).unwrap());
    assert!(with["ak_certificate"].is_string());
    assert_eq!(with["ak_chain"].as_array().unwrap().len(), 1);
    assert_eq!(with["ak"], one["ak"]);
    fs::write(&file, "no certificate").unwrap();
    assert_eq!(given(Some(file)).evidence(&wanted()).unwrap_err().code(), "config-invalid");
    let absent = attester(&tpm, |options| options.ak = AkSource::Given { handle: 0x8101_0021, certificates: None });
    assert!(absent.evidence(&wanted()).unwrap_err().to_string().contains("nothing under this handle"));
    assert_eq!(tpm.loaded(), [0_u32; 0]);
}

#[test]
fn logs_are_the_kernels_or_those_that_are_named() {
    let Some(tpm) = SoftTpm::start() else { return };
    let log = keygate_forge::tcg::Log::usual().bytes();
    let named = tpm.folder.path().join("log");
    fs::write(&named, &log).unwrap();
    let event_log = |change: &dyn Fn(&mut keygate::attester::tpm::Options)| {
        document(&attester(&tpm, |options| change(options)).evidence(&wanted()).unwrap()).get("event_log").cloned()
    };
    let source = LogSource::File(named.clone());
    assert_eq!(
        event_log(&|options| options.event_log = source.clone()).map(|log| crate::quoted::bytes(&log)),
        Some(log.clone())
    );
    assert_eq!(event_log(&|_| {}), None);
    let kernels = tpm.folder.path().join("sys/kernel/security/tpm0/binary_bios_measurements");
    fs::create_dir_all(kernels.parent().unwrap()).unwrap();
    fs::copy(&named, &kernels).unwrap();
    assert_eq!(event_log(&|_| {}).map(|log| crate::quoted::bytes(&log)), Some(log));
    assert_eq!(event_log(&|options| options.event_log = LogSource::None), None);
    fs::write(&kernels, vec![0; 384 * 1024 + 1]).unwrap();
    let refused = attester(&tpm, |_| {}).evidence(&wanted()).unwrap_err();
    assert!(refused.to_string().contains("more than 393216 bytes") && refused.help().contains("--event-log none"));
}

#[test]
fn auto_takes_a_tpm_that_is_named_and_says_where_none_is() {
    let Some(tpm) = SoftTpm::start() else { return };
    assert_eq!(choose("auto", &options(&tpm, |_| {})).unwrap().kind(), "tpm");
    let nowhere = options(&tpm, |options| options.address = None);
    assert!(matches!(choose("auto", &nowhere), Err(AttesterError::Nothing)));
    let refused = choose("tpm", &nowhere).err().unwrap();
    assert_eq!(refused.code(), "dependency-unavailable");
    assert!(refused.to_string().contains("dev/tpmrm0") && refused.help().contains("--tpm"), "{refused}");
    for (address, code) in [("tabrmd:", "config-invalid"), ("swtpm:path=/nonexistent", "dependency-unavailable")] {
        let wrong = options(&tpm, |options| options.address = Some(address.to_owned()));
        assert_eq!(choose("tpm", &wrong).err().unwrap().code(), code, "{address}");
    }
    let wrong = options(&tpm, |options| options.registers = Some("sha256:99".to_owned()));
    assert_eq!(choose("tpm", &wrong).err().unwrap().code(), "config-invalid");
}
