//! Where the keys of an issuer come from: discovery, or a file.
//!
//! OpenID Connect Discovery 1.0 section 4; `bad-inputs.md` DISC-01, DISC-05, DISC-06, DISC-08.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use keygate_verifier::tokens::KeySet;
use reqwest::Url;
use serde::Deserialize;

use super::egress::{Egress, EgressError};

/// The longest that a whole fetch may take, both documents together.
const TOTAL: Duration = Duration::from_secs(5);
/// The largest file of keys, in bytes; one more is read, so that what is too large is seen to be.
const LARGEST_FILE: u64 = 512 * 1024;

/// Brings the key set of one issuer, as bytes that nobody has looked at.
pub trait KeySource: Send + Sync {
    /// The key set as it is now.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>>;
}

/// Asks the issuer where its keys are, and fetches them.
pub struct Discovery {
    issuer: String,
    hosts: Vec<String>,
    egress: Egress,
}

/// What counts of `/.well-known/openid-configuration`.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Discovery {
    /// The issuer as it is configured, and the hosts beside its own that keys may be on: `host`, or `host:port`.
    pub fn new(issuer: String, hosts: Vec<String>, egress: Egress) -> Self {
        Self { issuer, hosts, egress }
    }

    async fn bring(&self) -> Result<Vec<u8>, EgressError> {
        let no = EgressError::new;
        let place = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let place = Url::parse(&place).map_err(|_| no("the issuer is not a URL"))?;
        let body = self.egress.get(&place).await?;
        let document: Document =
            serde_json::from_slice(&body).map_err(|_| no("the discovery document does not parse"))?;
        if document.issuer != self.issuer {
            return Err(no("the discovery document is of another issuer"));
        }
        let keys = Url::parse(&document.jwks_uri).map_err(|_| no("`jwks_uri` is not a URL"))?;
        if !self.may_hold_keys(&place, &keys) {
            return Err(no("`jwks_uri` is on another host; name it in `jwks_hosts` if it is meant"));
        }
        self.egress.get(&keys).await
    }

    fn may_hold_keys(&self, own: &Url, keys: &Url) -> bool {
        let place = |url: &Url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?));
        let Some((host, port)) = place(keys) else { return false };
        keys.scheme() == "https"
            && (place(own) == Some((host.clone(), port))
                || self.hosts.iter().any(|named| (port == 443 && *named == host) || *named == format!("{host}:{port}")))
    }
}

impl KeySource for Discovery {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>> {
        Box::pin(async {
            match tokio::time::timeout(TOTAL, self.bring()).await {
                Ok(brought) => brought,
                Err(_) => Err(EgressError::new(format!("no answer within {} s", TOTAL.as_secs()))),
            }
        })
    }
}

/// Fetches the keys of an issuer from an address that an operator named.
pub struct Address {
    place: String,
    egress: Egress,
}

impl Address {
    /// An https address.
    pub fn new(place: String, egress: Egress) -> Self {
        Self { place, egress }
    }
}

impl KeySource for Address {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>> {
        Box::pin(async {
            let place = Url::parse(&self.place).map_err(|_| EgressError::new("`jwks_url` is not a URL"))?;
            match tokio::time::timeout(TOTAL, self.egress.get(&place)).await {
                Ok(brought) => brought,
                Err(_) => Err(EgressError::new(format!("no answer within {} s", TOTAL.as_secs()))),
            }
        })
    }
}

/// A file that somebody else renews.
pub struct KeyFile(pub PathBuf);

impl KeyFile {
    /// Whether it holds a key set now.
    ///
    /// # Errors
    /// It cannot be read, or does not parse.
    pub fn check(&self) -> Result<(), EgressError> {
        let set = KeySet::parse(&self.read()?).map_err(|why| EgressError::new(why.detail()))?;
        if set.is_empty() { Err(EgressError::new("no key of the file can check a signature")) } else { Ok(()) }
    }

    fn read(&self) -> Result<Vec<u8>, EgressError> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            std::fs::File::open(&self.0)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| EgressError::new(format!("cannot read `{}`: {e}", self.0.display())))
    }
}

impl KeySource for KeyFile {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, EgressError>> {
        Box::pin(async { self.read() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::egress::SystemResolver;
    use super::*;

    #[test]
    fn disc_06_keys_are_on_the_issuers_host_or_on_one_that_is_named() {
        let egress = Egress::new(Arc::new(SystemResolver), None, Vec::new()).unwrap();
        let hosts = vec!["keys.example".to_owned(), "lab.example:8443".to_owned()];
        let discovery = Discovery::new("https://idp.example/t/".to_owned(), hosts, egress);
        let own = Url::parse("https://idp.example/t/.well-known/openid-configuration").unwrap();
        let may = |keys: &str| discovery.may_hold_keys(&own, &Url::parse(keys).unwrap());
        for fits in [
            "https://idp.example/keys",
            "https://IDP.example:443/x",
            "https://keys.example/",
            "https://lab.example:8443/",
        ] {
            assert!(may(fits), "{fits}");
        }
        for odd in [
            "http://idp.example/keys",
            "https://idp.example:8443/keys",
            "https://evil.example/keys",
            "https://idp.example.evil.example/",
            "https://idp.example@evil.example/",
            "https://keys.example:444/",
            "https://lab.example/",
            "file:///keys",
        ] {
            assert!(!may(odd), "{odd}");
        }
    }
}
