//! Intel's Provisioning Certification Service, or a caching service (PCCS) in its place. API version 4.

use std::sync::Arc;

use keygate_verifier::{CollateralId, Endorsements, IntelTee, PckCa, SignedDocument};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::source::{BoxFuture, Source, SourceError, client, get};

/// The largest answer that is read.
const LIMIT: usize = 4 << 20;
/// Where Intel itself publishes the root's revocation list; a PCCS has it under its own address.
const INTEL_HOST: &str = "https://api.trustedservices.intel.com";
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// Fetches TCB info, QE identities and revocation lists.
pub struct IntelPcs {
    base: String,
    client: reqwest::Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TcbAnswer<'a> {
    #[serde(borrow)]
    tcb_info: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityAnswer<'a> {
    #[serde(borrow)]
    enclave_identity: &'a RawValue,
    signature: String,
}

impl IntelPcs {
    /// A source at this base address, without trailing slash.
    ///
    /// # Errors
    /// A TLS library that cannot be set up.
    pub fn new(base: &str, seconds: u64) -> Result<Self, String> {
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client: client(seconds)? })
    }

    fn address(&self, id: &CollateralId) -> Option<(String, &'static str)> {
        let base = &self.base;
        let tee = |t: &IntelTee| match t {
            IntelTee::Sgx => "sgx",
            IntelTee::Tdx => "tdx",
        };
        Some(match id {
            CollateralId::IntelTcbInfo { tee: t, fmspc } => (
                format!("{base}/{}/certification/v4/tcb?fmspc={}", tee(t), hex::encode_upper(fmspc)),
                "TCB-Info-Issuer-Chain",
            ),
            CollateralId::IntelQeIdentity { tee: t } => {
                (format!("{base}/{}/certification/v4/qe/identity", tee(t)), "SGX-Enclave-Identity-Issuer-Chain")
            }
            CollateralId::IntelPckCrl { ca } => {
                let ca = match ca {
                    PckCa::Processor => "processor",
                    PckCa::Platform => "platform",
                };
                (format!("{base}/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"), "SGX-PCK-CRL-Issuer-Chain")
            }
            CollateralId::IntelRootCrl if self.base == INTEL_HOST => (INTEL_ROOT_CRL.to_owned(), ""),
            CollateralId::IntelRootCrl => (format!("{base}/sgx/certification/v4/rootcacrl"), ""),
            _ => return None,
        })
    }

    async fn bring(&self, id: &CollateralId) -> Result<Endorsements, SourceError> {
        let bad = |what: &str| SourceError::new(id, what);
        let (url, chain_header) = self.address(id).ok_or_else(|| bad("not one of Intel's"))?;
        let (headers, body) = get(&self.client, &url, LIMIT, id).await?;
        let mut brought = Endorsements::default();
        let mut chain = Vec::new();
        if !chain_header.is_empty() {
            let text = headers
                .get(chain_header)
                .and_then(|v| v.to_str().ok())
                .ok_or_else(|| bad("the issuer chain is missing"))?;
            let pem = percent_decoded(text).ok_or_else(|| bad("the issuer chain is not percent-encoded"))?;
            let parsed = openssl::x509::X509::stack_from_pem(&pem).map_err(|_| bad("the issuer chain is not pem"))?;
            for certificate in parsed {
                chain.push(certificate.to_der().map_err(|_| bad("the issuer chain is not pem"))?);
            }
        }
        match id {
            CollateralId::IntelTcbInfo { .. } => {
                let answer: TcbAnswer<'_> =
                    serde_json::from_slice(&body).map_err(|_| bad("the answer is no tcb info"))?;
                brought.add_tcb_info(
                    document(answer.tcb_info, &answer.signature, chain)
                        .ok_or_else(|| bad("the signature is not hex"))?,
                );
            }
            CollateralId::IntelQeIdentity { .. } => {
                let answer: IdentityAnswer<'_> =
                    serde_json::from_slice(&body).map_err(|_| bad("the answer is no identity"))?;
                brought.add_qe_identity(
                    document(answer.enclave_identity, &answer.signature, chain)
                        .ok_or_else(|| bad("the signature is not hex"))?,
                );
            }
            _ => {
                // A PCCS answers the root's list in hex.
                let der = match hex::decode(body.trim_ascii()) {
                    Ok(der) => der,
                    Err(_) => body,
                };
                for certificate in &chain {
                    brought.add_certificate(certificate);
                }
                brought.add_crl(&der);
            }
        }
        Ok(brought)
    }
}

impl Source for IntelPcs {
    fn serves(&self, id: &CollateralId) -> bool {
        self.address(id).is_some()
    }
    fn fetch<'a>(&'a self, id: &'a CollateralId) -> BoxFuture<'a, Result<Endorsements, SourceError>> {
        Box::pin(self.bring(id))
    }
}

fn document(text: &RawValue, signature: &str, chain: Vec<Vec<u8>>) -> Option<Arc<SignedDocument>> {
    Some(Arc::new(SignedDocument::new(text.get().as_bytes().to_vec(), hex::decode(signature).ok()?, chain)))
}

/// RFC 3986 section 2.1.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            out.push(*hex::decode(pair).ok()?.first()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}
