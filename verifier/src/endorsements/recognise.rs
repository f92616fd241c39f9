//! Files and request members recognised by their content. Keygate's contract, section 7.
//!
//! DCAP collateral (a JSON object with nine members), X.509 certificates and revocation lists (DER or PEM, one or many), an
//! AMD certificate table. Whatever is recognised is held, and believed only after its checks.

use std::sync::Arc;

use serde_json::Value;

use super::{Endorsements, SignedDocument};
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, Crl, pem};

/// The largest file that is looked at, in bytes.
const MAX_FILE: usize = 8 << 20;
const PART: &str = "endorsement";

impl Endorsements {
    /// Adds what `bytes` hold, recognised by content. Returns how many pieces were found.
    ///
    /// # Errors
    /// `too-large`, or `malformed` when the bytes are of no known sort.
    pub fn add_file(&mut self, bytes: &[u8]) -> Result<usize, VerifyError> {
        if bytes.len() > MAX_FILE {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX_FILE}", bytes.len())));
        }
        match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{') => self.add_dcap_set(bytes),
            Some(b'-') => self.add_pem(bytes),
            _ if bytes.first() == Some(&0x30) => self.add_der(bytes),
            _ => self.add_amd_table(bytes),
        }
    }

    fn add_pem(&mut self, bytes: &[u8]) -> Result<usize, VerifyError> {
        let blocks = pem::read(bytes, PART)?;
        for block in &blocks {
            match block.label.as_str() {
                "CERTIFICATE" => self.add_certificate(&block.der),
                "X509 CRL" => self.add_crl(&block.der),
                other => return Err(VerifyError::malformed(PART, format!("pem label `{other}` is no endorsement"))),
            }
        }
        Ok(blocks.len())
    }

    fn add_der(&mut self, bytes: &[u8]) -> Result<usize, VerifyError> {
        if Certificate::parse(bytes).is_ok() {
            self.add_certificate(bytes);
            return Ok(1);
        }
        if Crl::parse(bytes).is_ok() {
            self.add_crl(bytes);
            return Ok(1);
        }
        Err(VerifyError::malformed(PART, "neither a certificate nor a revocation list"))
    }

    /// The nine-member JSON object that DCAP tools exchange.
    fn add_dcap_set(&mut self, bytes: &[u8]) -> Result<usize, VerifyError> {
        let bad = |what: String| VerifyError::malformed(PART, what);
        let value: Value = serde_json::from_slice(bytes).map_err(|_| bad("not a json object".into()))?;
        let member = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| bad(format!("dcap collateral has no text member `{name}`")))
        };
        let hexed = |name: &str| hex::decode(member(name)?).map_err(|_| bad(format!("member `{name}` is not hex")));
        let chain = |name: &str| pem::certificates(member(name)?.as_bytes(), PART);
        let crl_chain = chain("pck_crl_issuer_chain")?;
        let root_crl = hexed("root_ca_crl")?;
        let pck_crl = hexed("pck_crl")?;
        let tcb_info = SignedDocument::new(
            member("tcb_info")?.as_bytes().to_vec(),
            hexed("tcb_info_signature")?,
            chain("tcb_info_issuer_chain")?,
        );
        let qe_identity = SignedDocument::new(
            member("qe_identity")?.as_bytes().to_vec(),
            hexed("qe_identity_signature")?,
            chain("qe_identity_issuer_chain")?,
        );
        // What is no document or no list at all is refused here, by the file that it stands in.
        tcb_info.check_tcb_info()?;
        qe_identity.check_qe_identity()?;
        Crl::parse(&root_crl)?;
        Crl::parse(&pck_crl)?;
        for der in &crl_chain {
            self.add_certificate(der);
        }
        self.add_crl(&root_crl);
        self.add_crl(&pck_crl);
        self.add_tcb_info(Arc::new(tcb_info));
        self.add_qe_identity(Arc::new(qe_identity));
        Ok(4)
    }

    /// The certificate table of an extended SEV-SNP report.
    fn add_amd_table(&mut self, bytes: &[u8]) -> Result<usize, VerifyError> {
        let table = crate::kinds::snp::certificate_table(bytes)?;
        for der in &table.certificates {
            self.add_certificate(der);
        }
        for der in &table.crls {
            self.add_crl(der);
        }
        Ok(table.certificates.len().saturating_add(table.crls.len()))
    }
}
