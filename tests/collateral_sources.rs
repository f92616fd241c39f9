//! Intel's and AMD's services, played by a local server in their own shapes: what we fetch is what they serve.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use keygate::clock::StillClock;
use keygate::collateral::{AmdKds, IntelPcs, Library, LibrarySetup};
use keygate_forge::amd::{self, Amd, SnpReport};
use keygate_forge::intel::{Intel, TdxQuote, Tee};
use keygate_verifier::{
    Anchors, Binding, CollateralId, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verifier,
};
use serde_json::{Value, json};

const NOW: i64 = 1_795_000_000;

/// What a service answers: path with its query, headers, body.
type Answers = Vec<(String, Vec<(&'static str, String)>, Vec<u8>)>;

fn serve(answers: Answers) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        let server = HttpServer::new(move || {
            let answers = Arc::clone(&answers);
            App::new().default_service(web::to(move |request: HttpRequest| {
                let answer = answers.iter().find(|(path, ..)| request.uri().to_string() == *path).cloned();
                async move {
                    match answer {
                        None => HttpResponse::NotFound().body(format!("no {}", request.uri())),
                        Some((_, headers, body)) => {
                            let mut response = HttpResponse::Ok();
                            for (name, value) in headers {
                                response.insert_header((name, value));
                            }
                            response.body(body)
                        }
                    }
                }
            }))
        });
        actix_web::rt::System::new().block_on(server.workers(1).listen(socket).unwrap().run()).unwrap();
    });
    url
}

/// RFC 3986 section 2.1, as the service writes its issuer chains.
fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

fn library(pcs: &str, kds: &str) -> Library {
    Library::new(LibrarySetup {
        offline: Endorsements::default(),
        sources: vec![Box::new(IntelPcs::new(pcs, 5).unwrap()), Box::new(AmdKds::new(kds, 5).unwrap())],
        cache: None,
        fetches_per_minute: 100,
        fetches_per_source: 100,
        clock: Arc::new(StillClock::at(NOW)),
    })
}

/// The wish-list loop of the broker, at most three rounds.
async fn verified(verifier: &Verifier, library: &Library, evidence: &Evidence<'_>, mut held: Endorsements) -> Outcome {
    let mut options = Options::show_all();
    options.nothing_more = false;
    for _ in 0..3 {
        match verifier.verify(evidence, &Binding::Unbound, &held, &options, UnixTime::from_secs(NOW)).unwrap() {
            Outcome::Wants(ids) => held.extend(&library.fetch(&ids, "test").await.unwrap()),
            other => return other,
        }
    }
    panic!("still wishing after three rounds");
}

#[tokio::test]
async fn a_tdx_quote_is_verified_with_what_the_intel_service_serves() {
    let intel = Intel::new(NOW);
    let set: Value = serde_json::from_str(&intel.collateral(&intel.describe(Tee::Tdx))).unwrap();
    let text = |name: &str| set[name].as_str().unwrap().to_owned();
    let fmspc = serde_json::from_str::<Value>(&text("tcb_info")).unwrap()["fmspc"].as_str().unwrap().to_uppercase();
    let signed = |member: &str, body: &str, signature: &str| {
        // The service sends the signed text as it is, inside of an object.
        format!(r#"{{"{member}":{},"signature":"{}"}}"#, text(body), text(signature)).into_bytes()
    };
    let chain = |name: &'static str, of: &str| vec![(name, percent(&text(of)))];
    let url = serve(vec![
        (
            format!("/tdx/certification/v4/tcb?fmspc={fmspc}"),
            chain("TCB-Info-Issuer-Chain", "tcb_info_issuer_chain"),
            signed("tcbInfo", "tcb_info", "tcb_info_signature"),
        ),
        (
            "/tdx/certification/v4/qe/identity".to_owned(),
            chain("SGX-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain"),
            signed("enclaveIdentity", "qe_identity", "qe_identity_signature"),
        ),
        (
            "/sgx/certification/v4/pckcrl?ca=platform&encoding=der".to_owned(),
            chain("SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain"),
            hex::decode(text("pck_crl")).unwrap(),
        ),
        (
            "/sgx/certification/v4/pckcrl?ca=processor&encoding=der".to_owned(),
            chain("SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain"),
            hex::decode(text("pck_crl")).unwrap(),
        ),
        ("/sgx/certification/v4/rootcacrl".to_owned(), Vec::new(), text("root_ca_crl").into_bytes()),
    ]);
    let mut anchors = Anchors::none();
    anchors.add("lab", EvidenceKind::Tdx, &intel.root_der()).unwrap();
    let verifier = Verifier::new(anchors);
    let quote = intel.tdx_quote(&TdxQuote::new([7; 64]));
    let library = library(&url, "http://127.0.0.1:1");
    let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &quote };
    let Outcome::Verified(found) = verified(&verifier, &library, &evidence, Endorsements::default()).await else {
        panic!("not accepted")
    };
    assert_eq!(found.claims()["keygate"]["tcb"]["status"], json!("UpToDate"));
}

#[tokio::test]
async fn an_snp_report_is_verified_with_what_the_amd_service_serves() {
    let amd = Amd::new(amd::Product::Genoa, NOW);
    let made = amd.evidence(&SnpReport::new([9; 64]));
    let mut anchors = Anchors::none();
    anchors.add("lab", EvidenceKind::Snp, &amd.ark_der()).unwrap();
    let verifier = Verifier::new(anchors);
    let evidence = Evidence { kind: EvidenceKind::Snp, bytes: &made.report };
    let mut options = Options::show_all();
    options.nothing_more = false;
    let wish =
        verifier.verify(&evidence, &Binding::Unbound, &Endorsements::default(), &options, UnixTime::from_secs(NOW));
    let Ok(Outcome::Wants(ids)) = wish else { panic!("no wish: {wish:?}") };
    let Some(CollateralId::AmdVcek { chip_id, tcb, .. }) = ids.first() else { panic!("{ids:?}") };
    let pem = |der: &[u8]| openssl::x509::X509::from_der(der).unwrap().to_pem().unwrap();
    let url = serve(vec![
        (
            format!(
                "/vcek/v1/Genoa/{}?blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
                hex::encode(chip_id),
                tcb.bootloader,
                tcb.tee,
                tcb.snp,
                tcb.microcode
            ),
            Vec::new(),
            made.vek.clone(),
        ),
        ("/vcek/v1/Genoa/cert_chain".to_owned(), Vec::new(), [pem(&amd.ask_der()), pem(&amd.ark_der())].concat()),
    ]);
    let library = library("http://127.0.0.1:1", &url);
    // The embedded ASK is AMD's own: that of the lab's hierarchy comes from its operator.
    let mut held = Endorsements::default();
    held.add_certificate(&amd.ask_der());
    let Outcome::Verified(found) = verified(&verifier, &library, &evidence, held).await else { panic!("not accepted") };
    assert_eq!(found.claims()["x-ms-sevsnpvm-reportdata"], json!(hex::encode([9; 64])));
}

#[tokio::test]
async fn a_service_that_has_it_not_is_said_so() {
    let url = serve(Vec::new());
    let library = library(&url, &url);
    let id = CollateralId::IntelRootCrl;
    let why = library.fetch(&[id], "test").await.unwrap_err();
    assert!(why.to_string().contains("404") && why.to_string().contains("intel-root-crl"), "{why}");
}
