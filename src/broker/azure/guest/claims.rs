//! What is told under Azure's names: `maa-tokens-and-claims.md` section 4.5.
//!
//! Only what a log measured becomes a claim of the service: where no log came, or the log does not say it, the claim is absent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// Azure's name, and ours in `tpm.boot.windows`.
const WINDOWS: [(&str, &str); 6] = [
    ("x-ms-azurevm-bootdebug-enabled", "boot_debugging"),
    ("x-ms-azurevm-kerneldebug-enabled", "kernel_debug"),
    ("x-ms-azurevm-hypervisordebug-enabled", "hypervisor_debug"),
    ("x-ms-azurevm-testsigning-enabled", "test_signing"),
    ("x-ms-azurevm-flightsigning-enabled", "flight_signing"),
    ("x-ms-azurevm-hvci-policy", "hvci_policy"),
];
/// Azure's summaries: true where each of these was measured as off, false where one was measured as on.
const SUMMARIES: [(&str, &[&str]); 2] = [
    ("x-ms-azurevm-debuggersdisabled", &["boot_debugging", "kernel_debug", "hypervisor_debug"]),
    ("x-ms-azurevm-signingdisabled", &["test_signing", "flight_signing"]),
];

/// Adds the claims of the log to those of the evidence. `secureboot` is true where paravisor and firmware both say so.
pub(super) fn measured(attested: &mut Map<String, Value>) {
    let Some(boot) = attested.get("tpm").and_then(|tpm| tpm.get("boot")).cloned() else { return };
    if let Some(on) = boot.get("secure_boot").and_then(Value::as_bool) {
        let said = attested.get("secureboot").and_then(Value::as_bool).unwrap_or(true);
        attested.insert("secureboot".to_owned(), json!(on && said));
    }
    let Some(windows) = boot.get("windows").and_then(Value::as_object) else { return };
    // Without an event of Windows' own the machine may run anything.
    if WINDOWS.iter().any(|(_, ours)| windows.contains_key(*ours)) {
        attested.insert("x-ms-azurevm-is-windows".to_owned(), json!(true));
    }
    for (name, ours) in WINDOWS {
        if let Some(value @ (Value::Bool(_) | Value::Number(_))) = windows.get(ours) {
            attested.insert(name.to_owned(), value.clone());
        }
    }
    for (name, ours) in SUMMARIES {
        let mut states = ours.iter().map(|ours| windows.get(*ours).and_then(Value::as_bool));
        let all_off = states.clone().all(|state| state == Some(false));
        if all_off || states.any(|state| state == Some(true)) {
            attested.insert(name.to_owned(), json!(all_off));
        }
    }
}

/// An RSA key as Azure's tokens name the keys of a machine.
pub(super) fn jwk(kid: &str, n: &[u8], e: &[u8]) -> Value {
    let number = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    json!({"kid": kid, "kty": "RSA", "key_ops": ["encrypt"], "n": number(n), "e": number(e)})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(boot: &Value) -> Map<String, Value> {
        let evidence = json!({"secureboot": true, "tpm": {"boot": boot}});
        let mut attested = evidence.as_object().cloned().unwrap_or_default();
        measured(&mut attested);
        attested.remove("tpm");
        attested
    }

    #[test]
    fn a_claim_stands_only_where_it_was_measured() {
        assert_eq!(Value::Object(told(&json!({"bank": "sha256"}))), json!({"secureboot": true}));
        let windows = json!({"boot_debugging": false, "kernel_debug": false, "hypervisor_debug": false,
            "test_signing": true, "hvci_policy": 1, "elam": "x"});
        assert_eq!(
            Value::Object(told(&json!({"secure_boot": true, "windows": windows}))),
            json!({"secureboot": true, "x-ms-azurevm-is-windows": true, "x-ms-azurevm-bootdebug-enabled": false,
                "x-ms-azurevm-kerneldebug-enabled": false, "x-ms-azurevm-hypervisordebug-enabled": false,
                "x-ms-azurevm-testsigning-enabled": true, "x-ms-azurevm-hvci-policy": 1,
                "x-ms-azurevm-debuggersdisabled": true, "x-ms-azurevm-signingdisabled": false})
        );
        assert_eq!(Value::Object(told(&json!({"windows": {}}))), json!({"secureboot": true}));
        let some = told(&json!({"windows": {"boot_debugging": false, "test_signing": false}}));
        assert!(!some.contains_key("x-ms-azurevm-debuggersdisabled"), "two were not measured: {some:?}");
        assert!(!some.contains_key("x-ms-azurevm-signingdisabled"), "{some:?}");
    }

    #[test]
    fn secure_boot_is_on_where_paravisor_and_firmware_both_say_so() {
        assert_eq!(told(&json!({"secure_boot": false}))["secureboot"], false);
        let mut off = Map::from_iter([
            ("secureboot".to_owned(), json!(false)),
            ("tpm".to_owned(), json!({"boot": {"secure_boot": true}})),
        ]);
        measured(&mut off);
        assert_eq!(off["secureboot"], false);
    }
}
