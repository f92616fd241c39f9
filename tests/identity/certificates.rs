//! Clients with a certificate, under their CA or another, with the name or another, for the purpose or another.
//!
//! `bad-inputs.md` ADM-16, DISC-16; RFC 5280.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use keygate::broker::*;
use keygate::identity::{CertificateSetup, Identity, PeerCertificate, Subject, stack};
use keygate_forge::keys::SigAlg;
use keygate_forge::x509::Crl;
use keygate_keystore::KeyType;
use keygate_verifier::UnixTime;
use openssl::x509::X509Crl;
use serde_json::json;

use super::authority::{END, Papers, Wanted};
use super::broker::{HOST, House, NOW, request};

fn entry(name: &str, root: &Papers, subject: &str) -> CertificateSetup {
    CertificateSetup {
        name: name.to_owned(),
        provider: None,
        authorities: vec![root.certificate.clone()],
        crl: None,
        subject: Subject::parse(subject).unwrap(),
        roles: vec!["key-user".to_owned()],
    }
}

fn examined(identity: &Identity, papers: &Papers, between: &[&Papers], now: i64) -> Option<PeerCertificate> {
    let chain: Vec<_> = between.iter().map(|papers| papers.certificate.clone()).collect();
    identity.examine(&papers.certificate, &stack(&chain).unwrap(), UnixTime::from_secs(now))
}

fn name_at(identity: &Identity, papers: &Papers, provider: &str) -> Option<String> {
    let peer = examined(identity, papers, &[], NOW)?;
    identity.client(provider, &peer, UnixTime::from_secs(NOW)).map(|person| person.name)
}

#[test]
fn a_client_is_known_by_the_exact_name_of_its_certificate() {
    let root = Papers::root("clients");
    let uri = "spiffe://example/ci";
    let entries = vec![
        entry("by-cn", &root, "CN=ci"),
        entry("by-dns", &root, "DNS=ci.example"),
        entry("by-uri", &root, &format!("URI={uri}")),
    ];
    let identity = Identity::new(Vec::new(), entries);
    let who = |wanted: &Wanted<'_>| name_at(&identity, &root.issue(wanted), "default");
    assert_eq!(who(&Wanted::client("ci")).as_deref(), Some("cert:by-cn"));
    assert_eq!(
        who(&Wanted { dns: vec!["a.example", "ci.example"], ..Wanted::client("x") }).as_deref(),
        Some("cert:by-dns")
    );
    assert_eq!(who(&Wanted { uri: vec![uri], ..Wanted::client("x") }).as_deref(), Some("cert:by-uri"));
    for other in [
        Wanted::client("CI"),
        Wanted::client("ci2"),
        Wanted::client("c"),
        Wanted { common_names: vec!["ci", "other"], ..Wanted::client("ci") },
        Wanted { common_names: vec!["ci\0"], ..Wanted::client("ci") },
        Wanted { common_names: Vec::new(), ..Wanted::client("") },
        Wanted::client("ci.example"),
        Wanted { dns: vec!["CI.example"], ..Wanted::client("x") },
        Wanted { dns: vec!["*.example"], ..Wanted::client("x") },
        Wanted { uri: vec!["spiffe://example/ci/"], ..Wanted::client("x") },
        Wanted { uri: vec!["ci.example"], ..Wanted::client("x") },
    ] {
        assert_eq!(who(&other), None, "{:?} {:?} {:?}", other.common_names, other.dns, other.uri);
    }
}

#[test]
fn adm_16_another_ca_an_ended_certificate_and_another_purpose_are_nobody() {
    let (root, other) = (Papers::root("clients"), Papers::root("clients"));
    let identity = Identity::new(Vec::new(), vec![entry("ci", &root, "CN=ci")]);
    let is_known = |papers: &Papers| examined(&identity, papers, &[], NOW).is_some();
    assert!(is_known(&root.issue(&Wanted::client("ci"))));
    assert!(is_known(&root.issue(&Wanted { purpose: Some("serverAuth,clientAuth"), ..Wanted::client("ci") })));
    assert!(!is_known(&other.issue(&Wanted::client("ci"))), "a CA of the same name");
    assert!(!is_known(&Papers::root("ci")), "its own CA");
    assert!(!is_known(&root.issue(&Wanted { end: NOW - 1, ..Wanted::client("ci") })));
    for purpose in [None, Some("serverAuth"), Some("codeSigning"), Some("1.3.6.1.4.1.311.20.2.2")] {
        assert!(!is_known(&root.issue(&Wanted { purpose, ..Wanted::client("ci") })), "{purpose:?}");
    }
}

#[test]
fn adm_16_a_name_counts_under_the_ca_of_its_entry_alone() {
    let (one, two) = (Papers::root("one"), Papers::root("two"));
    let identity = Identity::new(Vec::new(), vec![entry("one", &one, "CN=a"), entry("two", &two, "CN=b")]);
    let who = |root: &Papers, name: &str| name_at(&identity, &root.issue(&Wanted::client(name)), "default");
    assert_eq!(who(&one, "a").as_deref(), Some("cert:one"));
    assert_eq!(who(&two, "b").as_deref(), Some("cert:two"));
    assert_eq!(who(&one, "b"), None);
    assert_eq!(who(&two, "a"), None);
    assert_eq!(identity.authorities().len(), 2);
}

#[test]
fn a_chain_may_have_a_certificate_between_and_must_show_it() {
    let root = Papers::root("clients");
    let between = root.issue(&Wanted::authority("between"));
    let client = between.issue(&Wanted::client("ci"));
    let identity = Identity::new(Vec::new(), vec![entry("ci", &root, "CN=ci")]);
    assert!(examined(&identity, &client, &[&between], NOW).is_some());
    assert!(examined(&identity, &client, &[], NOW).is_none());
    let no_ca = root.issue(&Wanted::client("between"));
    let forged = no_ca.issue(&Wanted::client("ci"));
    assert!(examined(&identity, &forged, &[&no_ca], NOW).is_none(), "a client is no CA");
}

/// A list of `root` with these on it, in force until `end`.
fn list(root: &Papers, revoked: &[&Papers], end: i64) -> Vec<u8> {
    let name = root.certificate.subject_name().to_der().unwrap();
    let mut list = Crl::new(name, &[7; 20], SigAlg::EcdsaSha256).dated(1_700_000_000, end).without_key_id();
    for papers in revoked {
        list = list.revoking(&papers.certificate.serial_number().to_bn().unwrap().to_vec());
    }
    X509Crl::from_der(&list.sign(&root.key)).unwrap().to_pem().unwrap()
}

#[test]
fn adm_16_a_revoked_client_is_nobody_and_so_is_everybody_without_a_list_in_force() {
    let (root, other) = (Papers::root("clients"), Papers::root("clients"));
    let unrelated = Papers::root("others");
    let (good, bad) = (root.issue(&Wanted::client("ci")), root.issue(&Wanted::client("ci")));
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("crl.pem");
    let listed = CertificateSetup { crl: Some(file.clone()), ..entry("ci", &root, "CN=ci") };
    let identity = Identity::new(Vec::new(), vec![listed]);
    let is_known = |papers: &Papers| examined(&identity, papers, &[], NOW).is_some();
    assert!(!is_known(&good), "no file");
    std::fs::write(&file, list(&root, &[&bad], END)).unwrap();
    assert!(is_known(&good) && !is_known(&bad));
    std::fs::write(&file, [list(&unrelated, &[&good], END), list(&root, &[&bad], END)].concat()).unwrap();
    assert!(is_known(&good) && !is_known(&bad), "lists of two CAs in one file");
    std::fs::write(&file, list(&other, &[], END)).unwrap();
    assert!(!is_known(&good), "a list of another CA with the same name");
    std::fs::write(&file, list(&root, &[], NOW - 1)).unwrap();
    assert!(!is_known(&good), "a list that has ended");
    std::fs::write(&file, b"nothing").unwrap();
    assert!(!is_known(&good));
}

#[test]
fn disc_16_an_address_in_a_certificate_is_never_dialled() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let place = format!("http://{}/crl", socket.local_addr().unwrap());
    let root = Papers::root("clients");
    let identity = Identity::new(Vec::new(), vec![entry("ci", &root, "CN=ci")]);
    let papers = root.issue(&Wanted { crl_at: Some(place), ..Wanted::client("ci") });
    assert!(examined(&identity, &papers, &[], NOW).is_some());
    assert_eq!(socket.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// A house that knows one client everywhere and one of `other` alone, and a seat of a connection with these papers.
struct Gatehouse {
    house: House,
    root: Papers,
    identity: Arc<Identity>,
}

impl Gatehouse {
    fn new() -> Self {
        let root = Papers::root("clients");
        let only = CertificateSetup { provider: Some("other".to_owned()), ..entry("only", &root, "CN=only") };
        let identity = Arc::new(Identity::new(Vec::new(), vec![entry("ci", &root, "CN=ci"), only]));
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), Arc::clone(&identity), |_| ());
        Self { house, root, identity }
    }

    fn seat(&self, host: &str, common_name: &str) -> Seat {
        let papers = self.root.issue(&Wanted { end: NOW + 1_000, ..Wanted::client(common_name) });
        let peer = examined(&self.identity, &papers, &[], NOW).map(Arc::new);
        Seat { peer, ..self.house.seat_at(host) }
    }

    fn caller(&self, seat: &Seat, bearer: Option<&str>) -> Result<Caller, Code> {
        self.house.broker.caller(seat, bearer).map_err(|refused| refused.code)
    }
}

#[test]
fn adm_16_who_shows_no_certificate_that_counts_is_anonymous() {
    let gate = Gatehouse::new();
    assert_eq!(gate.caller(&gate.house.seat(), None), Ok(Caller::Anonymous));
    assert_eq!(gate.caller(&gate.seat(HOST, "stranger"), None), Ok(Caller::Anonymous));
    assert_eq!(gate.caller(&gate.seat(HOST, "only"), None), Ok(Caller::Anonymous), "known to another provider");
    let known = gate.caller(&gate.seat("other.example", "only"), None).unwrap();
    assert_eq!((known.name(), known.has("key-user")), (Some("cert:only"), true));
}

#[test]
fn a_bearer_that_is_sent_must_be_valid_whatever_the_connection_shows() {
    let gate = Gatehouse::new();
    let seat = gate.seat(HOST, "ci");
    gate.house.employ("ann");
    assert_eq!(gate.caller(&seat, None).unwrap().name(), Some("cert:ci"));
    assert_eq!(gate.caller(&seat, Some(&format!("kg_{:_<43}", "ann"))).unwrap().name(), Some("ann"));
    for odd in ["", "kg_unknown", "a.b.c"] {
        assert_eq!(gate.caller(&seat, Some(odd)), Err(Code::CredentialInvalid));
    }
}

#[tokio::test]
async fn a_certificate_counts_until_it_ends_and_no_longer() {
    let gate = Gatehouse::new();
    gate.house.key("db-key", KeyType::Oct256, json!({}));
    let seat = gate.seat(HOST, "ci");
    let caller = gate.caller(&seat, None).unwrap();
    let wrap = || {
        let usage = Usage::Wrap { alg: "A256GCM".to_owned(), plaintext: b"secret".to_vec().into(), aad: Vec::new() };
        KeyRequest { caller: caller.clone(), seat: seat.clone(), ..request(&gate.house, "db-key", usage, Proof::None) }
    };
    gate.house.clock.advance(999);
    gate.house.broker.use_key(wrap()).await.unwrap();
    assert_eq!(gate.house.newest("key.use")["caller"], "cert:ci");
    gate.house.clock.advance(2);
    assert_eq!(gate.house.broker.use_key(wrap()).await.unwrap_err().code, Code::CredentialInvalid);
    assert_eq!(gate.caller(&seat, None), Ok(Caller::Anonymous), "on a connection that is older than its end");
}
