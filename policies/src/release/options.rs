//! What a key accepts beside its rule. The defaults are the safe ones.
//! Native API, section 5 (table of options).

/// The options of a key, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How new evidence has to be; `once` by default.
    pub freshness: Freshness,
    /// How long a token of ours stays usable under `session`, 60 to 3600 s; 600 by default.
    pub session_seconds: u32,
    /// Trust anchors whose evidence counts; `["vendor"]` by default.
    pub anchors: Vec<String>,
    /// TCB statuses and advisories accepted; `UpToDate` and none by default.
    pub tcb: Tcb,
    /// Whether debug evidence counts; false by default.
    pub debug: bool,
    /// Sealed forms an answer may take; all by default.
    pub wrappings: Wrappings,
    /// Whether an attested caller is told why; nobody by default.
    pub explain: Explain,
    /// Whether dialect doors without a sealed form may answer in the clear; never by default.
    pub clear: Clear,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            freshness: Freshness::Once,
            session_seconds: 600,
            anchors: vec!["vendor".to_owned()],
            tcb: Tcb::default(),
            debug: false,
            wrappings: Wrappings::All,
            explain: Explain::Nobody,
            clear: Clear::Never,
        }
    }
}

/// How new evidence has to be. Each accepts what those before it accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Bound to this request.
    Once,
    /// Also a token of ours, at most `session_seconds` after its challenge was spent.
    Session,
    /// Also a foreign token without our nonce, as long as its issuer says.
    Issuer,
}

impl Freshness {
    pub(crate) const ALL: [Self; 3] = [Self::Once, Self::Session, Self::Issuer];

    /// As written in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Session => "session",
            Self::Issuer => "issuer",
        }
    }
}

/// TCB statuses, and advisories accepted together with any of them but `UpToDate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcb {
    /// Accepted statuses; never empty.
    pub accept: Vec<TcbStatus>,
    /// Accepted advisories, as the vendor spells them: `INTEL-SA-00828`.
    pub advisories: Vec<String>,
}

impl Default for Tcb {
    fn default() -> Self {
        Self { accept: vec![TcbStatus::UpToDate], advisories: Vec::new() }
    }
}

/// A TCB status that a key may accept. `Revoked` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the vendor's words, Intel DCAP quote verification result
pub enum TcbStatus {
    UpToDate,
    SwHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSwHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    TdRelaunchAdvised,
    TdRelaunchAdvisedConfigurationNeeded,
}

impl TcbStatus {
    pub(crate) const ALL: [Self; 8] = [
        Self::UpToDate,
        Self::SwHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSwHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::TdRelaunchAdvised,
        Self::TdRelaunchAdvisedConfigurationNeeded,
    ];

    /// As the vendor spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
        }
    }
}

/// Sealed forms an answer may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrappings {
    /// Every form the broker knows.
    All,
    /// Only these; never empty.
    Only(Vec<String>),
}

impl Wrappings {
    /// Names an option may list: the native door's two, and those of the dialect doors.
    pub const NAMES: [&'static str; 5] =
        ["RSA_AES_KEY_WRAP_256", "JWE", "RSA_AES_KEY_WRAP_384", "CKM_RSA_AES_KEY_WRAP", "RSAES_OAEP_SHA_256"];

    /// Whether an answer may be sealed in that form.
    #[must_use]
    pub fn allow(&self, wrapping: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == wrapping),
        }
    }
}

/// Who is told the true code and the reasons of a denial, beside those with a role for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explain {
    /// Nobody else.
    Nobody,
    /// Whoever showed genuine evidence.
    Attested,
}

impl Explain {
    pub(crate) const ALL: [Self; 2] = [Self::Nobody, Self::Attested];

    /// As written in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Attested => "attested",
        }
    }
}

/// When a dialect door that knows no sealed form may answer in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// Never.
    Never,
    /// To an attested caller that also shows a client certificate or a credential.
    Credential,
    /// To an attestation token alone: whoever steals it can use the key until it ends.
    Token,
}

impl Clear {
    pub(crate) const ALL: [Self; 3] = [Self::Never, Self::Credential, Self::Token];

    /// As written in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Credential => "credential",
            Self::Token => "token",
        }
    }
}
