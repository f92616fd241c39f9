//! Roots pinned for one issuer of tokens, and the chain that a token brings under them.
//! Relying party tokens, sections 2 (PKI tokens) and 5; RFC 7515 section 4.1.6; bad inputs, rows JWT-10 and JWT-11.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::anchors::Anchor;
use crate::error::VerifyError;
use crate::formats::jose;
use crate::formats::x509::{Certificate, ChainRules, pem, verify_chain};
use crate::memo::Memo;
use crate::signatures::{Algorithm, PublicKey};
use crate::time::UnixTime;
use crate::tokens::fault::TokenFault;

const PART: &str = "token-certificate";
/// Certificates between leaf and root.
const MAX_INTERMEDIATES: usize = 4;
/// The leaf, those, and the root.
const MAX_CERTIFICATES: usize = 6;
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::P256Der,
    Algorithm::P384Der,
    Algorithm::Pkcs1Sha256,
    Algorithm::Pkcs1Sha384,
    Algorithm::Pkcs1Sha512,
    Algorithm::PssSha384,
];

/// Roots under which tokens of one issuer may bring their certificates. Cheap to clone.
#[derive(Clone, Default)]
pub struct TokenRoots {
    pinned: Option<Arc<Pinned>>,
}

struct Pinned {
    anchors: Vec<Anchor>,
    memo: Memo,
}

/// The key at the end of a chain that holds.
pub(super) struct Leaf {
    pub key: PublicKey,
    pub not_after: UnixTime,
}

impl TokenRoots {
    /// No roots: no token brings a key.
    pub const fn none() -> Self {
        Self { pinned: None }
    }

    /// Reads self-signed CA certificates: PEM, one or many, or one in DER.
    ///
    /// # Errors
    /// `malformed`, `too-large` or `unsupported` for anything else, and for a text without any certificate.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let anchors = if bytes.first() == Some(&0x30) {
            vec![Anchor::of_tokens(bytes)?]
        } else {
            pem::read(bytes, PART)?.iter().map(|block| Anchor::of_tokens(&block.der)).collect::<Result<_, _>>()?
        };
        if anchors.is_empty() {
            return Err(VerifyError::malformed(PART, "there is no certificate"));
        }
        Ok(Self { pinned: Some(Arc::new(Pinned { anchors, memo: Memo::new() })) })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pinned.is_none()
    }

    /// The key of a token's `x5c`: leaf first, each issued by the next, up to a pinned root, which may itself stand at the end;
    /// nothing more and nothing twice.
    pub(super) fn leaf(&self, x5c: &Value, now: UnixTime) -> Result<Leaf, TokenFault> {
        let refused = TokenFault::Certificate;
        let pinned = self.pinned.as_ref().ok_or_else(|| refused("no root is pinned for the issuer"))?;
        let texts: Option<Vec<String>> =
            x5c.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        let texts = texts.ok_or_else(|| refused("`x5c` is no list of texts"))?;
        let given = jose::certificates(&texts, MAX_CERTIFICATES)
            .map_err(|_| refused("`x5c` is not 1 to 6 certificates in base64"))?;
        let given: Result<Vec<_>, _> = given.iter().map(|der| Certificate::parse(der).map(Arc::new)).collect();
        let given = given.map_err(|_| refused("a certificate of `x5c` does not parse"))?;
        let (leaf, above) = given.split_first().ok_or_else(|| refused("`x5c` is empty"))?;
        let rules = ChainRules {
            part: PART,
            algorithms: ALGORITHMS,
            intermediates: MAX_INTERMEDIATES,
            now,
            leaf_extensions: &[],
        };
        let chain = verify_chain(leaf, above, pinned.anchors.iter(), &rules, &pinned.memo)
            .map_err(|_| refused("its chain does not hold now under a root pinned for the issuer"))?;
        let path: Vec<_> = chain.links.iter().map(|link| link.digest()).collect();
        let sent: Vec<_> = given.iter().map(|certificate| certificate.digest()).collect();
        if sent != path && Some(sent.as_slice()) != path.split_last().map(|(_, below)| below) {
            return Err(refused("`x5c` is not the path from its leaf to the root, in order"));
        }
        if leaf.is_ca() || !leaf.may_sign_data() {
            return Err(refused("its key is not for tokens"));
        }
        Ok(Leaf { key: leaf.key().clone(), not_after: chain.not_after })
    }
}

impl fmt::Debug for TokenRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let anchors = self.pinned.iter().flat_map(|pinned| pinned.anchors.iter());
        f.debug_list().entries(anchors.map(Anchor::certificate)).finish()
    }
}
