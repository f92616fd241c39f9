//! The certificates of an AMD chip: ARK, ASK, ASVK, VCEK, VLEK, and the list of revocations.
//! AMD 57230 section 3 (certificate extensions 1.3.6.1.4.1.3704.1) and section 4 (KDS).

use super::{Amd, Authorities, Product, SigningKey, SnpFault, Tcb, authorities};
use crate::keys::{self, Key, SigAlg};
use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::x509::{self, Cert, CertFault, Crl, Extension, key_id, usage};

const PSS: SigAlg = SigAlg::RsaPssSha384 { trailer: false };
const AUTHORITY_PSS: SigAlg = SigAlg::RsaPssSha384 { trailer: true };
const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// What the certificates of one evidence have in common, faults included.
pub(super) struct Chain {
    pub(super) vek: Vec<u8>,
    pub(super) authority: Vec<u8>,
    pub(super) root: Vec<u8>,
}

impl Amd {
    /// Self-signed root of the product, DER: the anchor a verifier pins.
    ///
    /// The same bytes for the same product and instant, as long as the process lives.
    pub fn ark_der(&self) -> Vec<u8> {
        anchor(self.product, self.now)
    }

    /// Authority of VCEKs, DER.
    pub fn ask_der(&self) -> Vec<u8> {
        let keys = authorities(self.product);
        intermediate(self.product, self.now, SigningKey::Vcek, &keys.ask, &keys.ark).sign(&keys.ark)
    }

    /// Authority of VLEKs, DER.
    pub fn asvk_der(&self) -> Vec<u8> {
        let keys = authorities(self.product);
        intermediate(self.product, self.now, SigningKey::Vlek, &keys.asvk, &keys.ark).sign(&keys.ark)
    }

    /// The chip's certificate for a TCB, DER.
    pub fn vcek_der(&self, tcb: Tcb) -> Vec<u8> {
        self.vek(SigningKey::Vcek, tcb, None).sign(&authorities(self.product).ask)
    }

    /// The provider's certificate for a TCB, DER.
    pub fn vlek_der(&self, tcb: Tcb) -> Vec<u8> {
        self.vek(SigningKey::Vlek, tcb, None).sign(&authorities(self.product).asvk)
    }

    /// An empty list of revocations of the ARK, to be filled and signed with [`Amd::sign_crl`].
    pub fn crl(&self) -> Crl {
        let ark = &authorities(self.product).ark;
        Crl::new(ark_name(self.product), &key_id(ark), PSS).dated(self.now - DAY, self.now + 90 * DAY)
    }

    /// Signs a list of revocations with the ARK.
    pub fn sign_crl(&self, crl: &Crl) -> Vec<u8> {
        crl.sign(&authorities(self.product).ark)
    }

    /// Serial number of the ASK as a CRL names it.
    pub fn ask_serial(&self) -> Vec<u8> {
        serial(self.product, SigningKey::Vcek)
    }

    /// Serial number of the ASVK as a CRL names it.
    pub fn asvk_serial(&self) -> Vec<u8> {
        serial(self.product, SigningKey::Vlek)
    }

    /// The whole chain of one evidence.
    pub(super) fn chain(
        &self,
        signer: SigningKey,
        tcb: Tcb,
        fault: Option<SnpFault>,
        authority_fault: Option<CertFault>,
    ) -> Chain {
        let product = match fault {
            Some(SnpFault::ChainOfOtherProduct) => self.product.other(),
            _ => self.product,
        };
        let own = authorities(product);
        let rogue;
        let keys = match fault {
            Some(SnpFault::SelfMadeArk) => {
                let key = super::rogue_authority_key();
                rogue = Authorities { ark: key.clone(), ask: key.clone(), asvk: key };
                &rogue
            }
            _ => own,
        };
        let vek_key = match signer {
            SigningKey::Vcek => &keys.ask,
            SigningKey::Vlek => &keys.asvk,
        };
        let mut vek = self.vek(signer, tcb, fault);
        vek.issuer = intermediate_name(product, signer);
        let shown = match (signer, fault) {
            (SigningKey::Vcek, Some(SnpFault::AsvkForAsk)) => SigningKey::Vlek,
            _ => signer,
        };
        let shown_key = match shown {
            SigningKey::Vcek => &keys.ask,
            SigningKey::Vlek => &keys.asvk,
        };
        let mut authority = intermediate(product, self.now, shown, shown_key, &keys.ark);
        if fault == Some(SnpFault::AskWrongSalt) {
            authority.algorithm = SigAlg::RsaPssSha384WrongSalt;
        }
        Chain {
            vek: vek.sign(vek_key),
            authority: authority.sign_with(&keys.ark, authority_fault),
            root: match fault {
                Some(SnpFault::SelfMadeArk) => ark(product, self.now, &keys.ark),
                _ => anchor(product, self.now),
            },
        }
    }

    /// The certificate of the signing key, still unsigned.
    fn vek(&self, signer: SigningKey, tcb: Tcb, fault: Option<SnpFault>) -> Cert {
        let (key, subject): (&Key, _) = match signer {
            SigningKey::Vcek => (&self.vcek, "SEV-VCEK"),
            SigningKey::Vlek => (&self.vlek, "SEV-VLEK"),
        };
        let mut cert = Cert {
            serial: vec![0],
            issuer: intermediate_name(self.product, signer),
            subject: amd_name(subject),
            not_before: self.now - 30 * DAY,
            not_after: self.now + 7 * YEAR,
            raw_validity: None,
            spki: keys::spki(key),
            extensions: self.vek_extensions(signer, tcb, fault),
            algorithm: PSS,
        };
        match fault {
            Some(SnpFault::VcekExpired) => cert.not_after = self.now - 1,
            Some(SnpFault::VcekNotYetValid) => cert.not_before = self.now + 1,
            Some(SnpFault::VcekWrongSalt) => cert.algorithm = SigAlg::RsaPssSha384WrongSalt,
            _ => {}
        }
        cert
    }
}

fn amd_name(common: &str) -> Vec<u8> {
    x509::name(&[
        ("OU", "Engineering"),
        ("C", "US"),
        ("L", "Santa Clara"),
        ("ST", "CA"),
        ("O", "Advanced Micro Devices"),
        ("CN", common),
    ])
}

fn ark_name(product: Product) -> Vec<u8> {
    amd_name(&format!("ARK-{}", product.name()))
}

fn intermediate_name(product: Product, signer: SigningKey) -> Vec<u8> {
    amd_name(&match signer {
        SigningKey::Vcek => format!("SEV-{}", product.name()),
        SigningKey::Vlek => format!("SEV-VLEK-{}", product.name()),
    })
}

fn serial(product: Product, signer: SigningKey) -> Vec<u8> {
    let product = match product {
        Product::Milan => 1,
        Product::Genoa => 2,
        Product::Turin => 3,
    };
    match signer {
        SigningKey::Vcek => vec![product, 0, 2],
        SigningKey::Vlek => vec![product, 1, 1],
    }
}

/// The root of a product, signed once: signatures of this kind differ each time.
fn anchor(product: Product, now: i64) -> Vec<u8> {
    static SIGNED: Mutex<BTreeMap<(&str, i64), Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut signed = SIGNED.lock().unwrap();
    signed.entry((product.name(), now)).or_insert_with(|| ark(product, now, &authorities(product).ark)).clone()
}

fn ark(product: Product, now: i64, key: &Key) -> Vec<u8> {
    let mut number = serial(product, SigningKey::Vcek);
    number[2] = 0;
    Cert {
        serial: number,
        issuer: ark_name(product),
        subject: ark_name(product),
        not_before: now - 4 * YEAR,
        not_after: now + 21 * YEAR,
        raw_validity: None,
        spki: keys::spki(key),
        extensions: vec![
            Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN),
            Extension::subject_key(&key_id(key)),
            Extension::authority(None),
            crl_point(product, SigningKey::Vcek),
        ],
        algorithm: AUTHORITY_PSS,
    }
    .sign(key)
}

fn intermediate(product: Product, now: i64, signer: SigningKey, key: &Key, ark: &Key) -> Cert {
    Cert {
        serial: serial(product, signer),
        issuer: ark_name(product),
        subject: intermediate_name(product, signer),
        not_before: now - 3 * YEAR,
        not_after: now + 21 * YEAR,
        raw_validity: None,
        spki: keys::spki(key),
        extensions: vec![
            Extension::subject_key(&key_id(key)),
            Extension::authority_key(&key_id(ark)),
            Extension::authority(Some(0)),
            Extension::key_usage(usage::CERT_SIGN),
            crl_point(product, signer),
        ],
        algorithm: AUTHORITY_PSS,
    }
}

fn crl_point(product: Product, signer: SigningKey) -> Extension {
    let kind = match signer {
        SigningKey::Vcek => "vcek",
        SigningKey::Vlek => "vlek",
    };
    Extension::crl_point(&format!("https://kds.example/{kind}/v1/{}/crl", product.name()))
}
