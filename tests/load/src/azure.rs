//! Attestation in Azure's dialect: each request with data of its own that its evidence binds.
//!
//! `maa-rest-api.md` section 3; `performance-floor.md` section 8 (T15). There is no challenge in this dialect: what the workload held
//! is a fresh key for each request, its SHA-256 the first half of the report data.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_forge::amd::azure_document;
use openssl::sha::sha256;

use crate::Fallible;
use crate::evidence::{Lab, Mint, Recipient};
use crate::shot::{Shot, made};

/// The version of the dialect that is asked for.
const VERSION: &str = "2022-08-01";

/// `count` requests for evidence of a kind.
pub fn shots(lab: &Lab, kind: &str, count: usize) -> Fallible<Vec<Shot>> {
    let (attestation_type, member) = match kind {
        "sgx" => ("SgxEnclave", "quote"),
        "tdx" => ("TdxVm", "quote"),
        "snp" => ("SevSnpVm", "report"),
        other => return Err(format!("evidence of kind `{other}` is not attested in Azure's dialect").into()),
    };
    let (mint, chain) = (lab.mint(kind)?, lab.amd_chain_pem());
    let path = format!("/attest/{attestation_type}?api-version={VERSION}");
    let one = || {
        let held = format!(r#"{{"keys":[{}]}}"#, Recipient::new().jwk);
        let mut bound = [0; 64];
        bound[..32].copy_from_slice(&sha256(held.as_bytes()));
        let evidence = match &mint {
            Mint::Snp { .. } => azure_document(&mint.bound(&bound), chain.as_bytes(), &[]).into_bytes(),
            _ => mint.bound(&bound),
        };
        let (evidence, held) = (URL_SAFE_NO_PAD.encode(evidence), URL_SAFE_NO_PAD.encode(held));
        let body = format!(r#"{{"{member}":"{evidence}","runtimeData":{{"data":"{held}","dataType":"JSON"}}}}"#);
        Ok(Shot::served(path.clone(), body.into_bytes()))
    };
    made(count, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_request_holds_other_data_and_binds_them() {
        let lab = Lab::new(1_790_000_000);
        for (kind, member) in [("sgx", "quote"), ("tdx", "quote"), ("snp", "report")] {
            let shots = shots(&lab, kind, 3).unwrap();
            let part = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
            let mut seen = Vec::new();
            for shot in &shots {
                let body: Value = serde_json::from_slice(&shot.body).unwrap();
                let digest = sha256(&part(&body["runtimeData"]["data"]));
                let mut evidence = part(&body[member]);
                if kind == "snp" {
                    let document: Value = serde_json::from_slice(&evidence).unwrap();
                    evidence = part(&document["SnpReport"]);
                }
                assert!(evidence.windows(32).any(|window| window == digest), "{kind}");
                assert!(!seen.contains(&digest));
                seen.push(digest);
            }
            assert_eq!(seen.len(), 3);
        }
        assert!(shots(&lab, "nitro", 1).is_err());
    }
}
