//! A path of this door, and what is asked for by a method on it.
//!
//! `keyvault-api.md` section 1 (*Empty path segments*) and 2. A segment that is left empty stands for the newest version; the words of
//! operations are lower case, and the names of keys keep theirs.

use actix_web::http::Method;

use crate::broker::Operation;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    List,
    Restore,
    Create,
    Import,
    Get,
    Versions,
    Update,
    Delete,
    Backup,
    Rotate,
    RotationPolicy,
    SetRotationPolicy,
    Attestation,
    Release,
    Raw(Operation),
    ListDeleted,
    GetDeleted,
    Purge,
    Recover,
    Random,
}

impl Verb {
    /// The name in metrics and logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::List => "keyvault.list",
            Self::Restore => "keyvault.restore",
            Self::Create => "keyvault.create",
            Self::Import => "keyvault.import",
            Self::Get => "keyvault.get",
            Self::Versions => "keyvault.versions",
            Self::Update => "keyvault.update",
            Self::Delete => "keyvault.delete",
            Self::Backup => "keyvault.backup",
            Self::Rotate => "keyvault.rotate",
            Self::RotationPolicy => "keyvault.rotation-policy",
            Self::SetRotationPolicy => "keyvault.set-rotation-policy",
            Self::Attestation => "keyvault.attestation",
            Self::Release => "keyvault.release",
            Self::Raw(Operation::Encrypt) => "keyvault.encrypt",
            Self::Raw(Operation::Decrypt) => "keyvault.decrypt",
            Self::Raw(Operation::Wrap) => "keyvault.wrapkey",
            Self::Raw(Operation::Unwrap) => "keyvault.unwrapkey",
            Self::Raw(Operation::Verify) => "keyvault.verify",
            Self::Raw(_) => "keyvault.sign",
            Self::ListDeleted => "keyvault.list-deleted",
            Self::GetDeleted => "keyvault.get-deleted",
            Self::Purge => "keyvault.purge",
            Self::Recover => "keyvault.recover",
            Self::Random => "keyvault.random",
        }
    }
}

/// A place: what is asked for, and of which key and version, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'p> {
    pub(super) verb: Verb,
    pub(super) name: &'p str,
    pub(super) version: Option<&'p str>,
}

/// Why a path is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Nothing is served there.
    Nothing,
    /// Something is, by these methods.
    Methods(&'static str),
}

/// Whether a path is of this door, whether or not something is served there.
pub fn owns(path: &str) -> bool {
    let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ["/keys", "/deletedkeys", "/rng"].into_iter().any(below)
}

/// Reads a path behind the prefix of its provider.
pub(super) fn read<'p>(method: &Method, path: &'p str) -> Result<Place<'p>, NoPlace> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut segments: Vec<&str> = path.split('/').collect();
    // One slash too many at the end says nothing: the version that was left out.
    if segments.len() > 1 && segments.last() == Some(&"") {
        segments.pop();
    }
    let (get, post, put, patch, delete) = (
        *method == Method::GET,
        *method == Method::POST,
        *method == Method::PUT,
        *method == Method::PATCH,
        *method == Method::DELETE,
    );
    let place = |verb, name, version| Ok(Place { verb, name, version });
    let only = |methods| Err(NoPlace::Methods(methods));
    match segments.as_slice() {
        ["keys"] if get => place(Verb::List, "", None),
        ["keys"] => only("GET"),
        ["rng"] if post => place(Verb::Random, "", None),
        ["rng"] => only("POST"),
        ["keys", "restore"] if post => place(Verb::Restore, "", None),
        ["keys", name] if get => place(Verb::Get, name, None),
        ["keys", name] if put => place(Verb::Import, name, None),
        ["keys", name] if patch => place(Verb::Update, name, None),
        ["keys", name] if delete => place(Verb::Delete, name, None),
        ["keys", _] => only("GET, PUT, PATCH, DELETE"),
        ["keys", name, "versions"] if get => place(Verb::Versions, name, None),
        ["keys", name, "create"] if post => place(Verb::Create, name, None),
        ["keys", name, "backup"] if post => place(Verb::Backup, name, None),
        ["keys", name, "rotate"] if post => place(Verb::Rotate, name, None),
        ["keys", name, "rotationpolicy"] if get => place(Verb::RotationPolicy, name, None),
        ["keys", name, "rotationpolicy"] if put => place(Verb::SetRotationPolicy, name, None),
        ["keys", _, "versions"] => only("GET"),
        ["keys", _, "create" | "backup" | "rotate"] => only("POST"),
        ["keys", _, "rotationpolicy"] => only("GET, PUT"),
        ["keys", name, word] if use_of(word).is_some() => match (use_of(word), post, get) {
            (Some(Verb::Attestation), _, true) => place(Verb::Attestation, name, None),
            (Some(Verb::Attestation), ..) => only("GET"),
            (Some(verb), true, _) => place(verb, name, None),
            _ => only("POST"),
        },
        ["keys", name, version] if get => place(Verb::Get, name, Some(version)),
        ["keys", name, version] if patch => place(Verb::Update, name, Some(version)),
        ["keys", _, _] => only("GET, PATCH"),
        ["keys", name, version, word] => {
            let version = Some(*version).filter(|version| !version.is_empty());
            match (use_of(word), post, get) {
                (Some(Verb::Attestation), _, true) => place(Verb::Attestation, name, version),
                (Some(Verb::Attestation), ..) => only("GET"),
                (Some(verb), true, _) => place(verb, name, version),
                (Some(_), ..) => only("POST"),
                (None, ..) => Err(NoPlace::Nothing),
            }
        }
        ["deletedkeys"] if get => place(Verb::ListDeleted, "", None),
        ["deletedkeys"] => only("GET"),
        ["deletedkeys", name] if get => place(Verb::GetDeleted, name, None),
        ["deletedkeys", name] if delete => place(Verb::Purge, name, None),
        ["deletedkeys", _] => only("GET, DELETE"),
        ["deletedkeys", name, "recover"] if post => place(Verb::Recover, name, None),
        ["deletedkeys", _, "recover"] => only("POST"),
        _ => Err(NoPlace::Nothing),
    }
}

/// The use that a last segment names.
fn use_of(word: &str) -> Option<Verb> {
    Some(match word {
        "release" => Verb::Release,
        "attestation" => Verb::Attestation,
        "wrapkey" => Verb::Raw(Operation::Wrap),
        "unwrapkey" => Verb::Raw(Operation::Unwrap),
        "encrypt" => Verb::Raw(Operation::Encrypt),
        "decrypt" => Verb::Raw(Operation::Decrypt),
        "sign" => Verb::Raw(Operation::Sign),
        "verify" => Verb::Raw(Operation::Verify),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, path: &str) -> Result<(Verb, &str, Option<&str>), NoPlace> {
        read(&method, path).map(|place| (place.verb, place.name, place.version))
    }

    #[test]
    fn three_spellings_mean_the_newest_version() {
        let version = "0123456789abcdef0123456789abcdef";
        for path in ["/keys/k1//release", "/keys/k1/release", "/keys/k1/release/"] {
            assert_eq!(of(Method::POST, path), Ok((Verb::Release, "k1", None)), "{path}");
        }
        let named = format!("/keys/k1/{version}/unwrapkey");
        assert_eq!(of(Method::POST, &named), Ok((Verb::Raw(Operation::Unwrap), "k1", Some(version))));
        assert_eq!(of(Method::GET, "/keys/k1/"), Ok((Verb::Get, "k1", None)));
        assert_eq!(of(Method::GET, "/keys/k1//attestation"), Ok((Verb::Attestation, "k1", None)));
        assert_eq!(of(Method::PATCH, "/keys/k1/"), Ok((Verb::Update, "k1", None)));
    }

    #[test]
    fn a_key_may_have_the_name_of_an_operation() {
        assert_eq!(of(Method::GET, "/keys/restore"), Ok((Verb::Get, "restore", None)));
        assert_eq!(of(Method::POST, "/keys/restore"), Ok((Verb::Restore, "", None)));
        assert_eq!(of(Method::POST, "/keys/release//release"), Ok((Verb::Release, "release", None)));
    }

    #[test]
    fn what_is_served_otherwise_names_its_methods_and_everything_else_is_nothing() {
        assert_eq!(of(Method::POST, "/keys"), Err(NoPlace::Methods("GET")));
        assert_eq!(of(Method::GET, "/keys/k//release"), Err(NoPlace::Methods("POST")));
        for path in ["/keys/k/v/x", "/keys/k///release", "/keys/k/v/release/x", "/deletedkeys/a/b", "/keysx", "/rng/1"]
        {
            assert_eq!(of(Method::POST, path), Err(NoPlace::Nothing), "{path}");
        }
    }

    #[test]
    fn the_door_owns_what_is_below_its_roots() {
        for path in ["/keys", "/keys/", "/keys/a//release", "/deletedkeys", "/rng"] {
            assert!(owns(path), "{path}");
        }
        for path in ["/keysx", "/v1/keys/a", "/", "/rngs"] {
            assert!(!owns(path), "{path}");
        }
    }
}
