//! The six functions of version 1.2: their names and what they take.
//! Policy language, section 5. What they do: `calls.rs`.

/// A function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    JmesPath,
    JsonToClaimValue,
    IsSubsetOf,
    AppendString,
    NegateBool,
    ContainsOnlyValue,
}

impl Function {
    pub(super) const ALL: [Self; 6] = [
        Self::JmesPath,
        Self::JsonToClaimValue,
        Self::IsSubsetOf,
        Self::AppendString,
        Self::NegateBool,
        Self::ContainsOnlyValue,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::JmesPath => "JmesPath",
            Self::JsonToClaimValue => "JsonToClaimValue",
            Self::IsSubsetOf => "IsSubsetOf",
            Self::AppendString => "AppendString",
            Self::NegateBool => "NegateBool",
            Self::ContainsOnlyValue => "ContainsOnlyValue",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.as_str() == name)
    }

    /// How many arguments it takes.
    pub(super) const fn arity(self) -> usize {
        match self {
            Self::JsonToClaimValue | Self::NegateBool => 1,
            Self::JmesPath | Self::IsSubsetOf | Self::AppendString | Self::ContainsOnlyValue => 2,
        }
    }

    /// For a message: what to write.
    pub(super) const fn form(self) -> &'static str {
        match self {
            Self::JmesPath => "JmesPath(json, query)",
            Self::JsonToClaimValue => "JsonToClaimValue(json)",
            Self::IsSubsetOf => "IsSubsetOf(set, set)",
            Self::AppendString => "AppendString(text, text)",
            Self::NegateBool => "NegateBool(truth)",
            Self::ContainsOnlyValue => "ContainsOnlyValue(set, value)",
        }
    }
}
