//! One entry of an IMA measurement list, and what the kernel extends for it.
//!
//! Linux, `Documentation/security/IMA-templates.rst` and `security/integrity/ima/ima_template_lib.c`.

use std::borrow::Cow;

use crate::error::VerifyError;
use crate::formats::tcg::Bank;

use super::PART;

/// The longest path, name of a keyring or label that is read, in bytes: PATH_MAX.
const MAX_NAME: usize = 4_096;
/// Length of the name in the oldest template, padded with zeros: IMA_EVENT_NAME_LEN_MAX + 1.
const OLD_NAME: usize = 256;

/// What the fields of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Template {
    /// `ima`: a SHA-1 digest and a name of 255 bytes at most.
    Ima,
    /// `ima-ng` and `ima-ngv2`: a digest with its algorithm, a name.
    Named,
    /// `ima-sig` and `ima-sigv2`: the same and a signature, perhaps empty.
    Signed,
    /// `ima-buf`: the same and a buffer, which is what the digest is of.
    Buffer,
}

impl Template {
    /// By the name in the list.
    pub fn of(name: &[u8]) -> Result<Self, VerifyError> {
        match name {
            b"ima" => Ok(Self::Ima),
            b"ima-ng" | b"ima-ngv2" => Ok(Self::Named),
            b"ima-sig" | b"ima-sigv2" => Ok(Self::Signed),
            b"ima-buf" => Ok(Self::Buffer),
            _ => Err(VerifyError::unsupported("ima-template", "an entry of a template that is not read")),
        }
    }

    /// Whether a third field follows the name.
    pub const fn has_third(self) -> bool {
        matches!(self, Self::Signed | Self::Buffer)
    }
}

/// One measured file or buffer.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub template: Template,
    /// SHA-1 over the fields, as the list shows it.
    pub sha1: [u8; 20],
    /// The text before the digest: `sha256:`, `verity:sha256:`; empty in the oldest template.
    pub label: &'a [u8],
    pub digest: Vec<u8>,
    /// Path of a file, name of a keyring, or what a buffer is.
    pub name: &'a [u8],
    /// Signature or buffer.
    pub third: Cow<'a, [u8]>,
}

impl<'a> Entry<'a> {
    /// Puts an entry together, and refuses what no kernel writes.
    pub fn new(
        template: Template,
        sha1: [u8; 20],
        (label, digest): (&'a [u8], Vec<u8>),
        name: &'a [u8],
        third: Cow<'a, [u8]>,
    ) -> Result<Self, VerifyError> {
        let most = if template == Template::Ima { OLD_NAME.saturating_sub(1) } else { MAX_NAME };
        if name.is_empty() || name.len() > most || name.contains(&0) {
            return Err(VerifyError::malformed(PART, "the name of an entry is empty, too long, or has a zero byte"));
        }
        // A zero digest stands for a file that changed while it was measured, or was open for writing.
        if sha1 == [0; 20] {
            return Err(VerifyError::malformed(
                "ima-violation",
                "the list has a violation: a file changed under measurement",
            ));
        }
        let entry = Self { template, sha1, label, digest, name, third };
        match (template, entry.algorithm()) {
            (Template::Ima, _) if entry.digest.len() == 20 => Ok(entry),
            (_, Some(bank)) if template != Template::Ima && entry.digest.len() == bank.size() => Ok(entry),
            (_, Some(_)) | (Template::Ima, _) => {
                Err(VerifyError::malformed(PART, "a digest is not of the length of its algorithm"))
            }
            (_, None) => Err(VerifyError::unsupported("ima-algorithm", "a digest of an algorithm that is not read")),
        }
    }

    /// The algorithm of the digest.
    pub fn algorithm(&self) -> Option<Bank> {
        if self.template == Template::Ima {
            return Some(Bank::Sha1);
        }
        let name = self.label.strip_suffix(b":")?;
        let name = name.strip_prefix(b"ima:").or_else(|| name.strip_prefix(b"verity:")).unwrap_or(name);
        Bank::parse(std::str::from_utf8(name).ok()?)
    }

    /// The digest of the fields in a bank: what newer kernels extend into it.
    pub fn fields(&self, bank: Bank) -> Vec<u8> {
        if self.template == Template::Ima {
            let padding = [0; OLD_NAME];
            let rest = padding.get(self.name.len()..).unwrap_or_default();
            return bank.digest(&[&self.digest, self.name, rest]);
        }
        let length = |parts: &[usize]| {
            let sum = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(*part));
            u32::try_from(sum).unwrap_or(u32::MAX).to_le_bytes()
        };
        let digest = length(&[self.label.len(), 1, self.digest.len()]);
        let name = length(&[self.name.len(), 1]);
        let third = length(&[self.third.len()]);
        let parts: [&[u8]; 8] = [&digest, self.label, &[0], &self.digest, &name, self.name, &[0], &third];
        if self.template.has_third() {
            let [a, b, c, d, e, f, g, h] = parts;
            bank.digest(&[a, b, c, d, e, f, g, h, &self.third])
        } else {
            let [a, b, c, d, e, f, g, _] = parts;
            bank.digest(&[a, b, c, d, e, f, g])
        }
    }

    /// Whether the digest is that of the buffer, for entries that carry one.
    pub fn holds_buffer(&self) -> bool {
        self.template == Template::Buffer
            && self.algorithm().is_some_and(|bank| bank.digest(&[&self.third]) == self.digest)
    }
}
