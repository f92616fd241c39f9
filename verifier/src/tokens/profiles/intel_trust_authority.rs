//! Intel Trust Authority: version 1 with the claims of one attester on top, version 2 with a member per attester.
//! Relying party tokens, section 3.

use serde_json::{Map, Value};

use super::Issuer;
use super::judge::{Rules, text};
use super::reading::{Reading, at, dbgstat, debug, debuggable};
use super::tee_key::{self, Order};
use crate::formats::base64url::decode_lenient;
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;
use crate::tokens::jws::object;

/// Tokens live five minutes; a tenant may ask for more, up to an hour here.
pub(super) const RULES: Rules = Rules {
    algorithms: &[JwsAlgorithm::PS384, JwsAlgorithm::RS256],
    typ: &["JWT"],
    typ_optional: false,
    kid: true,
    jwk: false,
    certificates: false,
    audience: false,
    product_names: &["Intel Trust Authority"],
    iss_optional: false,
    exp_optional: false,
    life: 3_600,
};

/// Where the profile's page stands, below the portal.
const PROFILE_PAGE: &str = "/eat_profile.html";
const PORTAL: &str = "https://portal.trustauthority.intel.com";
const OFF: [&str; 4] = ["disabled", "disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently"];

/// The measurements of a trust domain, by common name and by Intel's, which Azure uses too.
pub(super) const TDX: [(&str, &str); 5] = [
    ("mrtd", "tdx_mrtd"),
    ("rtmr0", "tdx_rtmr0"),
    ("rtmr1", "tdx_rtmr1"),
    ("rtmr2", "tdx_rtmr2"),
    ("rtmr3", "tdx_rtmr3"),
];

pub(super) fn read(claims: &Map<String, Value>, issuer: &Issuer<'_>) -> Result<Reading, TokenFault> {
    let profile = text(claims, "eat_profile")?;
    let portal = profile.strip_suffix(PROFILE_PAGE);
    if portal != Some(issuer.issuer) && portal != Some(PORTAL) {
        return Err(TokenFault::Profile("`eat_profile` is not the issuer's"));
    }
    if claims.get("intuse").is_some_and(|intended| intended != "generic") {
        return Err(TokenFault::Profile("`intuse` is not generic"));
    }
    let (kind, attester) = attester(claims)?;
    let mut reading = Reading::of(kind);
    // What stands for all attesters may stand on top in both versions.
    let common = |name: &str| attester.get(name).or_else(|| claims.get(name));
    let order = match kind {
        "sgx" => {
            reading.measure(attester, [("mrenclave", "sgx_mrenclave")]);
            reading.signed_by(attester.get("sgx_mrsigner"));
            reading.version(attester, [("product_id", "sgx_isvprodid"), ("isv", "sgx_isvsvn")]);
            Order::LittleEndian
        }
        _ => {
            reading.measure(attester, TDX);
            reading.version(attester, [("seam", "tdx_seamsvn")]);
            Order::BigEndian
        }
    };
    let own = ["sgx_is_debuggable", "tdx_is_debuggable", "tdx_td_attributes_debug"];
    let [sgx, tdx, attributes] = own.map(|name| debuggable(attester.get(name)));
    reading.debug = debug(&[dbgstat(common("dbgstat"), &OFF), sgx, tdx, attributes]);
    let status = common("attester_tcb_status").filter(|status| status.is_string());
    let status = status.ok_or(TokenFault::Claim("attester_tcb_status"))?;
    reading.tcb_level(Some(status), common("attester_advisory_ids"), common("attester_tcb_date"));
    bound(attester, order, &mut reading)?;
    Ok(reading)
}

/// The one attester that is a processor's TEE.
fn attester(claims: &Map<String, Value>) -> Result<(&'static str, &Map<String, Value>), TokenFault> {
    let refused = Err(TokenFault::Profile("it is not about one processor's tee"));
    let version = text(claims, "ver")?;
    if version.starts_with("1.") {
        return match &*text(claims, "attester_type")? {
            "SGX" => Ok(("sgx", claims)),
            "TDX" => Ok(("tdx", claims)),
            _ => refused,
        };
    }
    if !version.starts_with("2.") {
        return Err(TokenFault::Profile("`ver` is neither 1 nor 2"));
    }
    match (claims.get("sgx"), claims.get("tdx")) {
        (Some(Value::Object(sgx)), None) => Ok(("sgx", sgx)),
        (None, Some(Value::Object(tdx))) => Ok(("tdx", tdx)),
        _ => refused,
    }
}

/// Key and nonce in what the workload gave to be bound: an object, or data as they were held.
fn bound(attester: &Map<String, Value>, order: Order, reading: &mut Reading) -> Result<(), TokenFault> {
    let held = match attester.get("attester_held_data") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(decode_lenient(text).ok_or(TokenFault::Claim("attester_held_data"))?),
        Some(_) => return Err(TokenFault::Claim("attester_held_data")),
    };
    let mut places = Vec::new();
    for name in ["attester_runtime_data", "attester_user_data"] {
        if let Some(Value::Object(data)) = attester.get(name) {
            places.push(data.clone());
        }
    }
    places.extend(held.as_ref().and_then(|held| object(held, "").ok()));
    for place in &places {
        reading.nonce(place.get("nonce"));
    }
    if let Some(text) = held.as_ref().and_then(|held| String::from_utf8(held.clone()).ok()) {
        reading.nonce_text(text);
    }
    let named = places.iter().find_map(|place| at(place, &["tee-pubkey"]));
    reading.key = match (named, held) {
        (Some(jwk), _) => Some(tee_key::of_jwk(jwk)?),
        (None, Some(held)) => tee_key::of_held_data(&held, order),
        (None, None) => None,
    };
    Ok(())
}
