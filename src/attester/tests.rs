//! Attesters over fake trees of devices, and one whole circle: a statement that the verifier accepts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use keygate_forge::keys::{self, SigAlg};
use keygate_forge::nitro::{Nitro, NitroDocument};
use keygate_forge::x509::{Cert, Extension, name, usage};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Endorsements, Evidence, EvidenceKind, NativeBinding, Outcome, RecipientKey, UnixTime,
    Verified, Verifier,
};
use openssl::x509::X509;
use tempfile::TempDir;

use super::*;

const NOW: i64 = 1_790_000_000;

fn wanted() -> Wanted {
    Wanted { report_data: [7; 64], nonce: [8; 32], public_key_der: vec![9; 91], user_data: vec![10; 75], now: NOW }
}

/// A tree with these files in it.
fn tree(files: &[(&str, &[u8])]) -> (TempDir, super::Options) {
    let dir = TempDir::new().unwrap();
    for (path, bytes) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let options = super::Options { root: dir.path().to_owned(), ..super::Options::default() };
    (dir, options)
}

#[test]
fn without_a_device_every_attester_says_what_to_do() {
    let (_dir, options) = tree(&[]);
    for (name, missing) in [
        ("nitro", "dev/nsm"),
        ("snp", "dev/sev-guest"),
        ("tdx", configfs::FOLDER),
        ("sgx", "dev/attestation/user_report_data"),
        ("tpm", "dev/tpmrm0"),
    ] {
        let refused = choose(name, &options).err().unwrap();
        assert_eq!(refused.code(), "dependency-unavailable");
        let text = refused.to_string();
        assert!(text.contains(missing) && (name == "tpm" || text.contains("on this machine")), "{text}");
        assert!(refused.help().starts_with("run "), "{}", refused.help());
    }
    assert!(matches!(choose("auto", &options), Err(AttesterError::Nothing)));
    assert_eq!(choose("tpm9", &options).err().unwrap().code(), "config-invalid");
    assert_eq!(choose("software", &options).err().unwrap().code(), "config-invalid");
}

#[test]
fn auto_takes_the_innermost_hardware_and_never_software_by_itself() {
    let nsm: (&str, &[u8]) = ("dev/nsm", b"");
    let sev: (&str, &[u8]) = ("dev/sev-guest", b"");
    let quote: (&str, &[u8]) = ("dev/attestation/quote", b"q");
    let data: (&str, &[u8]) = ("dev/attestation/user_report_data", b"");
    let tpm: (&str, &[u8]) = ("dev/tpmrm0", b"");
    for (files, kind) in [
        (&[tpm][..], "tpm"),
        (&[tpm, sev][..], "snp"),
        (&[sev][..], "snp"),
        (&[sev, nsm][..], "nitro"),
        (&[sev, nsm, quote, data][..], "sgx"),
    ] {
        let (_dir, options) = tree(files);
        assert_eq!(choose("auto", &options).unwrap().kind(), kind);
    }
}

#[test]
fn gramine_takes_the_report_data_and_gives_the_quote() {
    let (dir, options) = tree(&[
        ("dev/attestation/attestation_type", b"dcap\n"),
        ("dev/attestation/user_report_data", b""),
        ("dev/attestation/quote", b"a quote"),
    ]);
    let attester = choose("sgx", &options).unwrap();
    assert_eq!(attester.evidence(&wanted()).unwrap(), b"a quote");
    assert_eq!(fs::read(dir.path().join("dev/attestation/user_report_data")).unwrap(), [7; 64]);
    fs::write(dir.path().join("dev/attestation/attestation_type"), "none\n").unwrap();
    assert!(attester.evidence(&wanted()).unwrap_err().to_string().contains("`none`"));
}

/// A report folder as the kernel leaves it after one write.
fn folder(changed: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let files =
        [("provider", "tdx_guest\n"), ("inblob", ""), ("outblob", "quote"), ("auxblob", ""), ("generation", "1\n")];
    for (file, text) in files.iter().chain(changed) {
        fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

#[test]
fn a_report_folder_takes_the_data_and_gives_the_report() {
    let dir = folder(&[]);
    let report = configfs::ask(dir.path(), "tdx_guest", &[7; 64]).unwrap();
    assert_eq!(report, configfs::Report { outblob: b"quote".to_vec(), auxblob: Vec::new() });
    assert_eq!(fs::read(dir.path().join("inblob")).unwrap(), [7; 64]);
}

#[test]
fn a_report_folder_of_another_provider_or_writer_gives_none() {
    let refused = |changed: &[(&str, &str)]| {
        configfs::ask(folder(changed).path(), "tdx_guest", &[7; 64]).unwrap_err().to_string()
    };
    assert!(refused(&[("provider", "sev_guest\n")]).contains("`sev_guest`"));
    assert!(refused(&[("generation", "2\n")]).contains("somebody else"));
    assert!(refused(&[("outblob", "")]).contains("empty"));
}

#[test]
fn a_report_folder_under_a_paravisor_is_asked_at_its_floor() {
    let dir = folder(&[("privlevel_floor", "2\n"), ("privlevel", ""), ("generation", "2\n")]);
    configfs::ask(dir.path(), "tdx_guest", &[7; 64]).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("privlevel")).unwrap(), "2");
}

#[test]
fn a_report_folder_is_removed_after_a_failure() {
    // In a fake tree the new folder has no files, so the request fails; nothing may stay behind.
    let (dir, options) = tree(&[("sys/kernel/config/tsm/report/.keep", b"")]);
    let refused = choose("tdx", &options).unwrap().evidence(&wanted()).unwrap_err();
    assert_eq!(refused.code(), "dependency-unavailable");
    let left = fs::read_dir(dir.path().join(configfs::FOLDER)).unwrap().count();
    assert_eq!(left, 1);
}

#[test]
fn a_certificate_table_of_zeroes_is_left_away() {
    assert_eq!(snp::with_table(vec![1, 2], &[0; 4096]), [1, 2]);
    assert_eq!(snp::with_table(vec![1, 2], &[0, 3]), [1, 2, 0, 3]);
}

#[test]
fn the_firmwares_answer_is_checked_before_a_report_is_taken_out() {
    let device = Path::new("/dev/sev-guest");
    let mut answer = vec![0u8; 4_000];
    answer[4..8].copy_from_slice(&1_184u32.to_le_bytes());
    answer[32] = 0xaa;
    let report = sev_guest::checked(device, &answer).unwrap();
    assert_eq!((report.len(), report[0]), (1_184, 0xaa));
    assert!(sev_guest::checked(device, &answer[..1_000]).is_err());
    assert!(sev_guest::checked(device, &[]).is_err());
    answer[0] = 0x16;
    assert!(sev_guest::checked(device, &answer).unwrap_err().to_string().contains("0x16"));
    answer[0] = 0;
    answer[4] += 1;
    assert!(sev_guest::checked(device, &answer).is_err());
}

#[test]
fn devices_that_are_files_fail_and_do_not_panic() {
    let (_dir, options) = tree(&[("dev/nsm", b""), ("dev/sev-guest", b"")]);
    for name in ["nitro", "snp"] {
        let refused = choose(name, &options).unwrap().evidence(&wanted()).unwrap_err();
        assert!(matches!(refused, AttesterError::Device { .. }), "{refused}");
    }
}

#[test]
fn the_security_modules_request_and_answers() {
    let request = nitro::request(&wanted()).unwrap();
    let mut expected = b"\xa1\x6bAttestation\xa3\x69user_data\x58\x4b".to_vec();
    expected.extend([10; 75]);
    expected.extend(b"\x65nonce\x58\x20");
    expected.extend([8; 32]);
    expected.extend(b"\x6apublic_key\x58\x5b");
    expected.extend([9; 91]);
    assert_eq!(request, expected);
    let long = Wanted { user_data: vec![0; 1_025], ..wanted() };
    assert_eq!(nitro::request(&long).unwrap_err().code(), "too-large");

    let document = Nitro::new(NOW).document(&NitroDocument::new());
    let mut answer = b"\xa1\x6bAttestation\xa1\x68document\x59".to_vec();
    answer.extend(u16::try_from(document.len()).unwrap().to_be_bytes());
    answer.extend(&document);
    assert_eq!(nitro::document(&answer).unwrap(), document);
    assert!(nitro::document(b"\xa1\x65Error\x6fInvalidArgument").unwrap_err().contains("`InvalidArgument`"));
    for junk in [&b""[..], b"\xa0", b"\xa1\x6bAttestation\xa0", &answer[..40]] {
        assert_eq!(nitro::document(junk).unwrap_err(), "the answer is not understood");
    }
}

/// An identity file and the root above it.
fn identity(dir: &Path, mode: u32) -> (std::path::PathBuf, Vec<u8>) {
    let (root_key, key) = (keys::p256(), keys::p256());
    let cert = |subject: &str, key: &keys::Key, extensions: Vec<Extension>| Cert {
        serial: vec![5],
        issuer: name(&[("CN", "root")]),
        subject: name(&[("CN", subject)]),
        not_before: NOW - 10,
        not_after: NOW + 10,
        raw_validity: None,
        spki: keys::spki(key),
        extensions,
        algorithm: SigAlg::EcdsaSha256,
    };
    let root = cert("root", &root_key, vec![Extension::authority(None)]).sign(&root_key);
    let leaf = vec![Extension::end_entity(), Extension::key_usage(usage::DIGITAL_SIGNATURE)];
    let leaf = cert("leaf", &key, leaf).sign(&root_key);
    let pem = |der: &[u8]| X509::from_der(der).unwrap().to_pem().unwrap();
    let file = [key.private_key_to_pem_pkcs8().unwrap(), pem(&leaf), pem(&root)].concat();
    let path = dir.join("identity.pem");
    fs::write(&path, file).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (path, root)
}

fn accepted(root: &[u8], bytes: &[u8], native: &NativeBinding) -> Verified {
    let mut anchors = Anchors::none();
    anchors.add("software", EvidenceKind::Software, root).unwrap();
    let outcome = Verifier::new(anchors).verify(
        &Evidence { kind: EvidenceKind::Software, bytes },
        &Binding::Native(Box::new(native.clone())),
        &Endorsements::default(),
        &keygate_verifier::Options::strict(),
        UnixTime::from_secs(NOW),
    );
    match outcome {
        Ok(Outcome::Verified(verified)) => verified,
        other => panic!("{other:?}"),
    }
}

fn native() -> NativeBinding {
    let recipient = RecipientKey::from_spki(&keys::spki(&keys::p256())).unwrap();
    NativeBinding::new([8; 32], "kms.example", &[4; 32], recipient, b"")
}

#[test]
fn a_new_identity_is_written_once_read_again_and_accepted_under_its_root() {
    let (dir, mut options) = tree(&[("proc/sys/kernel/hostname", b"here\n")]);
    let path = dir.path().join("new.pem");
    let (identity, root) = SoftwareIdentity::make(&"a very long name ".repeat(9), NOW, 3_600).unwrap();
    identity.write(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(identity.write(&path).is_err(), "a file that exists is never overwritten");

    options.software_identity = Some(path);
    options.software_measurement = Some("0a".repeat(48));
    let native = native();
    let bytes = choose("software", &options).unwrap();
    let bytes = bytes.evidence(&Wanted { report_data: *native.report_data(), ..wanted() }).unwrap();
    assert_eq!(accepted(&root, &bytes, &native).measurements(), ["0a".repeat(48)]);

    options.software_measurement = Some("0a".repeat(47));
    let refused = choose("software", &options).err().unwrap();
    assert_eq!(refused.help(), "a measurement has 96 hex digits");
}

#[test]
fn a_software_statement_goes_round_and_is_accepted() {
    let (dir, mut options) = tree(&[("proc/sys/kernel/hostname", b"here\n"), ("proc/self/exe", b"a program")]);
    let (path, root) = identity(dir.path(), 0o600);
    options.software_identity = Some(path);
    let native = native();
    let attester = choose("auto", &options).unwrap();
    assert_eq!(attester.kind(), "software");
    let bytes = attester.evidence(&Wanted { report_data: *native.report_data(), ..wanted() }).unwrap();

    let verified = accepted(&root, &bytes, &native);
    assert_eq!(verified.bound_key(), &BoundKey::Present(native.recipient().clone()));
    assert_eq!(verified.claims()["software"]["host"], "here");
    assert_eq!(verified.measurements(), [hex::encode(openssl::sha::sha384(b"a program"))]);
}

#[test]
fn cfg_02_an_identity_that_others_may_read_or_that_is_none_is_refused() {
    let (dir, mut options) = tree(&[]);
    options.software_measurement = Some("0a".repeat(48));
    options.software_host = Some("here".to_owned());
    let (path, _) = identity(dir.path(), 0o640);
    options.software_identity = Some(path.clone());
    assert!(choose("software", &options).err().unwrap().to_string().contains("others may read it"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(choose("software", &options).is_ok());

    let good = fs::read_to_string(&path).unwrap();
    let (key, chain) = good.split_at(good.find("-----BEGIN CERT").unwrap());
    let pem = |key: keys::Key| String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    for (file, detail) in [
        (chain.to_owned(), "no private ec key"),
        (key.to_owned(), "no certificate"),
        (pem(keys::p384()) + chain, "not on p-256"),
        (pem(keys::p256()) + chain, "not of the key"),
    ] {
        fs::write(&path, file).unwrap();
        let refused = choose("software", &options).err().unwrap();
        assert_eq!(refused.code(), "config-invalid");
        assert!(refused.to_string().contains(detail), "{refused}");
    }
}
