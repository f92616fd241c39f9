//! What stands in a copy of a key beside its material, and reading it back.
//!
//! The plaintext of a copy is a list of parts, each behind its length in 4 bytes: this description as JSON,
//! then the sealed form of each version's material in the order of the description.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BackedVersion, KeyBackup};
use crate::change::{Attributes, RuleDocument};
use crate::key::{KeyType, Operation};
use crate::material::KeyMaterial;
use crate::names::{KeyName, ProviderId, VersionId};
use crate::rotation::RotationPolicy;
use crate::storage::sqlite::keys::{KeyRow, RuleRow, VersionRow};

/// Everything of a key but its material.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    provider: String,
    name: String,
    row_id: String,
    key_type: String,
    enabled: bool,
    not_before: Option<i64>,
    expires: Option<i64>,
    exportable: bool,
    operations: Vec<String>,
    tags: BTreeMap<String, String>,
    rule: Option<DescribedRule>,
    immutable: bool,
    rotation: Option<String>,
    created: i64,
    versions: Vec<DescribedVersion>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedRule {
    document: String,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedVersion {
    id: String,
    created: i64,
    enabled: bool,
}

impl Description {
    pub(super) fn of(
        key: &KeyRow,
        rule: Option<RuleRow>,
        rotation: Option<RotationPolicy>,
        versions: &[VersionRow],
    ) -> Self {
        let version =
            |v: &VersionRow| DescribedVersion { id: v.id.to_string(), created: v.created, enabled: v.enabled };
        Self {
            provider: key.provider.as_str().to_owned(),
            name: key.name.as_str().to_owned(),
            row_id: hex::encode(key.row_id),
            key_type: key.key_type.as_str().to_owned(),
            enabled: key.enabled,
            not_before: key.not_before,
            expires: key.expires,
            exportable: key.exportable,
            operations: key.operations.iter().map(|o| o.as_str().to_owned()).collect(),
            tags: key.tags.clone(),
            rule: rule.map(|r| DescribedRule { document: r.document, digest: hex::encode(r.digest) }),
            immutable: key.immutable,
            rotation: rotation.map(|policy| policy.text()),
            created: key.created,
            versions: versions.iter().map(version).collect(),
        }
    }
}

/// Reads the plaintext of a copy; `None` if it is not one.
pub(super) fn read(plaintext: &[u8]) -> Option<KeyBackup> {
    let mut parts = Vec::new();
    let mut rest = plaintext;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        parts.push(part);
        rest = behind;
    }
    let (json, forms) = parts.split_first()?;
    let described: Description = serde_json::from_slice(json).ok()?;
    if forms.is_empty() || forms.len() != described.versions.len() {
        return None;
    }
    let key_type = KeyType::parse(&described.key_type).ok()?;
    let version = |(version, form): (&DescribedVersion, &&[u8])| {
        Some(BackedVersion {
            id: VersionId::parse(&version.id).ok()?,
            created: version.created,
            enabled: version.enabled,
            material: KeyMaterial::from_sealed_form(key_type, form).ok()?,
        })
    };
    let rule = |rule: DescribedRule| {
        let digest = hex::decode(rule.digest).ok()?.try_into().ok()?;
        Some(RuleDocument { document: rule.document, digest })
    };
    let operations = described.operations.iter().map(|name| Operation::parse(name).ok());
    Some(KeyBackup {
        provider: ProviderId::parse(&described.provider).ok()?,
        name: KeyName::parse(&described.name).ok()?,
        row_id: hex::decode(&described.row_id).ok()?.try_into().ok()?,
        key_type,
        attributes: Attributes {
            enabled: described.enabled,
            not_before: described.not_before,
            expires: described.expires,
            exportable: described.exportable,
            operations: operations.collect::<Option<_>>()?,
            tags: described.tags,
        },
        rules: match described.rule {
            Some(described) => Some(rule(described)?),
            None => None,
        },
        immutable: described.immutable,
        rotation: match described.rotation {
            Some(text) => Some(RotationPolicy::parse(&text).ok()?),
            None => None,
        },
        created: described.created,
        versions: described.versions.iter().zip(forms).map(version).collect::<Option<_>>()?,
        was_purged: false,
    })
}
