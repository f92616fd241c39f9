//! Names of providers, keys and key versions.
//!
//! `native-api.md` section 3: what a key name may be written with, and how a version is written.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::error::KeystoreError;

/// Name of a provider: 1 to 63 of `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProviderId(String);

impl ProviderId {
    /// Reads a provider name; anything else than 1 to 63 of `a-z 0-9 -` is `malformed`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=63).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(KeystoreError::Malformed("not the name of a provider"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a key, kept as written, found and unique without regard to ASCII case.
#[derive(Clone, Debug)]
pub struct KeyName(String);

impl KeyName {
    /// Reads a key name: 1 to 127 of `A-Z a-z 0-9 . _ -`, the first a letter or a digit; anything
    /// else is `malformed`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let first_is_alphanumeric = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if text.len() > 127 || !first_is_alphanumeric || !text.bytes().all(allowed) {
            return Err(KeystoreError::Malformed("not the name of a key"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name by which it is found: in lower case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for KeyName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for KeyName {}

impl Hash for KeyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl PartialOrd for KeyName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Version of a key: 16 random bytes, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VersionId([u8; 16]);

impl VersionId {
    /// A new version, from the operating system's randomness.
    pub fn random() -> Result<Self, KeystoreError> {
        let mut bytes = [0; 16];
        openssl::rand::rand_bytes(&mut bytes).map_err(|_| KeystoreError::Randomness)?;
        Ok(Self(bytes))
    }

    /// The version with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads 32 lower-case hex digits; anything else is `malformed`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let malformed = KeystoreError::Malformed("not the version of a key");
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(malformed);
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| malformed)?;
        Ok(Self(bytes))
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_are_kept_as_written_and_found_without_case() {
        let name = KeyName::parse("Disk-Key.v2_a").unwrap();
        assert_eq!(name.as_str(), "Disk-Key.v2_a");
        assert_eq!(name, KeyName::parse("disk-key.V2_A").unwrap());
        assert_eq!(name.folded(), "disk-key.v2_a");
        assert_ne!(name, KeyName::parse("disk-key.v2-a").unwrap());
    }

    #[test]
    fn key_09_names_with_path_tricks_are_malformed() {
        let long = "a".repeat(128);
        for text in ["", ".", "..", "-a", "_a", "a/b", "a%2fb", "a b", "a\0", "ä", "a\n", &long] {
            let refused = KeyName::parse(text).unwrap_err();
            assert_eq!(refused.code(), "malformed", "{text:?}");
        }
        assert!(KeyName::parse(&"a".repeat(127)).is_ok());
    }

    #[test]
    fn versions_are_32_lower_case_hex_digits() {
        let text = "00112233445566778899aabbccddeeff";
        assert_eq!(VersionId::parse(text).unwrap().to_string(), text);
        for text in [
            "00112233445566778899AABBCCDDEEFF",
            "00112233445566778899aabbccddeef",
            "00112233445566778899aabbccddeeff0",
            "g0112233445566778899aabbccddeeff",
            "",
        ] {
            assert_eq!(VersionId::parse(text).unwrap_err().code(), "malformed");
        }
    }

    #[test]
    fn providers_are_short_lower_case_labels() {
        assert!(ProviderId::parse("default").is_ok());
        let long = "a".repeat(64);
        for text in ["", "Default", "a.b", "a_b", "a/b", &long] {
            assert_eq!(ProviderId::parse(text).unwrap_err().code(), "malformed");
        }
    }
}
