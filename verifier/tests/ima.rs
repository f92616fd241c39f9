//! IMA lists against PCR 10. Catalogue of bad inputs, row TPM-31.

mod support;

use keygate_verifier::logs::{AllowList, Bank, ImaLog, Registers};
use serde_json::json;
use support::{cases, unhex};

/// One entry to make: template, label, digest, name, third field.
type Made = (&'static str, &'static str, Vec<u8>, &'static str, Option<Vec<u8>>);

fn fields((template, label, digest, name, third): &Made) -> Vec<u8> {
    if *template == "ima" {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(256, 0);
        return [&digest[..], &padded].concat();
    }
    let sized = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat();
    let mut bytes = sized(&[label.as_bytes(), &[0], digest].concat());
    bytes.extend(sized(&[name.as_bytes(), &[0]].concat()));
    if let Some(third) = third {
        bytes.extend(sized(third));
    }
    bytes
}

fn text(entries: &[Made]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (template, label, digest, name, third) = entry;
        let sha1 = hex::encode(Bank::Sha1.digest(&[&fields(entry)]));
        let third = third.as_ref().map(|third| format!(" {}", hex::encode(third))).unwrap_or_default();
        bytes.extend(format!("10 {sha1} {template} {label}{} {name}{third}\n", hex::encode(digest)).bytes());
    }
    bytes
}

fn binary(entries: &[Made]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat();
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(10_u32.to_le_bytes());
        bytes.extend(Bank::Sha1.digest(&[&fields(entry)]));
        bytes.extend(sized(entry.0.as_bytes()));
        if entry.0 == "ima" {
            bytes.extend(&entry.2);
            bytes.extend(sized(entry.3.as_bytes()));
        } else {
            bytes.extend(sized(&fields(entry)));
        }
    }
    bytes
}

/// PCR 10 after entries: by the bank's own digests, or SHA-1 filled up.
fn pcr(entries: &[Made], bank: Bank, padded: bool) -> Vec<u8> {
    entries.iter().fold(vec![0; bank.size()], |value, entry| {
        let mut measured = if padded { Bank::Sha1 } else { bank }.digest(&[&fields(entry)]);
        measured.resize(bank.size(), 0);
        bank.digest(&[&value, &measured])
    })
}

fn quoted(value: Vec<u8>) -> Registers {
    Registers::from([(10, value)])
}

fn verdict(bytes: &[u8], bank: Bank, registers: &Registers) -> Result<u64, String> {
    ImaLog::parse(bytes)
        .and_then(|log| log.check(bank, registers))
        .map(|files| files.claims()["entries"].as_u64().unwrap())
        .map_err(|refused| refused.full_code())
}

fn every_template() -> Vec<Made> {
    let sha256 = |n: u8| vec![n; 32];
    let certificate = certificate();
    let digest = Bank::Sha256.digest(&[&certificate]);
    let version = b"6.1.0".to_vec();
    vec![
        ("ima-ng", "sha256:", sha256(1), "boot_aggregate", None),
        ("ima", "", vec![2; 20], "/bin/sh", None),
        ("ima-ng", "sha1:", vec![3; 20], "/sbin/init", None),
        ("ima-sig", "sha256:", sha256(4), "/usr/bin/signed", Some(vec![3, 2, 4, 0])),
        ("ima-sig", "sha256:", sha256(5), "/usr/bin/unsigned", Some(Vec::new())),
        ("ima-ngv2", "ima:sha256:", sha256(6), "/usr/bin/new", None),
        ("ima-sigv2", "verity:sha256:", sha256(7), "/usr/bin/tree", Some(vec![1])),
        ("ima-buf", "sha256:", Bank::Sha256.digest(&[&version]), "kernel_version", Some(version)),
        ("ima-buf", "sha256:", digest, ".ima", Some(certificate)),
    ]
}

/// A certificate of one key for `CN=IMA test`.
fn certificate() -> Vec<u8> {
    use openssl::asn1::Asn1Time;
    use openssl::hash::MessageDigest;
    use openssl::x509::{X509Builder, X509NameBuilder};
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = openssl::pkey::PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "IMA test").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(1_700_000_000).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(1_900_000_000).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

#[test]
fn the_list_of_the_manifest_gives_its_register() {
    for case in cases(&["ima-log"]) {
        let bytes = case.file("evidence");
        let log = ImaLog::parse(&bytes).unwrap();
        let value = unhex(case.claims()["pcr10_sha1"].as_str().unwrap());
        assert_eq!(log.replay(Bank::Sha1), value, "{}", case.id);
        assert_eq!(log.len() as u64, case.claims()["entries"].as_u64().unwrap());
        assert_eq!(verdict(&bytes, Bank::Sha1, &quoted(value.clone())), Ok(826));
        println!("{:44} sha1    {:3} entries believed", case.id, log.len());
        let mut other = value;
        other[0] ^= 1;
        assert_eq!(verdict(&bytes, Bank::Sha1, &quoted(other)), Err("binding-mismatch.ima-log".into()));
        for bank in [Bank::Sha256, Bank::Sha384] {
            assert_eq!(verdict(&bytes, bank, &quoted(log.replay(bank))), Ok(826));
        }
    }
}

#[test]
fn every_template_in_both_forms_and_every_bank() {
    let made = every_template();
    let count = made.len() as u64;
    for bytes in [text(&made), binary(&made)] {
        for bank in Bank::ALL {
            assert_eq!(verdict(&bytes, *bank, &quoted(pcr(&made, *bank, false))), Ok(count), "{}", bank.as_str());
        }
        assert_eq!(verdict(&bytes, Bank::Sha256, &quoted(pcr(&made, Bank::Sha256, true))), Ok(count));
        let log = ImaLog::parse(&bytes).unwrap();
        let files = log.check(Bank::Sha256, &quoted(pcr(&made, Bank::Sha256, true))).unwrap();
        let claims = files.claims();
        assert_eq!(claims["padded_sha1"], true);
        assert_eq!(claims["boot_aggregate"], format!("sha256:{}", hex::encode([1; 32])));
        assert_eq!(claims["keyrings"][0]["keyring"], ".ima");
        assert_eq!(claims["keyrings"][0]["subject"], "CN=IMA test");
        let events = files.azure_events(40);
        assert_eq!(
            events[0],
            json!({
                "EventSeq": 40, "EventType": 0, "EventTypeString": "IMA_MEASUREMENT_EVENT", "PcrIndex": 10,
                "ProcessedData": { "KernelVersion": "6.1.0", "Keyring": ".ima", "CertificateSubject": "CN=IMA test" },
            })
        );
    }
    // A buffer that is not what the digest is of: no key is claimed.
    let mut other = every_template();
    other[8].2 = vec![9; 32];
    let bytes = text(&other);
    let files = ImaLog::parse(&bytes).unwrap().check(Bank::Sha256, &quoted(pcr(&other, Bank::Sha256, false))).unwrap();
    assert!(!files.claims().contains_key("keyrings") && files.azure_events(0).is_empty());
}

#[test]
fn tpm_31_lists_that_do_not_belong_to_the_quote() {
    let made = every_template();
    let mismatch = Err("binding-mismatch.ima-log".to_owned());
    for form in [text, binary] {
        let bytes = form(&made);
        // The list went on growing: a beginning of it is quoted, and the rest is not believed.
        for count in 1..=made.len() {
            let files = ImaLog::parse(&bytes).unwrap();
            let files = files.check(Bank::Sha256, &quoted(pcr(&made[..count], Bank::Sha256, false))).unwrap();
            assert_eq!(files.claims()["entries"], count);
            assert_eq!(files.claims()["entries_not_quoted"], made.len() - count);
        }
        // Never the other way round, and never from the middle.
        let whole = quoted(pcr(&made, Bank::Sha256, false));
        assert_eq!(verdict(&form(&made[..made.len() - 1]), Bank::Sha256, &whole), mismatch);
        assert_eq!(verdict(&form(&made[1..]), Bank::Sha256, &whole), mismatch);
        assert_eq!(verdict(&bytes, Bank::Sha256, &quoted(vec![0; 32])), mismatch, "nothing was ever measured");
        assert_eq!(verdict(&bytes, Bank::Sha256, &Registers::new()), mismatch, "not quoted");
        // The two forms of kernels in one list.
        let first = pcr(&made[..1], Bank::Sha256, true);
        let mixed = Bank::Sha256.digest(&[&first, &Bank::Sha256.digest(&[&fields(&made[1])])]);
        assert_eq!(verdict(&bytes, Bank::Sha256, &quoted(mixed)), mismatch);
        // One name changed.
        let mut other = every_template();
        other[3].3 = "/usr/bin/another";
        assert_eq!(verdict(&form(&other), Bank::Sha256, &whole), mismatch);
    }
    // Fields that do not have the digest that the list shows, where that digest counts.
    let mut lines = String::from_utf8(text(&made)).unwrap();
    lines = lines.replace("/sbin/init", "/sbin/evil");
    let padded = quoted(pcr(&made, Bank::Sha256, true));
    assert_eq!(verdict(lines.as_bytes(), Bank::Sha256, &padded), mismatch);
    assert_eq!(verdict(lines.as_bytes(), Bank::Sha1, &quoted(pcr(&made, Bank::Sha1, false))), mismatch);
}

#[test]
fn tpm_31_violations_and_what_no_kernel_writes() {
    let code = |bytes: &[u8]| ImaLog::parse(bytes).map(|log| log.len()).unwrap_err().full_code();
    let zeros = "0".repeat(40);
    let digest = "11".repeat(32);
    assert_eq!(code(format!("10 {zeros} ima-ng sha256:{digest} /bin/sh\n").as_bytes()), "malformed.ima-violation");
    let good = text(&every_template());
    assert!(ImaLog::parse(&good).is_ok());
    for (bad, wanted) in [
        (String::new(), "malformed.ima-log"),
        (format!("10 {digest} ima-ng sha256:{digest} /bin/sh\n"), "malformed.ima-log"),
        (format!("11 {} ima-ng sha256:{digest} /bin/sh\n", "1".repeat(40)), "unsupported.ima-log"),
        (format!("10 {} ima-xx sha256:{digest} /bin/sh\n", "1".repeat(40)), "unsupported.ima-template"),
        (format!("10 {} ima-ng sm3-256:{digest} /bin/sh\n", "1".repeat(40)), "unsupported.ima-algorithm"),
        (format!("10 {} ima-ng sha1:{digest} /bin/sh\n", "1".repeat(40)), "malformed.ima-log"),
        (format!("10 {} ima-ng {digest} /bin/sh\n", "1".repeat(40)), "malformed.ima-log"),
        (format!("10 {} ima-ng sha256:{digest} \n", "1".repeat(40)), "malformed.ima-log"),
        (format!("10 {} ima-ng sha256:{digest} /bin/sh", "1".repeat(40)), "malformed.ima-log"),
        (format!("10 {} ima-sig sha256:{digest} /bin/sh xyz\n", "1".repeat(40)), "malformed.ima-log"),
        (format!("10 {} ima {digest} /bin/sh\n", "1".repeat(40)), "malformed.ima-log"),
        (format!("10 {} ima-ng sha256:{digest} /bin/{}\n", "1".repeat(40), "x".repeat(4_096)), "malformed.ima-log"),
    ] {
        assert_eq!(code(bad.as_bytes()), wanted, "{bad}");
    }
    assert_eq!(code(&vec![b'1'; (16 << 20) + 1]), "too-large.ima-log");
    // In bytes: lengths that end nowhere, a name without its end, bytes behind the last field.
    let good = binary(&every_template()[..1]);
    for cut in 1..good.len() {
        assert_eq!(code(&good[..cut]), "malformed.ima-log", "{cut}");
    }
    for at in [24, 34, 38] {
        let mut other = good.clone();
        other[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(code(&other), "too-large.ima-log", "{at}");
    }
    let mut open = good.clone();
    *open.last_mut().unwrap() = b'x';
    assert_eq!(code(&open), "malformed.ima-log");
}

#[test]
fn files_outside_an_allow_list_are_counted_and_named() {
    let made = every_template();
    let bytes = text(&made);
    let files = ImaLog::parse(&bytes).unwrap().check(Bank::Sha256, &quoted(pcr(&made, Bank::Sha256, false))).unwrap();
    let mut allowed = AllowList::default();
    assert_eq!(files.files_not_in(&allowed)["unlisted_count"], 6);
    assert!(allowed.allow(Bank::Sha1, &[2; 20], None));
    assert!(allowed.allow(Bank::Sha1, &[3; 20], Some("/sbin/init")));
    assert!(allowed.allow(Bank::Sha256, &[4; 32], Some("/another/path")));
    for n in [5, 6, 7] {
        assert!(allowed.allow(Bank::Sha256, &[n; 32], None));
    }
    assert!(!allowed.allow(Bank::Sha256, &[4; 20], None), "no digest of this algorithm");
    let found = files.files_not_in(&allowed);
    // One at another path than the list says, and one whose digest is that of a tree.
    assert_eq!(found["unlisted_count"], 2);
    assert_eq!(found["unlisted"][0]["path"], "/usr/bin/signed");
    assert_eq!(found["unlisted"][0]["digest"], format!("sha256:{}", hex::encode([4; 32])));
    assert_eq!(found["unlisted"][1]["path"], "/usr/bin/tree");
    assert!(allowed.allow(Bank::Sha256, &[4; 32], Some("/usr/bin/signed")));
    assert_eq!(files.files_not_in(&allowed)["unlisted_count"], 1);
}

#[test]
fn tpm_31_a_file_stays_one_whatever_the_list_calls_it() {
    let unlisted = |made: &[Made]| {
        let bytes = binary(made);
        let registers = quoted(pcr(made, Bank::Sha256, false));
        let files = ImaLog::parse(&bytes).unwrap().check(Bank::Sha256, &registers).unwrap();
        files.files_not_in(&AllowList::default())["unlisted_count"].as_u64().unwrap()
    };
    let first: Made = ("ima-ng", "sha256:", vec![1; 32], "boot_aggregate", None);
    let file: Made = ("ima-sig", "sha256:", vec![9; 32], "/usr/bin/rootkit", Some(vec![3, 2, 4]));
    // A template's name is measured by nobody, and both have the same fields.
    let as_buffer: Made = ("ima-buf", file.1, file.2.clone(), file.3, file.4.clone());
    assert_eq!(fields(&file), fields(&as_buffer));
    assert_eq!(unlisted(&[first.clone(), file]), 1);
    assert_eq!(unlisted(&[first.clone(), as_buffer]), 1);
    // A signature that is the file, so that the digest is that of both.
    let itself = vec![3, 2, 4];
    let digest = Bank::Sha256.digest(&[&itself]);
    assert_eq!(
        unlisted(&[first.clone(), ("ima-buf", "sha256:", digest.clone(), "/usr/bin/self", Some(itself.clone()))]),
        1
    );
    // A buffer is none.
    assert_eq!(unlisted(&[first.clone(), ("ima-buf", "sha256:", digest, "kexec-cmdline", Some(itself))]), 0);
    // The aggregate again, as of a kernel that this one started; and a file that only has its name.
    assert_eq!(unlisted(&[first.clone(), first.clone()]), 0);
    assert_eq!(unlisted(&[first, ("ima-ng", "sha256:", vec![9; 32], "boot_aggregate", None)]), 1);
}

#[test]
fn the_boot_aggregate_is_compared_where_the_registers_are_quoted() {
    let registers: Registers = (0..10).map(|index| (index, vec![index as u8; 32])).collect();
    let over = |last: u32| {
        let parts: Vec<&[u8]> = (0..=last).map(|index| registers[&index].as_slice()).collect();
        Bank::Sha256.digest(&parts)
    };
    for (digest, last, matches) in [
        (over(9), 9, Some(true)),
        (over(7), 9, Some(true)),
        (vec![1; 32], 9, Some(false)),
        (over(7), 7, Some(true)),
        (over(9), 7, None),
        (over(9), 3, None),
    ] {
        let made: Vec<Made> = vec![("ima-ng", "sha256:", digest, "boot_aggregate", None)];
        let mut quoted: Registers = registers.range(..=last).map(|(index, value)| (*index, value.clone())).collect();
        quoted.insert(10, pcr(&made, Bank::Sha256, false));
        let bytes = text(&made);
        let files = ImaLog::parse(&bytes).unwrap().check(Bank::Sha256, &quoted).unwrap();
        assert_eq!(files.claims().get("boot_aggregate_matches").and_then(|m| m.as_bool()), matches);
    }
}
