//! Sample policies for machines with a TPM, written from their description, against logs that are as they want them and logs that
//! are not. TPM and VBS attestation protocol, section 6.

use keygate_forge::azure_tpm::{Event, ImaList, Log, Tagged, Wanted, boundary, tag};
use serde_json::{Value, json};

use super::tpm_flow::Lab;

/// A policy of version 1.2 with these issuance rules.
fn policy(rules: &str) -> String {
    format!("version=1.2;\nauthorizationrules {{ => permit(); }};\nissuancerules {{\n{rules}\n}};\n")
}

/// Trust boundaries of some registers, as claims of type `boundaries`.
fn boundaries(registers: &[u32]) -> String {
    let either: Vec<String> = registers.iter().map(|index| format!("PcrIndex == `{index}`")).collect();
    format!(
        "c:[type==\"events\", issuer==\"AttestationService\"] => add(type=\"boundaries\", value=JmesPath(c.value, \"Events[?EventTypeString == 'EV_EVENT_TAG' && ({})].ProcessedData.EVENT_TRUSTBOUNDARY\"));",
        either.join(" || ")
    )
}

/// What all boundaries say of one member is one value.
fn only(member: &str, value: bool) -> String {
    let all = boundaries(&[12, 13, 19, 20]);
    policy(&format!(
        "{all}
        c:[type==\"boundaries\", issuer==\"AttestationPolicy\"] => add(type=\"said\", value=JsonToClaimValue(JmesPath(c.value, \"[*].{member}\")));
        c:[type==\"said\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=ContainsOnlyValue(c.value, {value}));
        ![type==\"told\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=false);"
    ))
}

/// A query over the boundaries of some registers, as it comes, and what is issued where it gives nothing.
fn query(registers: &[u32], query: &str, otherwise: &str) -> String {
    let all = boundaries(registers);
    let instead = match otherwise {
        "" => String::new(),
        value => format!("![type==\"told\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value={value});"),
    };
    policy(&format!(
        "{all}
        c:[type==\"boundaries\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=JsonToClaimValue(JmesPath(c.value, \"{query}\")));
        {instead}"
    ))
}

/// What the report under a policy says of `told`.
async fn told(log: Log, policy: &str) -> Value {
    let lab = Lab::new(log);
    lab.set(policy);
    lab.report().await.get("told").cloned().unwrap_or(Value::Null)
}

fn loader(inside: &[(u32, Tagged)]) -> Log {
    Log::windows(true, inside, &[])
}

fn modules(inside: &[(u32, Tagged)]) -> Log {
    Log::windows(true, &[], inside)
}

#[actix_web::test]
async fn secure_boot_is_one_variable_with_one_value() {
    let rules = policy(
        "c:[type==\"events\", issuer==\"AttestationService\"] => add(type=\"config\", value=JmesPath(c.value, \"Events[?EventTypeString == 'EV_EFI_VARIABLE_DRIVER_CONFIG' && ProcessedData.VariableGuid == '8BE4DF61-93CA-11D2-AA0D-00E098032B8C']\"));
        c:[type==\"config\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=JsonToClaimValue(JmesPath(c.value, \"[?ProcessedData.UnicodeName == 'SecureBoot'] | length(@) == `1` && @[0].ProcessedData.VariableData == 'AQ'\")));
        ![type==\"told\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=false);",
    );
    assert_eq!(told(Log::firmware(true), &rules).await, json!(true));
    assert_eq!(told(Log::firmware(false), &rules).await, json!(false));
    let mut without = Log::firmware(true);
    without.events.retain(|event| !(event.register == 7 && event.data.ends_with(&[1])));
    assert_eq!(told(without, &rules).await, json!(false));
}

#[actix_web::test]
async fn switches_of_the_boot_are_said_and_all_one_way() {
    for (member, tag, wanted) in [
        ("EVENT_CODEINTEGRITY", tag::CODE_INTEGRITY, true),
        ("EVENT_OSKERNELDEBUG", tag::OS_KERNEL_DEBUG, false),
        ("EVENT_BOOTDEBUGGING", tag::BOOT_DEBUGGING, false),
        ("EVENT_TESTSIGNING", tag::TEST_SIGNING, false),
        ("EVENT_FLIGHTSIGNING", tag::FLIGHT_SIGNING, false),
        ("EVENT_SAFEMODE", tag::SAFE_MODE, false),
        ("EVENT_WINPE", tag::WINPE, false),
        ("EVENT_VBS_IOMMU_REQUIRED", tag::VBS_IOMMU_REQUIRED, true),
    ] {
        let rules = only(member, wanted);
        let flag = |on| [(tag, Tagged::Flag(on))];
        assert_eq!(told(loader(&flag(wanted)), &rules).await, json!(true), "{member}");
        assert_eq!(told(loader(&flag(!wanted)), &rules).await, json!(false), "{member}");
        let both = Log::windows(true, &flag(wanted), &flag(!wanted));
        assert_eq!(told(both, &rules).await, json!(false), "{member} of two boundaries that disagree");
        assert_eq!(
            told(loader(&[(0x0005_0077, Tagged::Flag(true))]), &rules).await,
            json!(false),
            "{member} is not said"
        );
    }
}

#[actix_web::test]
async fn dep_bitlocker_and_hypervisor_protection_are_numbers() {
    let dep = query(&[12, 13, 19, 20], "[*].EVENT_DATAEXECUTIONPREVENTION.Value | [-1:]", "0");
    let number = |tag, number| [(tag, Tagged::Number(number))];
    assert_eq!(told(loader(&number(tag::DATA_EXECUTION_PREVENTION, 3)), &dep).await, json!(3));
    let last =
        Log::windows(true, &number(tag::DATA_EXECUTION_PREVENTION, 3), &number(tag::DATA_EXECUTION_PREVENTION, 1));
    assert_eq!(told(last, &dep).await, json!(1));
    assert_eq!(told(loader(&[]), &dep).await, json!(0));

    let unlock = query(&[12, 19], "[*].EVENT_BITLOCKER_UNLOCK.Value | [?@ != `0`] | [0]", "0");
    assert_eq!(told(loader(&number(tag::BITLOCKER_UNLOCK, 4)), &unlock).await, json!(4));
    assert_eq!(told(loader(&number(tag::BITLOCKER_UNLOCK, 0)), &unlock).await, json!(0));
    assert_eq!(told(modules(&number(tag::BITLOCKER_UNLOCK, 4)), &unlock).await, json!(0), "in another register");

    let hvci = query(
        &[12, 13, 19, 20],
        "[*].EVENT_VBS_HVCI_POLICY | [] | [?String == 'HypervisorEnforcedCodeIntegrityEnable' && Value == `1`] | length(@) > `0`",
        "",
    );
    assert_eq!(told(loader(&number(tag::VBS_HVCI_POLICY, 1)), &hvci).await, json!(true));
    assert_eq!(told(loader(&number(tag::VBS_HVCI_POLICY, 0)), &hvci).await, json!(false));
}

#[actix_web::test]
async fn a_malware_driver_is_known_by_its_path_in_any_case() {
    let rules = query(
        &[12, 13, 19, 20],
        "[*].EVENT_LOADEDMODULE_AGGREGATION[] | [?EVENT_IMAGEVALIDATED == `true` && (equals_ignore_case(EVENT_FILEPATH, '\\\\windows\\\\system32\\\\drivers\\\\wdboot.sys') || equals_ignore_case(EVENT_FILEPATH, '\\\\windows\\\\system32\\\\drivers\\\\wd\\\\wdboot.sys'))] | length(@) > `0`",
        "false",
    );
    let module = |path, validated| {
        let inside = vec![(tag::FILE_PATH, Tagged::Text(path)), (tag::IMAGE_VALIDATED, Tagged::Flag(validated))];
        modules(&[(tag::LOADED_MODULE, Tagged::Inside(inside))])
    };
    assert_eq!(told(module("\\Windows\\System32\\drivers\\WdBoot.sys", true), &rules).await, json!(true));
    assert_eq!(told(module("\\windows\\system32\\drivers\\wd\\wdboot.sys", true), &rules).await, json!(true));
    assert_eq!(told(module("\\windows\\system32\\drivers\\wd\\wdboot.sys", false), &rules).await, json!(false));
    assert_eq!(told(module("\\windows\\temp\\wdboot.sys", true), &rules).await, json!(false));
}

#[actix_web::test]
async fn virtualization_based_security_is_required_one_way_or_the_other() {
    let all = boundaries(&[12, 19]);
    let rules = policy(&format!(
        "{all}
        c:[type==\"boundaries\", issuer==\"AttestationPolicy\"] => add(type=\"vsm\", value=JsonToClaimValue(JmesPath(c.value, \"[*].EVENT_VBS_VSM_REQUIRED\")));
        c:[type==\"boundaries\", issuer==\"AttestationPolicy\"] => add(type=\"enforced\", value=JsonToClaimValue(JmesPath(c.value, \"[*].EVENT_VBS_MANDATORY_ENFORCEMENT\")));
        c:[type==\"vsm\", issuer==\"AttestationPolicy\"] => add(type=\"either\", value=ContainsOnlyValue(c.value, true));
        c:[type==\"enforced\", issuer==\"AttestationPolicy\"] => add(type=\"either\", value=ContainsOnlyValue(c.value, true));
        [type==\"either\", value==true, issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=true);
        ![type==\"told\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=false);"
    ));
    for tag in [tag::VBS_VSM_REQUIRED, tag::VBS_MANDATORY_ENFORCEMENT] {
        assert_eq!(told(loader(&[(tag, Tagged::Flag(true))]), &rules).await, json!(true));
        assert_eq!(told(loader(&[(tag, Tagged::Flag(false))]), &rules).await, json!(false));
    }
    assert_eq!(told(loader(&[]), &rules).await, json!(false));
}

#[actix_web::test]
async fn a_register_is_compared_with_a_golden_value() {
    let golden = keygate_forge::base64::url(&Log::firmware(true).registers(0x0b)[&7]);
    let rules = policy(&format!(
        "=> add(type=\"golden\", value=\"{golden}\");
        c:[type==\"pcrs\", issuer==\"AttestationService\"] && [type==\"golden\", value==JsonToClaimValue(JmesPath(c.value, \"PCRs[?Index == `7`].Digests.SHA256 | [0]\"))] => issue(type=\"told\", value=true);"
    ));
    assert_eq!(told(Log::firmware(true), &rules).await, json!(true));
    assert_eq!(told(Log::firmware(false), &rules).await, Value::Null);
}

#[actix_web::test]
async fn versions_of_boot_manager_and_boot_application_are_found_by_their_place() {
    let rules = policy(
        "c:[type==\"events\", issuer==\"AttestationService\"] => add(type=\"end\", value=JmesPath(c.value, \"Events[?EventTypeString == 'EV_SEPARATOR' && (PcrIndex == `12` || PcrIndex == `13` || PcrIndex == `14`)] | [0].EventSeq\"));
        c:[type==\"end\", issuer==\"AttestationPolicy\"] => add(type=\"query\", value=AppendString(AppendString(\"Events[?EventSeq < `\", c.value), \"` && PcrIndex == `12` && ProcessedData.EVENT_TRUSTBOUNDARY.EVENT_APPLICATION_SVN != null] | [0]\"));
        e:[type==\"events\", issuer==\"AttestationService\"] && q:[type==\"query\", issuer==\"AttestationPolicy\"] => add(type=\"manager\", value=JmesPath(e.value, q.value));
        c:[type==\"manager\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=JsonToClaimValue(JmesPath(c.value, \"ProcessedData.EVENT_TRUSTBOUNDARY.EVENT_APPLICATION_SVN\")));
        c:[type==\"manager\", issuer==\"AttestationPolicy\"] => add(type=\"first\", value=JmesPath(c.value, \"EventSeq\"));
        c:[type==\"first\", issuer==\"AttestationPolicy\"] => add(type=\"transferQuery\", value=AppendString(AppendString(\"Events[?EventSeq > `\", c.value), \"` && PcrIndex == `12` && (ProcessedData.EVENT_TRUSTBOUNDARY.EVENT_TRANSFER_CONTROL.Value == `1` || ProcessedData.EVENT_TRUSTBOUNDARY.EVENT_TRANSFER_CONTROL.Value == `2`)] | [0].EventSeq\"));
        e:[type==\"events\", issuer==\"AttestationService\"] && q:[type==\"transferQuery\", issuer==\"AttestationPolicy\"] => add(type=\"transfer\", value=JmesPath(e.value, q.value));
        c:[type==\"transfer\", issuer==\"AttestationPolicy\"] => add(type=\"applicationQuery\", value=AppendString(AppendString(\"Events[?EventSeq > `\", c.value), \"` && PcrIndex == `12`].ProcessedData.EVENT_TRUSTBOUNDARY.EVENT_APPLICATION_SVN | [0]\"));
        e:[type==\"events\", issuer==\"AttestationService\"] && q:[type==\"applicationQuery\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=JsonToClaimValue(JmesPath(e.value, q.value)));",
    );
    let say = |tag, number| boundary(12, &[(tag, Tagged::Number(number))]);
    let log = |between: &[Event]| {
        let mut log = Log::firmware(true);
        log.events.extend(between.to_vec());
        log.events.extend([12, 13, 14].map(|register| Event::plain(register, 4, b"WBCL")));
        log
    };
    let whole = [say(tag::APPLICATION_SVN, 3), say(tag::TRANSFER_CONTROL, 1), say(tag::APPLICATION_SVN, 7)];
    assert_eq!(told(log(&whole), &rules).await, json!([3, 7]));
    assert_eq!(told(log(&whole[..1]), &rules).await, json!(3));
    assert_eq!(told(log(&whole[1..2]), &rules).await, Value::Null);
}

#[actix_web::test]
async fn policies_and_revocation_lists_are_issued_as_they_are() {
    let raw = |bytes: &'static [u8]| Tagged::Bytes(bytes.to_vec());
    let rules = query(&[12, 13, 19, 20], "[*].EVENT_SI_POLICY[].RawData", "");
    let log = modules(&[(tag::SI_POLICY, raw(b"one")), (tag::SI_POLICY, raw(b"two"))]);
    let encoded = |bytes: &[u8]| keygate_forge::base64::url(bytes);
    assert_eq!(told(log, &rules).await, json!([encoded(b"one"), encoded(b"two")]));
    for (member, tag) in [
        ("EVENT_BOOT_REVOCATION_LIST", tag::BOOT_REVOCATION_LIST),
        ("EVENT_OS_REVOCATION_LIST", tag::OS_REVOCATION_LIST),
    ] {
        let rules = query(&[12, 13, 19, 20], &format!("[*].{member}.RawData | [0]"), "");
        assert_eq!(told(modules(&[(tag, raw(b"list"))]), &rules).await, json!(encoded(b"list")));
        assert_eq!(told(modules(&[]), &rules).await, Value::Null);
    }
}

#[actix_web::test]
async fn text_of_the_log_may_be_issued_as_it_is() {
    let rules = policy(
        "c:[type==\"events\", issuer==\"AttestationService\"] => issue(type=\"told\", value=JmesPath(c.value, \"Events[?EventTypeString == 'EV_EVENT_TAG' && PcrIndex == `13`].ProcessedData.EVENT_TRUSTBOUNDARY.EVENT_DRIVER_LOAD_POLICY.String | [0]\"));",
    );
    assert_eq!(told(modules(&[(tag::DRIVER_LOAD_POLICY, Tagged::Number(1))]), &rules).await, json!("\"1\""));
    assert_eq!(told(modules(&[]), &rules).await, json!("null"));
}

#[actix_web::test]
async fn variables_of_the_firmware_are_there_once_and_with_data() {
    let one = |register: u32, name: &str| {
        format!(
            "length(Events[?PcrIndex == `{register}` && ProcessedData.UnicodeName == '{name}' && ProcessedData.VariableData != '']) == `1`"
        )
    };
    let all: Vec<String> = ["SecureBoot", "PK", "KEK", "db", "dbx"]
        .map(|name| one(7, name))
        .into_iter()
        .chain([one(1, "BootOrder")])
        .collect();
    let rules = policy(&format!(
        "c:[type==\"events\", issuer==\"AttestationService\"] => issue(type=\"told\", value=JsonToClaimValue(JmesPath(c.value, \"{}\")));",
        all.join(" && ")
    ));
    assert_eq!(told(Log::firmware(true), &rules).await, json!(true));
    let mut without = Log::firmware(true);
    without.events.retain(|event| event.register != 1 || event.kind == 4);
    assert_eq!(told(without, &rules).await, json!(false));
    let mut twice = Log::firmware(true);
    twice.events.insert(1, Event::boot_variable("BootOrder", &[2, 0]));
    assert_eq!(told(twice, &rules).await, json!(false));
}

#[actix_web::test]
async fn a_certificate_in_a_keyring_of_linux_is_expected() {
    let rules = policy(
        "c:[type==\"events\", issuer==\"AttestationService\"] => issue(type=\"told\", value=JsonToClaimValue(JmesPath(c.value, \"length(Events[?EventTypeString == 'IMA_MEASUREMENT_EVENT' && ProcessedData.Keyring == '.ima' && ProcessedData.CertificateSubject == 'CN=forge attestation key']) == `1`\")));",
    );
    for (keyring, wanted) in [(".ima", true), (".evm", false)] {
        let mut lab = Lab::new(Log::firmware(true));
        lab.machine.ima = Some(ImaList::of_certificate(keyring, &lab.machine.aik_certificate));
        lab.set(&rules);
        assert_eq!(lab.report().await["told"], json!(wanted), "{keyring}");
    }
}

#[actix_web::test]
async fn keys_of_a_request_are_judged_by_what_binds_them() {
    let rules = |policy_digest: &str| {
        policy(&format!(
            "c:[type==\"x-ms-tpm-request-key\", issuer==\"AttestationService\"] => add(type=\"own\", value=JsonToClaimValue(JmesPath(c.value, \"jwk.kty == 'RSA' && info.tpm_quote.hash_alg == 'sha-256'\")));
            c:[type==\"x-ms-tpm-other-keys\", issuer==\"AttestationService\"] => add(type=\"other\", value=JsonToClaimValue(JmesPath(c.value, \"[0].info.tpm_certify | name_alg == `11` && obj_attr == `50` && auth_policy == '{policy_digest}'\")));
            [type==\"own\", value==true] && [type==\"other\", value==true] => issue(type=\"told\", value=true);
            ![type==\"told\", issuer==\"AttestationPolicy\"] => issue(type=\"told\", value=false);"
        ))
    };
    let lab = Lab::new(Log::firmware(true));
    for (digest, wanted) in [("", true), ("AAAA", false)] {
        lab.set(&rules(digest));
        let (challenge, context) = lab.challenged().await;
        let mut draft = lab.machine.draft(&Wanted::new(&challenge, &context));
        let other = keygate_forge::azure_tpm::rsa();
        let certified = lab.machine.certified(&other, &challenge, |_| ());
        draft.payload["att_data"]["other_keys"] =
            json!([{"jwk": keygate_forge::azure_tpm::rsa_jwk(&other), "info": {"tpm_certify": certified}}]);
        let jws = draft.sign(&lab.machine.request_key);
        let told = lab.say(&json!({"payload": {"request": jws}})).await;
        assert_eq!(lab.relied(&told).claims["told"], json!(wanted));
    }
    lab.set(&rules(""));
    assert_eq!(lab.report().await["told"], json!(false), "there is no other key");
}

#[actix_web::test]
async fn policies_of_the_older_versions_compare_verdicts() {
    let rules = "version=1.1;
        configurationrules { => issueproperty(type=\"required_pcr_mask\", value=15); => issueproperty(type=\"require_valid_aik_cert\", value=false); };
        authorizationrules {
            [type==\"tpmVersion\", value==2] && [type==\"bootDebuggingDisabled\", value==true] => permit();
        };
        issuancerules { c:[type==\"notWinPE\", issuer==\"AttestationService\"] => issue(type=\"told\", value=c.value); };";
    let sound = [(tag::BOOT_DEBUGGING, Tagged::Flag(false)), (tag::WINPE, Tagged::Flag(false))];
    let log = Log::windows(true, &sound, &[(tag::CODE_INTEGRITY, Tagged::Flag(true))]);
    assert_eq!(told(log, rules).await, json!(true));
    let lab = Lab::new(loader(&[(tag::BOOT_DEBUGGING, Tagged::Flag(true))]));
    lab.set(rules);
    lab.ask(|_| (), |_| ()).await.is(400, "PolicyEvaluationError", "it can be debugged");
}
