//! Tokens as evidence: what another verifier signed about a workload, held against the profile of its configured issuer.
//!
//! Relying party tokens, sections 0 to 8; native API, section 4 (*token, once*); secure key release, section 3. One core checks
//! signature, issuer, audience, type and times ([`judge`]); one small file per family of issuers knows where that family puts the
//! workload's key, a nonce of ours, the measurements and the word on debug. Nothing in a token chooses how it is judged: the profile
//! comes from settings, and so do all keys and roots.
//!
//! ```
//! use keygate_verifier::UnixTime;
//! use keygate_verifier::tokens::{Issuer, KeySet, Profile, TokenBinding, TokenRoots, verify_foreign};
//!
//! let (keys, roots) = (KeySet::parse(br#"{"keys": []}"#)?, TokenRoots::none());
//! let issuer = Issuer {
//!     name: "azure",
//!     issuer: "https://sharedeus.eus.attest.azure.net",
//!     profile: Profile::Maa,
//!     keys: &keys,
//!     roots: &roots,
//!     audiences: &[],
//!     max_age: None,
//!     is_keygate: false,
//! };
//! // {"alg":"none"}
//! let now = UnixTime::from_secs(1_750_000_000);
//! let refused = verify_foreign("eyJhbGciOiJub25lIn0.e30.", &issuer, &TokenBinding::Unbound, now).unwrap_err();
//! assert_eq!(refused.code(), "token-invalid");
//! # Ok::<(), keygate_verifier::VerifyError>(())
//! ```

mod companion;
mod ear;
mod foreign;
mod google_confidential_space;
mod intel_trust_authority;
mod judge;
mod keygate;
mod maa;
mod nvidia_nras;
mod oidc;
mod reading;
mod roots;
mod tee_key;

use super::fault::TokenFault;
use super::jws::{self, Peek};
use super::keys::KeySet;
use crate::recipient::RecipientKey;
use crate::time::UnixTime;
use judge::Rules;

pub use companion::{Lead, check_companion};
pub use foreign::Foreign;
pub use roots::TokenRoots;

/// A family of issuers: how its tokens are signed, and where they say what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Microsoft Azure Attestation.
    Maa,
    /// Google Cloud Attestation for Confidential Space, with tokens of either kind (OIDC, PKI).
    GoogleConfidentialSpace,
    /// Intel Trust Authority, tokens of version 1 and 2.
    IntelTrustAuthority,
    /// EAT attestation results of Veraison and of Confidential Containers' Trustee.
    Ear,
    /// NVIDIA Remote Attestation Service: a bundle of tokens about GPUs and switches, a companion and never enough alone.
    NvidiaNras,
    /// Any other issuer of JWTs.
    Oidc,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 6] =
        [Self::Maa, Self::GoogleConfidentialSpace, Self::IntelTrustAuthority, Self::Ear, Self::NvidiaNras, Self::Oidc];

    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Maa => "maa",
            Self::GoogleConfidentialSpace => "google-confidential-space",
            Self::IntelTrustAuthority => "intel-trust-authority",
            Self::Ear => "ear",
            Self::NvidiaNras => "nvidia-nras",
            Self::Oidc => "oidc",
        }
    }

    /// Reads the word in settings, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == text)
    }

    const fn rules(self) -> &'static Rules {
        match self {
            Self::Maa => &maa::RULES,
            Self::GoogleConfidentialSpace => &google_confidential_space::RULES,
            Self::IntelTrustAuthority => &intel_trust_authority::RULES,
            Self::Ear => &ear::RULES,
            Self::NvidiaNras => &nvidia_nras::RULES,
            Self::Oidc => &oidc::RULES,
        }
    }
}

/// An issuer whose tokens count as evidence; all of it comes from settings.
#[derive(Debug, Clone, Copy)]
pub struct Issuer<'a> {
    /// The name in settings, for people.
    pub name: &'a str,
    /// The issuer as rules name it. A token's `iss` is this, byte for byte; where a family leaves `iss` out (EAR) or signs as its
    /// product (`Intel Trust Authority`), the keys say which issuer it was, and this name stands for it.
    pub issuer: &'a str,
    /// The family.
    pub profile: Profile,
    /// The keys fetched from the issuer or pinned; empty where it signs under a pinned root only.
    pub keys: &'a KeySet,
    /// Roots pinned for tokens that bring their certificates (Google's PKI tokens, EAR). Empty: no token brings a key.
    pub roots: &'a TokenRoots,
    /// Who we are. `aud` must name one of these; demanded of families whose tokens always have an audience, of the others where
    /// it stands in the token.
    pub audiences: &'a [&'a str],
    /// The most seconds since `iat`. `None`: the usual life of the family's tokens. EAR tokens without `exp` live this long, and not
    /// at all without it.
    pub max_age: Option<i64>,
    /// Whether the issuer is a Keygate, whose tokens have Azure's form and the member `keygate` of what it concluded. Counts for
    /// [`Profile::Maa`] alone; a token of anybody else with that member is refused.
    pub is_keygate: bool,
}

impl Issuer<'_> {
    /// Whether a token that says `peek` of itself may be this issuer's: to find the one to judge it by, before anything is fetched.
    /// Several may fit where the family's tokens do not name their issuer.
    pub fn fits(&self, peek: &Peek) -> bool {
        self.profile.rules().names(self.issuer, peek.issuer.as_deref())
    }

    fn speaks_keygate(&self) -> bool {
        self.is_keygate && self.profile == Profile::Maa
    }
}

/// What a token must carry to count for one request.
#[derive(Debug, Clone, Copy)]
pub enum TokenBinding<'a> {
    /// Nothing of ours: freshness `issuer`. The key in the token, if there is one, is the recipient.
    Unbound,
    /// The native door's binding.
    Nonce {
        /// The first 32 bytes of `bind`: in base64url as a nonce, in hex for NRAS.
        bind: &'a [u8; 32],
        /// The recipient in `bind`. Where the token has a key, it is this one.
        recipient: &'a RecipientKey,
    },
}

/// Judges a token, or the text of an NRAS bundle, by the profile of `issuer`.
///
/// # Errors
/// A [`TokenFault`]: `token-invalid`, `malformed`, `too-large`; `freshness-failed` where a nonce is asked for and stands in no place
/// that the workload fills; `binding-mismatch` where the token's key is not the recipient.
pub fn verify_foreign(
    token: &str,
    issuer: &Issuer<'_>,
    binding: &TokenBinding<'_>,
    now: UnixTime,
) -> Result<Foreign, TokenFault> {
    if issuer.profile == Profile::NvidiaNras {
        let (checked, reading) = nvidia_nras::verify(token, issuer, now)?;
        return Foreign::assertion(issuer, checked, reading, binding);
    }
    let checked = judge::check(token, issuer, now)?;
    let reading = match issuer.profile {
        Profile::Maa => maa::read(&checked, issuer, now),
        Profile::GoogleConfidentialSpace => google_confidential_space::read(&checked.claims),
        Profile::IntelTrustAuthority => intel_trust_authority::read(&checked.claims, issuer),
        Profile::Ear => ear::read(&checked.claims),
        Profile::Oidc | Profile::NvidiaNras => oidc::read(&checked.claims),
    }?;
    Foreign::assertion(issuer, checked, reading, binding)
}

/// What a token, or the overall token of an NRAS bundle, says about itself without any check: to select the configured issuer.
///
/// # Errors
/// As [`peek`](super::peek).
pub fn peek_foreign(token: &str) -> Result<Peek, TokenFault> {
    if token.starts_with('[') { jws::peek(nvidia_nras::Bundle::parse(token)?.overall()) } else { jws::peek(token) }
}
