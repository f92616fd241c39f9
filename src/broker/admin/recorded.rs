//! What a record of the journal tells of an earlier appraisal, for a draft policy to be run over it.
//!
//! `native-api.md` section 3 (*Admin*): attested claims are stored with each decision. Presented ones never are, so a policy that
//! looks at custom claims finds none here.

use serde_json::{Map, Value};

use crate::audit::kind;
use crate::result::attestation_result::PARTS;

/// Kinds of records that tell of an appraisal.
pub const APPRAISALS: [&str; 2] = [kind::ATTESTATION, kind::USE];

/// What one record tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Recalled {
    /// Nothing of an appraisal of this type.
    Other,
    /// An appraisal whose claims were too many: only their digest is there.
    WithoutClaims,
    /// The attested claims.
    Claims(Map<String, Value>),
}

/// Reads one entry, as the journal lists it, for a type of attestation.
pub fn recall(entry: &Value, attestation_type: &str) -> Recalled {
    let recorded = entry.get("kind").and_then(Value::as_str).unwrap_or_default();
    let claims = entry.pointer("/body/claims").and_then(Value::as_object);
    let (true, Some(claims)) = (APPRAISALS.contains(&recorded), claims) else {
        return Recalled::Other;
    };
    if claims.len() == 2 && claims.contains_key("digest") && claims.contains_key("bytes") {
        return Recalled::WithoutClaims;
    }
    // A session was appraised when it began, which has a record of its own; among its claims stand those that the policy of then issued.
    if entry.pointer("/body/freshness").and_then(Value::as_str) == Some("session") {
        return Recalled::Other;
    }
    let evidence = claims.get("keygate").and_then(|keygate| keygate.get("kind")).and_then(Value::as_str);
    let fits = match attestation_type {
        "SgxEnclave" | "OpenEnclave" => evidence == Some("sgx"),
        "SevSnpVm" => evidence == Some("snp"),
        "TdxVm" => evidence == Some("tdx"),
        "Nitro" => evidence == Some("nitro"),
        "Software" => evidence == Some("software"),
        "TpmMachine" => evidence == Some("tpm"),
        "AzureGuest" => evidence == Some("azure-vtpm"),
        _ => false,
    };
    let mut claims = claims.clone();
    claims.remove(PARTS);
    if fits { Recalled::Claims(claims) } else { Recalled::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_appraisals_of_the_type_are_recalled() {
        let claims = json!({"keygate": {"kind": "sgx"}, "x-ms-sgx-svn": 3});
        let entry = |kind: &str, claims: Value| json!({"number": 1, "kind": kind, "body": {"claims": claims}});
        let attested = entry("attestation", claims.clone());
        assert_eq!(recall(&attested, "SgxEnclave"), Recalled::Claims(claims.as_object().cloned().unwrap()));
        assert_eq!(recall(&attested, "SevSnpVm"), Recalled::Other);
        assert_eq!(recall(&entry("admin", claims), "SgxEnclave"), Recalled::Other);
        assert_eq!(recall(&json!({"kind": "attestation", "body": {}}), "SgxEnclave"), Recalled::Other);
        let mut session = entry("key.use", json!({"keygate": {"kind": "sgx"}, "team": "blue"}));
        session["body"]["freshness"] = json!("once");
        assert_ne!(recall(&session, "SgxEnclave"), Recalled::Other);
        session["body"]["freshness"] = json!("session");
        assert_eq!(
            recall(&session, "SgxEnclave"),
            Recalled::Other,
            "what a policy issued is no claim of the service's"
        );
        let digest = entry("key.use", json!({"digest": "x", "bytes": 40_000}));
        assert_eq!(recall(&digest, "SgxEnclave"), Recalled::WithoutClaims);
    }
}
