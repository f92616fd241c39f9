//! AMD's Key Distribution Service. AMD 57230, *VCEK Certificate and KDS Interface Specification*.

use keygate_verifier::{AmdSigner, CollateralId, Endorsements};

use super::source::{BoxFuture, Source, SourceError, client, get};

/// The largest answer that is read.
const LIMIT: usize = 1 << 20;

/// Fetches VCEK certificates, the issuers' chains and revocation lists.
pub struct AmdKds {
    base: String,
    client: reqwest::Client,
}

impl AmdKds {
    /// A source at this base address, without trailing slash.
    ///
    /// # Errors
    /// A TLS library that cannot be set up.
    pub fn new(base: &str, seconds: u64) -> Result<Self, String> {
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client: client(seconds)? })
    }

    fn address(&self, id: &CollateralId) -> Option<String> {
        let base = &self.base;
        let signer = |s: &AmdSigner| match s {
            AmdSigner::Vcek => "vcek",
            AmdSigner::Vlek => "vlek",
        };
        Some(match id {
            CollateralId::AmdVcek { product, chip_id, tcb } => {
                let fmc = tcb.fmc.map(|fmc| format!("fmcSPL={fmc:02}&")).unwrap_or_default();
                format!(
                    "{base}/vcek/v1/{}/{}?{fmc}blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
                    product.as_str(),
                    hex::encode(chip_id),
                    tcb.bootloader,
                    tcb.tee,
                    tcb.snp,
                    tcb.microcode
                )
            }
            CollateralId::AmdIssuer { product, signer: s } => {
                format!("{base}/{}/v1/{}/cert_chain", signer(s), product.as_str())
            }
            CollateralId::AmdCrl { product, signer: s } => format!("{base}/{}/v1/{}/crl", signer(s), product.as_str()),
            _ => return None,
        })
    }

    async fn bring(&self, id: &CollateralId) -> Result<Endorsements, SourceError> {
        let url = self.address(id).ok_or_else(|| SourceError::new(id, "not one of AMD's"))?;
        let (_, body) = get(&self.client, &url, LIMIT, id).await?;
        let mut brought = Endorsements::default();
        brought.add_file(&body).map_err(|e| SourceError::new(id, e))?;
        Ok(brought)
    }
}

impl Source for AmdKds {
    fn serves(&self, id: &CollateralId) -> bool {
        self.address(id).is_some()
    }
    fn fetch<'a>(&'a self, id: &'a CollateralId) -> BoxFuture<'a, Result<Endorsements, SourceError>> {
        Box::pin(self.bring(id))
    }
}
