//! Certificates and tables written by hand, each wrong in one way that no ready-made fault has.
//!
//! VCEK and VLEK certificates and KDS interface (AMD 57230) section 3; bad inputs, SNP-10, SNP-12, SNP-14 and SNP-27.

use std::sync::LazyLock;

use keygate_forge::amd::{Amd, GUID_ASK, GUID_CRL, GUID_VCEK, Product, SigningKey, SnpReport, Tcb, certificate_table};
use keygate_forge::der;
use keygate_forge::keys::{self, Key, SigAlg};
use keygate_forge::x509::{self, Cert, Crl, Extension, key_id, usage};
use keygate_verifier::{Anchors, Endorsements, EvidenceKind, Options, Outcome, UnixTime, Verifier, VerifyError};

use crate::{NOW, chain, code, judge, judge_forged, verified};

const PSS: SigAlg = SigAlg::RsaPssSha384 { trailer: true };
const ARC: &str = "1.3.6.1.4.1.3704.1";

/// An ARK of one's own, under which anything can be signed.
struct Own {
    amd: Amd,
    root: Key,
    middle: Key,
}

fn named(common: &str) -> Vec<u8> {
    x509::name(&[("O", "Advanced Micro Devices"), ("CN", common)])
}

fn rsa() -> Key {
    openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap()
}

fn cert(subject: &str, issuer: &str, key: &Key, extensions: Vec<Extension>) -> Cert {
    Cert {
        serial: vec![1],
        issuer: named(issuer),
        subject: named(subject),
        not_before: NOW - 1000,
        not_after: NOW + 1000,
        raw_validity: None,
        spki: keys::spki(key),
        extensions,
        algorithm: PSS,
    }
}

fn authority() -> Vec<Extension> {
    vec![Extension::authority(None), Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN)]
}

impl Own {
    fn new(product: Product) -> Self {
        // Made once: finding primes takes longer than all the tests that use them.
        static KEYS: LazyLock<[Key; 2]> = LazyLock::new(|| [rsa(), rsa()]);
        let [root, middle] = KEYS.clone();
        Self { amd: Amd::new(product, NOW), root, middle }
    }

    fn ark(&self) -> Vec<u8> {
        let name = format!("ARK-{}", self.amd.product.name());
        let mut extensions = authority();
        extensions.push(Extension::subject_key(&key_id(&self.root)));
        cert(&name, &name, &self.root, extensions).sign(&self.root)
    }

    fn issuer(&self, name: &str) -> Vec<u8> {
        cert(name, &format!("ARK-{}", self.amd.product.name()), &self.middle, authority()).sign(&self.root)
    }

    /// What AMD writes into the certificate of the chip's key.
    fn extensions(&self) -> Vec<Extension> {
        let turin = self.amd.product == Product::Turin;
        let hwid = if turin { &self.amd.chip_id[..8] } else { &self.amd.chip_id[..] };
        let mut out = vec![
            amd("1", der::integer(u64::from(turin))),
            amd("2", der::ia5(self.amd.product.name())),
            amd("3.1", der::integer(4)),
            amd("3.2", der::integer(0)),
            amd("3.3", der::integer(24)),
            amd("3.8", der::integer(219)),
            amd("4", hwid.to_vec()),
        ];
        if turin {
            out.push(amd("3.9", der::integer(1)));
        }
        out
    }

    fn vek(&self, extensions: Vec<Extension>) -> Cert {
        let issuer = format!("SEV-{}", self.amd.product.name());
        cert("SEV-VCEK", &issuer, self.amd.vcek_key(), extensions)
    }

    fn judge(&self, certificates: &[Vec<u8>]) -> Result<Outcome, VerifyError> {
        let mut anchors = Anchors::none();
        anchors.add("own", EvidenceKind::Snp, &self.ark()).unwrap();
        let mut held = Endorsements::default();
        for der in certificates {
            held.add_certificate(der);
        }
        let report = self.amd.report(&SnpReport::new([7; 64]));
        judge(&Verifier::new(anchors), &report, &held, &Options::strict(), UnixTime::from_secs(NOW))
    }

    /// The code for a VCEK with these extensions under a right chain.
    fn code_of(&self, extensions: Vec<Extension>) -> &'static str {
        let issuer = self.issuer(&format!("SEV-{}", self.amd.product.name()));
        code(self.judge(&[self.vek(extensions).sign(&self.middle), issuer]))
    }
}

fn amd(tail: &str, value: Vec<u8>) -> Extension {
    Extension::new(&format!("{ARC}.{tail}"), false, value)
}

/// `extensions` with one replaced or added.
fn with(mut extensions: Vec<Extension>, tail: &str, value: Vec<u8>) -> Vec<Extension> {
    let changed = amd(tail, value);
    extensions.retain(|e| e.oid != changed.oid);
    extensions.push(changed);
    extensions
}

#[test]
fn snp_27_each_extension_is_needed_and_in_range() {
    for product in [Product::Genoa, Product::Turin] {
        let own = Own::new(product);
        let good = own.extensions();
        assert_eq!(own.code_of(good.clone()), "verified");
        for missing in &good {
            let rest: Vec<_> = good.iter().filter(|e| e.oid != missing.oid).cloned().collect();
            assert_eq!(own.code_of(rest), "malformed", "{product:?} without {}", missing.oid);
        }
        for tail in ["1", "3.1", "3.2", "3.3", "3.8"] {
            for value in
                [der::raw_integer(&[1, 0]), der::raw_integer(&[0, 4]), der::raw_integer(&[0x84]), vec![], vec![4]]
            {
                assert_eq!(own.code_of(with(good.clone(), tail, value)), "malformed", "{tail}");
            }
        }
        for value in [der::utf8(product.name()), der::ia5(""), vec![0x16, 9]] {
            assert_ne!(own.code_of(with(good.clone(), "2", value)), "verified");
        }
        assert_eq!(own.code_of(with(good.clone(), "2", der::ia5("Venice"))), "unsupported");
        assert_eq!(own.code_of(with(good.clone(), "5", der::ia5("CN=both"))), "malformed");
        assert_eq!(own.code_of(with(good.clone(), "3.10", der::integer(0))), "unsupported");
        assert_eq!(own.code_of(with(good.clone(), "3.4", der::integer(0))), "verified");
        assert_eq!(own.code_of(with(good.clone(), "3.4", der::integer(1))), "tcb-rejected");
    }
}

#[test]
fn snp_27_both_encodings_of_the_hardware_id_are_read() {
    for product in [Product::Genoa, Product::Turin] {
        let own = Own::new(product);
        let length = product.hwid_length();
        let hwid = own.amd.chip_id[..length].to_vec();
        let judge = |value| own.code_of(with(own.extensions(), "4", value));
        assert_eq!(judge(der::octets(&hwid)), "verified");
        assert_eq!(judge(der::octets(&hwid[..length - 1])), "malformed");
        assert_eq!(judge([der::octets(&hwid), vec![0]].concat()), "malformed");
        assert_eq!(judge([&[4, 1][..], &hwid].concat()), "malformed");
        assert_eq!(judge(der::bits(&hwid, 0)), "malformed");
    }
    let genoa = Own::new(Product::Genoa);
    assert_eq!(genoa.code_of(with(genoa.extensions(), "3.9", der::integer(1))), "malformed");
}

#[test]
fn snp_12_the_path_is_key_authority_root_and_the_authority_has_its_name() {
    let own = Own::new(Product::Genoa);
    let good = own.vek(own.extensions());
    let under = |name: &str| {
        let mut vek = good.clone();
        vek.issuer = named(name);
        code(own.judge(&[vek.sign(&own.middle), own.issuer(name)]))
    };
    assert_eq!(under("SEV-Genoa"), "verified");
    for other in ["SEV-VLEK-Genoa", "SEV-Milan", "SEV-Genoa-2", "ARK-Genoa"] {
        assert_eq!(under(other), "chain-untrusted", "{other}");
    }
    // Issued by the root itself.
    let mut direct = good.clone();
    direct.issuer = named("ARK-Genoa");
    assert_eq!(code(own.judge(&[direct.sign(&own.root)])), "chain-untrusted");
    assert_eq!(code(own.judge(&[direct.sign(&own.root), own.ark()])), "chain-untrusted");
    // Without its authority at hand: the embedded one is another.
    assert_eq!(code(own.judge(&[good.sign(&own.middle)])), "chain-untrusted");
    // Several authorities of the name, the right one last.
    let mut many: Vec<_> =
        (0..3).map(|_| Own { middle: rsa(), ..Own::new(Product::Genoa) }.issuer("SEV-Genoa")).collect();
    many.extend([good.sign(&own.middle), own.issuer("SEV-Genoa")]);
    assert_eq!(code(own.judge(&many)), "verified");
}

#[test]
fn x509_10_a_list_of_the_products_other_root_does_not_stand_in() {
    let own = Own::new(Product::Genoa);
    let mut anchors = Anchors::none();
    anchors.add("own", EvidenceKind::Snp, &own.ark()).unwrap();
    anchors.add("forge", EvidenceKind::Snp, &own.amd.ark_der()).unwrap();
    let mut held = Endorsements::default();
    held.add_certificate(&own.vek(own.extensions()).sign(&own.middle));
    held.add_certificate(&own.issuer("SEV-Genoa"));
    held.add_crl(&own.amd.sign_crl(&own.amd.crl()));
    let (report, at) = (own.amd.report(&SnpReport::new([7; 64])), UnixTime::from_secs(NOW));
    let verifier = Verifier::new(anchors);
    let judge =
        |require_amd_crl| code(judge(&verifier, &report, &held, &Options { require_amd_crl, ..Options::strict() }, at));
    assert_eq!(judge(false), "verified");
    assert_eq!(judge(true), "collateral-unavailable");
}

#[test]
fn x509_02_many_issuers_and_keys_of_one_name_are_bounded() {
    let own = Own::new(Product::Genoa);
    let vek = own.vek(own.extensions());
    let (stranger, mut held) = (rsa(), Vec::new());
    for serial in 0..100_u8 {
        let mut vek = vek.clone();
        vek.serial = vec![serial];
        held.push(vek.sign(&stranger));
        let mut issuer = cert("SEV-Genoa", "ARK-Genoa", &own.middle, authority());
        issuer.serial = vec![serial];
        held.push(issuer.sign(&stranger));
    }
    let mut anchors = Anchors::none();
    anchors.add("own", EvidenceKind::Snp, &own.ark()).unwrap();
    let verifier = Verifier::new(anchors);
    let mut endorsements = Endorsements::default();
    held.iter().for_each(|der| endorsements.add_certificate(der));
    let report = own.amd.report(&SnpReport::new([7; 64]));
    let at = UnixTime::from_secs(NOW);
    assert_eq!(code(judge(&verifier, &report, &endorsements, &Options::strict(), at)), "chain-untrusted");
    let checks = verifier.counts().signature_checks;
    assert!(checks <= 64, "{checks} signature checks");
}

#[test]
fn snp_14_tables_with_pieces_that_do_not_belong() {
    let amd = Amd::new(Product::Genoa, NOW);
    let evidence = amd.evidence(&SnpReport::new([7; 64]));
    let (vek, ask) = (evidence.vek.as_slice(), evidence.authority.as_slice());
    let judge = |table: &[u8]| code(judge_forged(&amd, &[&evidence.report, table].concat(), &Endorsements::default()));
    let table = |pieces: &[([u8; 16], &[u8])]| certificate_table(pieces, None);
    assert_eq!(judge(&table(&[(GUID_VCEK, vek), (GUID_ASK, ask)])), "verified");
    assert_eq!(judge(&table(&[(GUID_VCEK, vek), (GUID_ASK, ask), ([9; 16], b"a host's own")])), "verified");
    assert_eq!(judge(&table(&[([9; 16], vek)])), "malformed");
    assert_eq!(judge(&table(&[(GUID_VCEK, b"no certificate")])), "malformed");
    let pem = |label: &str| {
        let body = openssl::base64::encode_block(vek);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
    };
    assert_eq!(judge(&table(&[(GUID_VCEK, &pem("CERTIFICATE")), (GUID_ASK, ask)])), "verified");
    assert_eq!(judge(&table(&[(GUID_VCEK, &pem("X509 CRL")), (GUID_ASK, ask)])), "malformed");
    let many: Vec<_> = (1..=17_u8).map(|n| ([n; 16], &b"x"[..])).collect();
    assert_eq!(judge(&table(&many)), "too-large");
    // Nothing but the closing entry: as if no table were there; closed by something else: no table.
    assert_eq!(judge(&[0; 24]), "wants");
    let mut open = [0; 24];
    open[16] = 24;
    assert_eq!(judge(&open), "malformed");
    assert!(Endorsements::default().add_file(&[0; 24]).is_err());
    // One entry of a host's own is led to nothing, to a piece of another entry, and into the list of entries.
    let sound = table(&[(GUID_VCEK, vek), (GUID_ASK, ask), ([9; 16], b"a host's own")]);
    let led_to = |start: u32, length: u32| {
        let mut changed = sound.clone();
        changed[64..68].copy_from_slice(&start.to_le_bytes());
        changed[68..72].copy_from_slice(&length.to_le_bytes());
        judge(&changed)
    };
    assert_eq!(led_to(96 + vek.len() as u32 + ask.len() as u32, 5), "verified");
    for (start, length) in [(96 + vek.len() as u32 + ask.len() as u32, 0), (96, 4), (95 + vek.len() as u32, 2), (0, 8)]
    {
        assert_eq!(led_to(start, length), "malformed", "{start} {length}");
    }
    // A certificate for other levels, left over in the host's table, is no reason to refuse.
    let stale = amd.vcek_der(Tcb { microcode: 115, ..Tcb::default() });
    assert_eq!(judge(&table(&[(GUID_VCEK, &stale), (GUID_ASK, ask)])), "wants");
    // Padding behind the pieces is usual.
    assert_eq!(judge(&[evidence.table.as_slice(), &[0; 512]].concat()), "verified");
}

#[test]
fn x509_10_a_list_in_the_table_counts_only_under_the_roots_signature() {
    let amd = Amd::new(Product::Genoa, NOW);
    let evidence = amd.evidence(&SnpReport { signing_key: SigningKey::Vcek, ..SnpReport::new([7; 64]) });
    let judge = |list: &[u8]| {
        let pieces =
            [(GUID_VCEK, evidence.vek.as_slice()), (GUID_ASK, evidence.authority.as_slice()), (GUID_CRL, list)];
        let extended = [evidence.report.as_slice(), &certificate_table(&pieces, None)].concat();
        judge_forged(&amd, &extended, &Endorsements::default())
    };
    let clean = verified(judge(&amd.sign_crl(&amd.crl())));
    assert_eq!(clean.claims()["keygate"]["revocation"], "checked");
    assert_eq!(code(judge(&amd.sign_crl(&amd.crl().revoking(&amd.ask_serial())))), "revoked");
    let foreign: Crl = amd.crl();
    let ignored = verified(judge(&foreign.sign(&rsa())));
    assert_eq!(ignored.claims()["keygate"]["revocation"], "not-checked");
    verified(judge_forged(&amd, &evidence.report, &chain(&evidence)));
}
