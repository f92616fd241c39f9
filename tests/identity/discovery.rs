//! From an issuer's name to its keys, over a network that lies. `bad-inputs.md` section 2; threat model B3.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use keygate::identity::{Discovery, Egress, KeySource as _, Resolve, SystemResolver};
use serde_json::json;

use super::authority::Wanted;
use super::issuer::{Issuer, Said, SigningKey, key_set};

fn egress(issuer: &Issuer, named: &[&str]) -> Egress {
    let named = named.iter().map(|host| (*host).to_owned()).collect();
    Egress::new(Arc::new(SystemResolver), Some(&issuer.root.pem()), named).unwrap()
}

fn discovery(issuer: &Issuer, named: &[&str], hosts: &[String]) -> Discovery {
    Discovery::new(issuer.url.clone(), hosts.to_vec(), egress(issuer, named))
}

/// The keys, or why not.
async fn fetched(issuer: &Issuer) -> Result<Vec<u8>, String> {
    discovery(issuer, &["localhost"], &[]).fetch().await.map_err(|why| why.to_string())
}

async fn refused(issuer: &Issuer, because: &str) {
    let why = fetched(issuer).await.unwrap_err();
    assert!(why.contains(because), "{why}");
}

#[tokio::test]
async fn disc_02_a_loopback_address_is_dialled_where_its_host_is_named_and_only_there() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(&[&key]);
    let why = discovery(&issuer, &[], &[]).fetch().await.unwrap_err().to_string();
    assert!(why.contains("not public") && why.contains("allow_private_addresses"), "{why}");
    let why = discovery(&issuer, &["elsewhere"], &[]).fetch().await.unwrap_err().to_string();
    assert!(why.contains("not public"), "{why}");
    assert!(issuer.asked().is_empty());
    assert_eq!(fetched(&issuer).await.unwrap(), key_set(&[&key]).to_string().into_bytes());
    assert_eq!(issuer.asked(), ["/.well-known/openid-configuration", "/keys"]);
}

/// Says a good address first and another one ever after.
struct Rebinding(AtomicUsize);

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let address = if first { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(127, 0, 0, 2) };
        Box::pin(async move { Ok(vec![SocketAddr::from((address, port))]) })
    }
}

#[tokio::test]
async fn disc_03_the_address_that_was_looked_at_is_the_one_that_is_dialled() {
    // No resolver of this machine knows the host: what is reached was reached by the address that was handed in.
    let issuer = Issuer::start_as("idp.invalid", &Wanted::server("idp.invalid"), &[]);
    let resolver = Arc::new(Rebinding(AtomicUsize::new(0)));
    let named = vec!["idp.invalid".to_owned()];
    let egress = Egress::new(Arc::clone(&resolver) as _, Some(&issuer.root.pem()), named).unwrap();
    let place = format!("{}/.well-known/openid-configuration", issuer.url).parse().unwrap();
    assert!(egress.get(&place).await.is_ok());
    assert_eq!(resolver.0.load(Ordering::SeqCst), 1, "asked once, by us");
    assert!(egress.get(&place).await.is_err(), "nobody is at the second address");
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn disc_04_no_redirect_is_followed() {
    let target = Issuer::start(&[&SigningKey::new("a")]);
    for place in [format!("{}/keys", target.url), "http://localhost/keys".to_owned(), "file:///etc/passwd".to_owned()] {
        let issuer = Issuer::start(&[]);
        issuer.says(|script| script.document = Said::Redirect(place.clone()));
        refused(&issuer, "answered 302").await;
        let own = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)});
        issuer.says(|script| script.document = Said::json(&own));
        issuer.says(|script| script.keys = Said::Redirect(place.clone()));
        refused(&issuer, "answered 302").await;
    }
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn disc_05_a_document_of_another_issuer_is_refused() {
    let issuer = Issuer::start(&[&SigningKey::new("a")]);
    for other in [format!("{}/", issuer.url), issuer.url.to_uppercase(), "https://idp.example".to_owned()] {
        let document = json!({"issuer": other, "jwks_uri": format!("{}/keys", issuer.url)});
        issuer.says(|script| script.document = Said::json(&document));
        refused(&issuer, "of another issuer").await;
    }
    for broken in
        [json!({"jwks_uri": issuer.url}), json!({"issuer": issuer.url}), json!([]), json!({"issuer": [issuer.url]})]
    {
        issuer.says(|script| script.document = Said::json(&broken));
        refused(&issuer, "does not parse").await;
    }
    assert!(!issuer.asked().contains(&"/keys".to_owned()));
}

#[tokio::test]
async fn disc_06_keys_on_another_host_are_fetched_where_that_host_is_named() {
    let key = SigningKey::new("a");
    let holder = Issuer::start(&[&key]);
    let issuer = Issuer::start(&[]);
    let document = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", holder.url)});
    issuer.says(|script| script.document = Said::json(&document));
    refused(&issuer, "jwks_hosts").await;
    assert!(holder.asked().is_empty());

    let place = format!("localhost:{}", holder.port());
    let roots = [issuer.root.pem(), holder.root.pem()].concat();
    let egress = Egress::new(Arc::new(SystemResolver), Some(&roots), vec!["localhost".to_owned()]).unwrap();
    let named = Discovery::new(issuer.url.clone(), vec![place], egress);
    assert_eq!(named.fetch().await.unwrap(), key_set(&[&key]).to_string().into_bytes());
}

#[tokio::test]
async fn disc_07_a_tls_certificate_that_does_not_hold_is_refused() {
    let key = SigningKey::new("a");
    let another = Issuer::start(&[&key]);
    let issuer = Issuer::start(&[&key]);
    let egress = egress(&another, &["localhost"]);
    let why = Discovery::new(issuer.url.clone(), Vec::new(), egress).fetch().await.unwrap_err().to_string();
    assert!(why.contains("cannot be asked"), "{why}");

    for wanted in [
        Wanted::server("elsewhere.example"),
        Wanted { end: 1_700_000_000, ..Wanted::server("localhost") },
        Wanted { purpose: Some("clientAuth"), ..Wanted::server("localhost") },
    ] {
        refused(&Issuer::start_as("localhost", &wanted, &[&key]), "cannot be asked").await;
    }
    assert!(issuer.asked().is_empty());
    assert!(fetched(&issuer).await.is_ok());
}

#[test]
fn disc_07_no_source_switches_verification_off() {
    fn walk(folder: &std::path::Path) {
        for entry in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                walk(&entry);
            } else {
                let text = std::fs::read_to_string(&entry).unwrap_or_default();
                assert!(!text.contains("danger_accept_invalid"), "{}", entry.display());
            }
        }
    }
    walk(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}

#[tokio::test]
async fn disc_08_what_is_too_large_or_too_slow_is_given_up() {
    let issuer = Issuer::start(&[]);
    let document = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)}).to_string().into_bytes();
    let padded = |bytes: usize| [document.as_slice(), &vec![b' '; bytes - document.len()]].concat();
    issuer.says(|script| script.document = Said::Body(padded(512 * 1024)));
    assert!(fetched(&issuer).await.is_ok(), "the limit itself is allowed");
    issuer.says(|script| script.document = Said::Body(padded(512 * 1024 + 1)));
    refused(&issuer, "larger than").await;
    issuer.says(|script| script.document = Said::Endless);
    refused(&issuer, "larger than").await;
    issuer.says(|script| script.document = Said::Drip);
    let began = Instant::now();
    refused(&issuer, "no answer within 5 s").await;
    assert!(began.elapsed() < Duration::from_secs(7));
    issuer.says(|script| script.document = Said::Status(500));
    refused(&issuer, "answered 500").await;
}

#[tokio::test]
async fn disc_09_nothing_is_unpacked() {
    let issuer = Issuer::start(&[&SigningKey::new("a")]);
    assert!(fetched(&issuer).await.is_ok());
    assert_eq!(issuer.header("accept-encoding"), None, "compression is not offered");
    for coding in ["gzip", "br", "zstd", "deflate", "gzip, identity"] {
        issuer.says(|script| script.keys = Said::With("content-encoding", coding.to_owned(), b"\x1f\x8b".to_vec()));
        refused(&issuer, "is compressed").await;
    }
}

#[tokio::test]
async fn disc_02_a_port_that_nobody_listens_on_is_an_answer_too() {
    let issuer = Issuer::start(&[]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("https://localhost:{free}");
    let why = Discovery::new(url, Vec::new(), egress(&issuer, &["localhost"])).fetch().await.unwrap_err().to_string();
    assert!(why.contains("cannot be asked"), "{why}");
}
