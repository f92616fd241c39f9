//! Which launches are known to be Azure's paravisor.
//!
//! The hardware vouches for whatever was launched, and whoever has such hardware can launch a program that plays the paravisor and
//! vouches for a TPM made of software. So the report counts only where the launch itself is known: threat model P14, bad inputs
//! TPM-37.

use serde_json::{Map, Value};

/// SHA-384 of the keys with which Microsoft signs the identity block of its SEV-SNP paravisor (`x-ms-sevsnpvm-idkeydigest`): the
/// firmware launches nothing under such a block but what that key signed. Seen in reports of Azure's own machines.
const MICROSOFT_SNP_ID_KEYS: &[&str] = &[
    "0356215882a825279a85b300b0b742931d113bf7e32dde2e50ffde7ec743ca491ecdd7f336dc28a6e0b2bb57af7a44a3",
    "942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7555b92f7f3d32d0e006767648cba5b102af3d65756af4177",
];

/// Launch measurements that an operator knows to be a paravisor's, beside those that Microsoft signed: MRTD of a trust domain, launch
/// measurement of an SEV-SNP machine; 48 bytes each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paravisors {
    launches: Vec<[u8; 48]>,
}

impl Paravisors {
    /// Adds a launch measurement.
    pub fn add(&mut self, launch: [u8; 48]) {
        if !self.launches.contains(&launch) {
            self.launches.push(launch);
        }
    }

    /// Whether the hardware's claims are those of a known paravisor. One of SEV-SNP also runs at VMPL 0: above it, any program of
    /// the guest could have asked for the report.
    pub fn know(&self, hardware: &Map<String, Value>) -> bool {
        let text = |name: &str| hardware.get(name).and_then(Value::as_str).unwrap_or_default();
        let listed = |name: &str| self.launches.iter().any(|launch| hex::encode(launch) == text(name));
        match text("x-ms-attestation-type") {
            "sevsnpvm" => {
                hardware.get("x-ms-sevsnpvm-vmpl").and_then(Value::as_u64) == Some(0)
                    && (MICROSOFT_SNP_ID_KEYS.contains(&text("x-ms-sevsnpvm-idkeydigest"))
                        || listed("x-ms-sevsnpvm-launchmeasurement"))
            }
            "tdxvm" => listed("tdx_mrtd"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hardware(claims: &Value) -> Map<String, Value> {
        claims.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn tpm_37_only_a_known_launch_at_the_highest_level_is_a_paravisor() {
        let mut known = Paravisors::default();
        let snp = |key: &str, vmpl: u64| {
            hardware(&json!({"x-ms-attestation-type": "sevsnpvm", "x-ms-sevsnpvm-vmpl": vmpl,
                "x-ms-sevsnpvm-idkeydigest": key, "x-ms-sevsnpvm-launchmeasurement": "11".repeat(48)}))
        };
        for key in MICROSOFT_SNP_ID_KEYS {
            assert!(known.know(&snp(key, 0)));
            assert!(!known.know(&snp(key, 1)), "a guest below the paravisor asked");
        }
        assert!(!known.know(&snp(&"00".repeat(48), 0)), "no identity block");
        let td = hardware(&json!({"x-ms-attestation-type": "tdxvm", "tdx_mrtd": "22".repeat(48)}));
        assert!(!known.know(&td));
        known.add([0x22; 48]);
        assert!(known.know(&td));
        assert!(!known.know(&snp(&"00".repeat(48), 0)), "another measurement");
        known.add([0x11; 48]);
        assert!(known.know(&snp(&"00".repeat(48), 0)));
        assert!(!known.know(&snp(&"00".repeat(48), 2)));
        assert!(!known.know(&Map::new()));
    }
}
