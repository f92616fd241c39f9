//! What a policy for TPMs sees, by the version that it declares. TPM and VBS attestation protocol, section 5; policy language,
//! section 7.
//!
//! Of the attestation key every version is told. Versions 1.0 and 1.1 get verdicts of ours about the boot, version 1.2 the events
//! and registers themselves. What the client says of itself stands under names of this provider's own, as custom claims.

use keygate_policies::attestation::{ClaimSet, Version};
use keygate_policies::reference::References;
use keygate_verifier::tpm_azure::{CustomClaim, CustomValue, TpmAppraisal, TpmRequest};
use serde_json::{Map, Value, json};

/// Behind the base URL of the provider, before the name that the client gave.
const CUSTOM: &str = "/custom-claims/";

/// The incoming claims, and what counts under the reference values that the policy names.
pub(super) fn incoming(
    appraisal: &TpmAppraisal,
    request: &TpmRequest,
    issuer: &str,
    version: Version,
    references: &References,
) -> ClaimSet {
    let mut attested = appraisal.key_claims();
    attested.extend(match version {
        Version::V1_0 | Version::V1_1 => appraisal.boot_claims(),
        Version::V1_2 => appraisal.log_claims(),
    });
    let mut incoming = ClaimSet::from_objects(&attested, &presented(request.custom_claims(), issuer));
    references.add_claims(&mut incoming, &attested);
    incoming
}

fn presented(custom: &[CustomClaim], issuer: &str) -> Map<String, Value> {
    let mut claims: Map<String, Value> = Map::new();
    for claim in custom {
        let value = match &claim.value {
            CustomValue::Text(text) => json!(text),
            CustomValue::Integer(integer) => json!(integer),
            CustomValue::Boolean(truth) => json!(truth),
        };
        let name = format!("{issuer}{CUSTOM}{}", claim.name);
        if let Some(list) = claims.entry(name).or_insert_with(|| json!([])).as_array_mut() {
            list.push(value);
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use keygate_policies::attestation::Issuer;

    #[test]
    fn what_clients_say_bears_the_provider_s_name_and_their_own_issuer() {
        let claim = |name: &str, value| CustomClaim { name: name.into(), value };
        let custom = [
            claim("events", CustomValue::Text("[]".into())),
            claim("n", CustomValue::Integer(7)),
            claim("n", CustomValue::Integer(8)),
            claim("on", CustomValue::Boolean(true)),
        ];
        let set = ClaimSet::from_objects(&Map::new(), &presented(&custom, "https://kms.example"));
        let told: Vec<_> = set.iter().map(|claim| (claim.kind(), claim.value().to_value())).collect();
        assert_eq!(
            told,
            [
                ("https://kms.example/custom-claims/events", json!("[]")),
                ("https://kms.example/custom-claims/n", json!(7)),
                ("https://kms.example/custom-claims/n", json!(8)),
                ("https://kms.example/custom-claims/on", json!(true)),
            ]
        );
        assert!(set.iter().all(|claim| claim.issuer() == Issuer::CustomClaim && !claim.read_only()));
    }
}
