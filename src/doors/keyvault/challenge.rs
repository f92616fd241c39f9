//! The answer 401: who is asked for a token, for which resource, and with which nonce.
//!
//! `keyvault-api.md` section 5. Clients split the header at commas and at the first `=`; a value has neither. They send a token only where
//! the host that they dialled ends with a dot and the host of `resource`, port and all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::broker::VaultSetup;

/// The value of `WWW-Authenticate` at a vault; `authority` is host and port as they were dialled.
pub(super) fn header(setup: &VaultSetup, provider: &str, authority: &str, nonce: Option<&str>) -> String {
    let authorization = match setup.authorization.as_str() {
        "" => format!("https://{authority}/{provider}"),
        configured => configured.to_owned(),
    };
    let resource = match setup.resource.as_str() {
        "" => format!("https://{}", parent(authority)),
        configured => configured.to_owned(),
    };
    let plain = format!("Bearer authorization=\"{authorization}\", resource=\"{resource}\"");
    match nonce {
        None => plain,
        Some(nonce) => {
            let claims = json!({"access_token": {"nonce": {"essential": true, "value": nonce}}});
            let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
            format!("{plain}, error=\"insufficient_claims\", claims=\"{claims}\"")
        }
    }
}

/// The domain above a host name, with its port; of an address, and of a name that has nothing above it, itself.
fn parent(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_address = host.starts_with('[') || host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match authority.split_once('.') {
        Some((_, above)) if !is_address => above,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_the_domain_above_the_vault() {
        for (authority, above) in [
            ("contoso.kv.example.com", "kv.example.com"),
            ("contoso.kv.example.com:8443", "kv.example.com:8443"),
            ("localhost:8443", "localhost:8443"),
            ("127.0.0.1:8443", "127.0.0.1:8443"),
            ("[::1]:8443", "[::1]:8443"),
            ("a.localhost:1", "localhost:1"),
        ] {
            assert_eq!(parent(authority), above, "{authority}");
        }
    }

    /// Python's client decodes claims with the alphabet of URLs, JavaScript's with the standard one.
    #[test]
    fn claims_are_the_same_in_both_alphabets_of_base64() {
        let setup = VaultSetup::default();
        for nonce in 0..=u8::MAX {
            for shift in 0..3 {
                let nonce = format!("{}{}", "A".repeat(shift), URL_SAFE_NO_PAD.encode([nonce; 32]));
                let asked = header(&setup, "default", "v.kv.example", Some(&nonce));
                let claims = asked.split("claims=\"").nth(1).and_then(|rest| rest.strip_suffix('"')).unwrap();
                assert!(claims.bytes().all(|b| b.is_ascii_alphanumeric()), "{claims}");
            }
        }
    }

    #[test]
    fn a_nonce_travels_as_claims() {
        let setup = VaultSetup::default();
        let plain = header(&setup, "default", "v.kv.example", None);
        assert_eq!(plain, "Bearer authorization=\"https://v.kv.example/default\", resource=\"https://kv.example\"");
        let asked = header(&setup, "default", "v.kv.example", Some("abc"));
        let claims = asked.split("claims=\"").nth(1).and_then(|rest| rest.strip_suffix('"')).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["access_token"]["nonce"]["value"], "abc");
        assert!(asked.starts_with(&plain) && asked.contains("error=\"insufficient_claims\""));
    }
}
