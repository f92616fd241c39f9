//! The way out: one GET over TLS to a host of the configuration, at an address that was looked at before it is dialled.
//!
//! Threat model B3; `bad-inputs.md` DISC-02 to DISC-04, DISC-07 to DISC-09, DISC-17. There is no way to dial what was not checked: the
//! name is resolved once, and the connection goes to the addresses that were found then.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::CONTENT_ENCODING;
use reqwest::{Certificate, Client, StatusCode, Url};

/// The largest answer that is read, in bytes.
const LIMIT: usize = 512 * 1024;
/// The longest that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(4);

/// Why something could not be fetched. Says nothing that the other side sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EgressError(pub(super) String);

impl EgressError {
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Turns a name into addresses.
pub trait Resolve: Send + Sync {
    /// The addresses of a host.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver.
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// A guarded way out.
pub struct Egress {
    resolver: Arc<dyn Resolve>,
    roots: Vec<Certificate>,
    named: Vec<String>,
}

impl Egress {
    /// A way out. `ca`: PEM of the only CAs that count; none: the system's. `named`: hosts that may have any address.
    ///
    /// # Errors
    /// A PEM text without a certificate.
    pub fn new(resolver: Arc<dyn Resolve>, ca: Option<&[u8]>, named: Vec<String>) -> Result<Self, EgressError> {
        let roots = match ca {
            None => Vec::new(),
            Some(pem) => Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| EgressError::new("the CA file holds no certificate"))?,
        };
        Ok(Self { resolver, roots, named })
    }

    /// The body at this address. Whoever calls sets the time limit.
    ///
    /// # Errors
    /// Anything but a plain answer 200 of at most 512 KiB from a public or named address.
    pub async fn get(&self, url: &Url) -> Result<Vec<u8>, EgressError> {
        let no = |what: String| EgressError(what);
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(EgressError::new("the address is not a plain https URL"));
        }
        let host = url.host_str().ok_or_else(|| EgressError::new("the address has no host"))?;
        let addresses = self.addresses(url, host).await?;
        let mut response = self
            .client(host, &addresses)
            .map_err(|e| no(format!("TLS cannot be set up: {}", e.without_url())))?
            .get(url.clone())
            .send()
            .await
            .map_err(|e| no(format!("`{host}` cannot be asked: {}", causes(&e.without_url()))))?;
        if response.status() != StatusCode::OK {
            return Err(no(format!("`{host}` answered {}", response.status().as_u16())));
        }
        if response.headers().get_all(CONTENT_ENCODING).iter().any(|coding| coding.as_bytes() != b"identity") {
            return Err(no(format!("the answer of `{host}` is compressed")));
        }
        let too_large = || no(format!("the answer of `{host}` is larger than {LIMIT} bytes"));
        if response.content_length().is_some_and(|length| length > LIMIT as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|e| no(format!("`{host}` broke off: {}", e.without_url())))?
        {
            if body.len().saturating_add(chunk.len()) > LIMIT {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Every address that the host has, if each may be dialled.
    async fn addresses(&self, url: &Url, host: &str) -> Result<Vec<SocketAddr>, EgressError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let found = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self
                .resolver
                .resolve(host, port)
                .await
                .map_err(|e| EgressError::new(format!("`{host}` has no address: {}", e.kind())))?,
        };
        if found.is_empty() {
            return Err(EgressError::new(format!("`{host}` has no address")));
        }
        let is_named = self.named.iter().any(|name| name == host || name == host.trim_matches(['[', ']']));
        if !is_named && found.iter().any(|address| !is_public(address.ip())) {
            return Err(EgressError::new(format!(
                "`{host}` has an address that is not public; name the host in `allow_private_addresses` if it is meant"
            )));
        }
        Ok(found)
    }

    /// A client that dials these addresses and no other, follows nothing, unpacks nothing and obeys no proxy.
    fn client(&self, host: &str, addresses: &[SocketAddr]) -> Result<Client, reqwest::Error> {
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(true)
            .referer(false)
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .resolve_to_addrs(host, addresses)
            .user_agent("keygate");
        match self.roots.is_empty() {
            true => builder.build(),
            false => builder.tls_certs_only(self.roots.iter().cloned()).build(),
        }
    }
}

/// What stands behind an error: the outermost sentence alone says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        text = format!("{text}: {cause}");
        inner = cause.source();
    }
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Whether an address is one of the public internet. RFC 6890 and the registries of special addresses; what carries an IPv4 address
/// inside of an IPv6 one is never public, whatever it carries.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] => true,
        [100, b, ..] => (64..128).contains(&b),
        [169, 254, ..] => true,
        [172, b, ..] => (16..32).contains(&b),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] => true,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [a, ..] => a >= 224,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is global unicast; the rest is unspecified, loopback, mapped, translated, local or multicast.
    let global = a & 0xe000 == 0x2000;
    // Protocol assignments with Teredo (2001::/23), documentation (2001:db8::/32, 3fff::/20), 6to4 (2002::/16).
    let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disc_02_an_address_that_is_not_public_is_known_in_every_spelling() {
        for private in [
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "fd00::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2603:1030::1",
            "2a00::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    /// Says where a host is, and counts how often it was asked.
    struct Fixed(Vec<SocketAddr>);

    impl Resolve for Fixed {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    async fn refused(found: &[&str], url: &str) -> String {
        let found = found.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443)).collect();
        let egress = Egress::new(Arc::new(Fixed(found)), None, vec!["named.example".to_owned()]).unwrap();
        let url = Url::parse(url).unwrap();
        let host = url.host_str().unwrap().to_owned();
        match egress.addresses(&url, &host).await {
            Ok(_) => String::new(),
            Err(why) => why.0,
        }
    }

    #[tokio::test]
    async fn disc_02_a_host_with_one_private_address_is_not_dialled_at_all() {
        let is_private = |told: &str| assert!(told.contains("not public"), "{told:?}");
        is_private(&refused(&["127.0.0.1"], "https://idp.example/").await);
        is_private(&refused(&["8.8.8.8", "10.0.0.1"], "https://idp.example/").await);
        is_private(&refused(&["::ffff:169.254.169.254"], "https://idp.example/").await);
        // An address in the place of a name: decimal, octal, hexadecimal, short.
        for literal in ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]"] {
            is_private(&refused(&["8.8.8.8"], &format!("https://{literal}/")).await);
        }
        assert!(refused(&[], "https://idp.example/").await.contains("no address"));
        assert_eq!(refused(&["8.8.8.8"], "https://idp.example/").await, "");
        assert_eq!(refused(&["10.0.0.1"], "https://named.example/").await, "");
        is_private(&refused(&["10.0.0.1"], "https://other.named.example/").await);
    }

    #[tokio::test]
    async fn disc_04_only_plain_https_is_asked() {
        let egress = Egress::new(Arc::new(Fixed(Vec::new())), None, Vec::new()).unwrap();
        for odd in ["http://idp.example/", "file:///etc/passwd", "https://user@idp.example/", "ftp://idp.example/"] {
            let told = egress.get(&Url::parse(odd).unwrap()).await.unwrap_err().0;
            assert!(told.contains("plain https"), "{odd}: {told}");
        }
    }
}
