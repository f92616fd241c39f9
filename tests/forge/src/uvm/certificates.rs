//! Root, authority and signer of a maker of utility VMs, and their order in `x5chain`.
//! RFC 5280 section 4.2; RFC 9360 section 2.

use super::{DAY, USAGE, Uvm, UvmAlg, UvmEndorsement, UvmFault};
use crate::der;
use crate::keys::{self, Key, SigAlg};
use crate::x509::{Cert, Extension, key_id, name, usage};

const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const ROOT: &str = "Forged UVM Root";
const AUTHORITY: &str = "Forged UVM CA";

impl Uvm {
    pub(super) fn root_cert(&self, key: &Key) -> Cert {
        let mut root = self.cert(ROOT, ROOT, key, key, (self.now - 700 * DAY, self.now + 7_300 * DAY));
        root.extensions = vec![Extension::authority(None), Extension::key_usage(usage::CERT_SIGN)];
        root
    }

    /// The certificates as they stand in the header, the signer's first.
    pub(super) fn chain(&self, wanted: &UvmEndorsement) -> Vec<Vec<u8>> {
        let stranger = keys::p384();
        let (root_key, root) = match wanted.fault {
            Some(UvmFault::SelfMadeRoot) => (&stranger, self.root_cert(&stranger).sign(&stranger)),
            _ => (&self.root, self.root_der.clone()),
        };
        let validity = (self.now - 600 * DAY, wanted.authority_until);
        let mut authority = self.cert(AUTHORITY, ROOT, &self.authority, root_key, validity);
        authority.extensions.extend([Extension::authority(Some(0)), Extension::key_usage(usage::CERT_SIGN)]);
        let authority = authority.sign_with(root_key, wanted.authority_fault);
        let signer = self.signer_cert(wanted).sign(&self.authority);
        let mut chain = vec![signer, authority, root];
        match wanted.fault {
            Some(UvmFault::ChainWithoutRoot) => chain.truncate(2),
            Some(UvmFault::ChainWithoutAuthority) => drop(chain.remove(1)),
            Some(UvmFault::ChainReversed) => chain.reverse(),
            Some(UvmFault::ChainOfOne) => chain.truncate(1),
            Some(UvmFault::ChainEmpty) => chain.clear(),
            Some(UvmFault::ChainOfNine) => chain.splice(1..1, vec![self.root_der.clone(); 6]).for_each(drop),
            Some(UvmFault::ChainWithStranger) => chain.insert(1, self.root_cert(&stranger).sign(&stranger)),
            _ => {}
        }
        chain
    }

    pub(super) fn signer_key(&self, algorithm: UvmAlg) -> &Key {
        match algorithm {
            UvmAlg::Es256 => &self.p256,
            UvmAlg::Es384 => &self.p384,
            UvmAlg::Ps256 | UvmAlg::Ps384 | UvmAlg::Ps512 => &self.rsa,
        }
    }

    fn signer_cert(&self, wanted: &UvmEndorsement) -> Cert {
        let key = self.signer_key(wanted.algorithm);
        let mut signer = self.cert("Forged UVM Signer", AUTHORITY, key, &self.authority, wanted.signer_validity);
        let usages = match wanted.fault {
            Some(UvmFault::SignerWithoutUsage) => der::sequence(&[der::oid("1.3.6.1.4.1.32473.59.1.1")]),
            _ => der::sequence(&[der::oid("1.3.6.1.4.1.32473.59.1.1"), der::oid(USAGE)]),
        };
        signer.extensions.push(Extension::new(EXTENDED_KEY_USAGE, false, usages));
        signer.extensions.extend(match wanted.fault {
            Some(UvmFault::SignerIsAuthority) => {
                [Extension::authority(None), Extension::key_usage(usage::DIGITAL_SIGNATURE | usage::CERT_SIGN)]
            }
            Some(UvmFault::SignerForOtherUse) => [Extension::end_entity(), Extension::key_usage(0x20)],
            _ => [Extension::end_entity(), Extension::key_usage(usage::DIGITAL_SIGNATURE)],
        });
        signer
    }

    fn cert(&self, subject: &str, issuer: &str, key: &Key, issuer_key: &Key, validity: (i64, i64)) -> Cert {
        let mut serial = key_id(key);
        serial[0] = serial[0] & 0x3f | 0x40;
        Cert {
            serial,
            issuer: name(&[("O", "Forge"), ("CN", issuer)]),
            subject: name(&[("O", "Forge"), ("CN", subject)]),
            not_before: validity.0,
            not_after: validity.1,
            raw_validity: None,
            spki: keys::spki(key),
            extensions: vec![Extension::subject_key(&key_id(key)), Extension::authority_key(&key_id(issuer_key))],
            algorithm: SigAlg::EcdsaSha384,
        }
    }
}
