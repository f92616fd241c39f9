//! What a token costs beside its signature, and an attestation beside the signatures of evidence and token.
//! `performance-floor.md` sections 3 (traps 5 and 6), 4 and 8 (T14).
//!
//! Everything is CPU time of the whole process, the store's writer among it, so that waiting for the disk is not in it; the clock on
//! the wall stands in a table of its own, beside the flush of the same folder. `TMPDIR` chooses that folder: in memory a flush costs
//! nothing.

#![allow(missing_docs)]

#[path = "../service/broker.rs"]
#[allow(dead_code)] // of the house, only what attests is of use here
mod broker;
mod rounds;

use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{House, NOW};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate::result::{
    Appraised, AttestationResult, AzureSigningKey, NewToken, PolicyFacts, SigningKey, Source, token,
};
use keygate_forge::amd::{Amd, Product, SnpReport, azure_document};
use keygate_forge::intel::{Intel, SgxQuote, TdxQuote, Tee};
use keygate_keystore::{KeyMaterial, KeyType, RecipientPrivate, Record};
use keygate_verifier::{CollateralId, Endorsements, UnixTime};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Signer;
use rounds::{Rounds, V};
use serde_json::{Map, Value, json};

const P384: &str = "floor/p384_verify";
const RS256: &str = "floor/rs256_sign";
const ES256: &str = "floor/es256_sign";
/// What a workload holds: a key that answers could be sealed to.
const HELD: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"enc","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const KINDS: [AttestationType; 4] =
    [AttestationType::SgxEnclave, AttestationType::OpenEnclave, AttestationType::TdxVm, AttestationType::SevSnpVm];

/// What Intel published, held in memory as the library holds it.
struct Held(Endorsements);

impl Endorser for Held {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        async { Ok(self.0.clone()) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        self.0.clone()
    }
}

/// A house that trusts a platform of each kind, and these platforms.
struct Scene {
    house: House,
    intel: Intel,
    amd: Amd,
    amd_chain: String,
    runtime: tokio::runtime::Runtime,
}

impl Scene {
    fn new() -> Self {
        let (intel, amd) = (Intel::new(NOW), Amd::new(Product::Genoa, NOW));
        let mut held = Endorsements::default();
        for tee in [Tee::Sgx, Tee::Tdx] {
            held.add_file(intel.collateral(&intel.describe(tee)).as_bytes()).expect("collateral");
        }
        let house = House::with(Limits::default(), Arc::new(Held(held)), |anchors| {
            for kind in [EvidenceKind::Sgx, EvidenceKind::Tdx] {
                anchors.add("forge", kind, &intel.root_der()).expect("an anchor");
            }
            anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).expect("an anchor");
        });
        // A machine keeps its certificates; its report is fresh.
        let amd_chain = amd.evidence(&SnpReport::new([0; 64])).chain_pem();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { house, intel, amd, amd_chain, runtime }
    }

    /// Fresh evidence over [`HELD`], signed anew by platform and quoting enclave.
    fn request(&self, attestation_type: AttestationType) -> AzureAttestRequest {
        let mut bound = [0; 64];
        bound[..32].copy_from_slice(&sha256(HELD.as_bytes()));
        let evidence = match attestation_type {
            AttestationType::TdxVm => self.intel.tdx_quote(&TdxQuote::new(bound)),
            AttestationType::SevSnpVm => {
                let report = self.amd.report(&SnpReport::new(bound));
                azure_document(&report, self.amd_chain.as_bytes(), &[]).into_bytes()
            }
            other => {
                let with_oe_header = other == AttestationType::OpenEnclave;
                self.intel.sgx_quote(&SgxQuote { with_oe_header, ..SgxQuote::new(bound) })
            }
        };
        AzureAttestRequest {
            seat: self.house.seat(),
            caller: Caller::Anonymous,
            attestation_type,
            evidence,
            runtime: Some(HeldData { bytes: HELD.as_bytes().to_vec(), json: true }),
            init: None,
            nonce: None,
            draft_policy: None,
            trace: false,
        }
    }

    fn attest(&self, request: AzureAttestRequest) -> String {
        self.runtime.block_on(self.house.broker.azure_attest(request)).expect("a token").token
    }

    fn record(&self) -> Record {
        let body = json!({"op": "attest.SevSnpVm", "correlation": "c".repeat(32), "claims": "x".repeat(1_500)});
        let provider = self.house.provider.clone();
        Record { provider, at: NOW, kind: "attestation".into(), body: body.to_string() }
    }
}

/// A result as long as that of a SEV-SNP report, and what the default policy makes of it.
fn result() -> (AttestationResult, Appraised) {
    let mut attested = Map::new();
    for number in 0..50 {
        attested.insert(format!("x-ms-sevsnpvm-claim-{number}"), json!("ab".repeat(number % 33)));
    }
    attested.insert("keygate".to_owned(), json!({"kind": "snp", "anchor": "vendor", "debug": false}));
    let held: Value = serde_json::from_str(HELD).expect("json");
    let jwk = RecipientPrivate::generate(KeyType::EcP256).expect("a key").public_jwk();
    let result = AttestationResult {
        source: Source::Own(EvidenceKind::Snp),
        attested,
        presented: Map::from_iter([("x-ms-runtime".to_owned(), held)]),
        evidence_digest: [1; 32],
        sameness: [1; 32],
        identities: vec![[2; 32], [3; 32]],
        tcb: None,
        recipient: Some(RecipientKey::from_jwk(&jwk).expect("a key")),
        not_after: UnixTime::from_secs(NOW + 3_600),
    };
    let policy = PolicyFacts { digest: [4; 32], hash: "p".repeat(43), signer: None };
    (result, Appraised { policy, issued: Map::new(), references: None })
}

fn tokens(rounds: &mut Rounds<'_>) {
    let pkcs1 = Rsa::generate(2048).and_then(|rsa| rsa.private_key_to_der()).expect("openssl");
    let kept = AzureSigningKey::from_pkcs1(&pkcs1, Vec::new(), NOW).expect("a key");
    let sec1 = KeyMaterial::generate(KeyType::EcP256).expect("a key").sealed_form();
    let native = SigningKey::from_sec1(&sec1, Vec::new()).expect("a key");
    let (result, appraised) = result();
    let issuer = "https://kms.example";
    let body = result.claims(issuer, &appraised);
    let signed = kept.token(issuer, body.clone()).expect("a token").into_bytes();

    // Both floors sign what the token signs, with a key that was parsed before.
    let message = signed.clone();
    let rsa = Rsa::private_key_from_der(&pkcs1).and_then(PKey::from_rsa).expect("openssl");
    rounds.case(RS256, Vec::new(), move || {
        Signer::new(MessageDigest::sha256(), &rsa).and_then(|mut s| s.sign_oneshot_to_vec(&message)).expect("openssl")
    });
    let curve = |nid| EcGroup::from_curve_name(nid).and_then(|group| EcKey::generate(&group)).expect("openssl");
    let p256 = curve(Nid::X9_62_PRIME256V1);
    rounds.case(ES256, Vec::new(), move || EcdsaSig::sign(&sha256(&signed), &p256).expect("openssl"));
    let (p384, digest) = (curve(Nid::SECP384R1), [7; 48]);
    let signature = EcdsaSig::sign(&digest, &p384).expect("openssl");
    rounds.case(P384, Vec::new(), move || assert!(signature.verify(&digest, &p384).expect("openssl")));

    rounds.fed("token/sign_rs256", vec![(1.0, RS256)], move || body.clone(), move |body| kept.token(issuer, body));
    rounds.case("token/sign_es256", vec![(1.0, ES256)], move || {
        let new = NewToken { issuer, audience: issuer, issued: NOW, expires: NOW + 600, jti: "0123456789abcdef" };
        token::issue(&native, &new, &result, &appraised).expect("a token")
    });
}

/// Time on the wall of one attestation after the other, and of a flush in the same folder; medians.
fn walls(scene: &Scene) {
    let median = |mut work: Box<dyn FnMut() -> Duration + '_>| {
        let mut times: Vec<Duration> = (0..101).map(|_| work()).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let folder = scene.house.dir.path();
    let mut file = std::fs::File::create(folder.join("flush")).expect("a file");
    file.write_all(&[0; 4096]).and_then(|()| file.sync_all()).expect("a file");
    let mut flush = || {
        let start = Instant::now();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&[1; 4096])).expect("a file");
        file.sync_data().expect("a flush");
        start.elapsed()
    };
    println!(
        "\nclock on the wall, one after the other, store in {}: F {:?}",
        folder.display(),
        median(Box::new(&mut flush))
    );
    for kind in KINDS {
        let once = || {
            let request = scene.request(kind);
            let start = Instant::now();
            scene.attest(request);
            start.elapsed()
        };
        println!("attest/{:<20}{:?}", kind.as_str(), median(Box::new(once)));
    }
}

fn main() {
    let scene = Scene::new();
    let mut rounds = Rounds::new();
    tokens(&mut rounds);
    for kind in KINDS {
        let floor = match kind {
            AttestationType::SevSnpVm => vec![(1.0, P384), (1.0, RS256)],
            _ => vec![(2.0, V), (1.0, RS256)],
        };
        let (scene, name) = (&scene, format!("attest/{}", kind.as_str()));
        rounds.fed(name, floor, move || scene.request(kind), move |request| scene.attest(request));
    }
    let record = || scene.record();
    rounds.fed("record", vec![(1.0, V)], record, |record| {
        scene.house.keystore.record_within_reserve(record).expect("stored")
    });
    rounds.run();
    if std::env::args().any(|argument| argument == "--bench") {
        walls(&scene);
    }
}
