//! Roles, and which of them may do what. None contains another.
//!
//! `native-api.md` section 2 (roles), threat model P46.

use keygate_keystore::{CredentialView, Keystore};

use crate::broker::error::{Code, Fault};

/// A closed list of words, each with its name outside.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$about])* $word,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// The name outside.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }
        }
    };
}

words! {
    /// What a credential may be for.
    Role {
        /// Reads attestation policies.
        AttestationReader = "attestation-reader",
        /// Writes attestation policies.
        AttestationContributor = "attestation-contributor",
        /// Wraps with keys and reads their public parts.
        KeyUser = "key-user",
        /// Makes, switches and deletes keys; not their rules.
        KeyOfficer = "key-officer",
        /// Sets the rules and options of keys.
        RuleOfficer = "rule-officer",
        /// Destroys deleted keys.
        PurgeOfficer = "purge-officer",
        /// Anchors, deny list, marks.
        TrustOfficer = "trust-officer",
        /// Enrols machines with a TPM, on the data listener.
        MachineEnroller = "machine-enroller",
        /// Health, metrics and checks of the store; no keys.
        Operator = "operator",
        /// Reads everything that is recorded.
        Auditor = "auditor",
        /// Grants roles, never to itself.
        Admin = "admin",
    }
}

impl Role {
    /// Reads a name exactly as it is written here: no other case, no spaces, no look-alikes (ADM-01).
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text)
    }
}

/// Mark of the credential that a store begins with. Nobody can grant it.
pub(crate) const FIRST_ADMIN: &str = "first-admin";

words! {
    /// What an operator may ask for: the verbs of the command line.
    #[allow(missing_docs)] // each is its own explanation
    Action {
        KeyList = "key.list",
        KeyShow = "key.show",
        KeyCreate = "key.create",
        KeyImport = "key.import",
        KeyRotate = "key.rotate",
        KeySet = "key.set",
        KeyEnable = "key.enable",
        KeyDisable = "key.disable",
        KeyDelete = "key.delete",
        KeyRecover = "key.recover",
        KeyPurge = "key.purge",
        KeyBackup = "key.backup",
        KeyRestore = "key.restore",
        KeyRotationShow = "key.rotation-show",
        KeyRotationSet = "key.rotation-set",
        RuleShow = "rule.show",
        RuleHistory = "rule.history",
        RuleDiff = "rule.diff",
        RuleSet = "rule.set",
        RuleRestore = "rule.restore",
        PolicyList = "policy.list",
        PolicyShow = "policy.show",
        PolicyHistory = "policy.history",
        PolicyDiff = "policy.diff",
        PolicySet = "policy.set",
        PolicyReset = "policy.reset",
        PolicyRestore = "policy.restore",
        ReferenceList = "reference.list",
        ReferenceShow = "reference.show",
        ReferenceReview = "reference.review",
        ReferenceImport = "reference.import",
        ReferenceApprove = "reference.approve",
        ReferenceRetire = "reference.retire",
        SignerList = "signer.list",
        SignerAdd = "signer.add",
        SignerRemove = "signer.remove",
        SigningKeyList = "signing-key.list",
        SigningKeyRotate = "signing-key.rotate",
        DenyList = "deny.list",
        DenyAdd = "deny.add",
        DenyRemove = "deny.remove",
        EnrolmentList = "enrolment.list",
        EnrolmentShow = "enrolment.show",
        EnrolmentRemove = "enrolment.remove",
        EndorsementKeyList = "endorsement-key.list",
        EndorsementKeyAllow = "endorsement-key.allow",
        EndorsementKeyDisallow = "endorsement-key.disallow",
        CredentialList = "credential.list",
        CredentialShow = "credential.show",
        CredentialCreate = "credential.create",
        CredentialRevoke = "credential.revoke",
        AuditList = "audit.list",
        AuditShow = "audit.show",
        AuditVerify = "audit.verify",
        StoreStatus = "store.status",
        StoreCheck = "store.check",
        StoreBackup = "store.backup",
    }
}

impl Action {
    /// Who may: any one of these roles.
    pub const fn roles(self) -> &'static [Role] {
        use Role::{
            Admin, AttestationContributor, AttestationReader, Auditor, KeyOfficer, Operator, PurgeOfficer, RuleOfficer,
            TrustOfficer,
        };
        match self {
            Self::KeyList | Self::KeyShow => &[KeyOfficer, RuleOfficer, PurgeOfficer, Auditor],
            Self::KeyCreate
            | Self::KeyImport
            | Self::KeyRotate
            | Self::KeySet
            | Self::KeyEnable
            | Self::KeyDisable
            | Self::KeyDelete
            | Self::KeyRecover
            | Self::KeyBackup
            | Self::KeyRestore
            | Self::KeyRotationSet => &[KeyOfficer],
            Self::KeyRotationShow => &[KeyOfficer, Auditor],
            Self::KeyPurge => &[PurgeOfficer],
            Self::RuleShow | Self::RuleHistory | Self::RuleDiff => &[RuleOfficer, KeyOfficer, Auditor],
            Self::RuleSet | Self::RuleRestore | Self::ReferenceApprove | Self::ReferenceRetire => &[RuleOfficer],
            Self::ReferenceList | Self::ReferenceShow | Self::ReferenceReview => &[RuleOfficer, KeyOfficer, Auditor],
            Self::ReferenceImport => &[KeyOfficer, RuleOfficer],
            Self::PolicyList | Self::PolicyShow | Self::PolicyHistory | Self::PolicyDiff | Self::SignerList => {
                &[AttestationReader, AttestationContributor, Auditor]
            }
            Self::PolicySet | Self::PolicyReset | Self::PolicyRestore | Self::SignerAdd | Self::SignerRemove => {
                &[AttestationContributor]
            }
            Self::SigningKeyList => &[TrustOfficer, AttestationReader, Auditor],
            Self::SigningKeyRotate => &[TrustOfficer],
            Self::DenyList => &[TrustOfficer, Auditor],
            Self::DenyAdd | Self::DenyRemove => &[TrustOfficer],
            Self::EnrolmentList | Self::EnrolmentShow | Self::EndorsementKeyList => &[TrustOfficer, Auditor],
            Self::EnrolmentRemove | Self::EndorsementKeyAllow | Self::EndorsementKeyDisallow => &[TrustOfficer],
            Self::CredentialList | Self::CredentialShow => &[Admin, Auditor],
            Self::CredentialCreate | Self::CredentialRevoke => &[Admin],
            Self::AuditList | Self::AuditShow | Self::AuditVerify => &[Auditor],
            Self::StoreStatus | Self::StoreCheck | Self::StoreBackup => &[Operator],
        }
    }

    /// Whether it changes something: then it needs a reason, and `If-Match` where the object exists.
    pub const fn changes(self) -> bool {
        !matches!(
            self,
            Self::KeyList
                | Self::KeyShow
                | Self::KeyRotationShow
                | Self::RuleShow
                | Self::RuleHistory
                | Self::RuleDiff
                | Self::ReferenceList
                | Self::ReferenceShow
                | Self::ReferenceReview
                | Self::PolicyList
                | Self::PolicyShow
                | Self::PolicyHistory
                | Self::PolicyDiff
                | Self::SignerList
                | Self::SigningKeyList
                | Self::DenyList
                | Self::EnrolmentList
                | Self::EnrolmentShow
                | Self::EndorsementKeyList
                | Self::CredentialList
                | Self::CredentialShow
                | Self::AuditList
                | Self::AuditShow
                | Self::AuditVerify
                | Self::StoreStatus
                | Self::StoreCheck
                | Self::StoreBackup
        )
    }
}

/// The roles that a live credential has now. The first admin's has all of them until the provider has, or ever had, another
/// credential with the role `admin`; from then on it is no credential.
///
/// # Errors
/// The first admin's time is over, or the store cannot be read.
pub(crate) fn effective(keystore: &Keystore, known: &CredentialView) -> Result<Vec<String>, Fault> {
    if !known.roles.iter().any(|role| role == FIRST_ADMIN) {
        return Ok(known.roles.clone());
    }
    let all = keystore.credentials(&known.provider)?;
    if all.iter().any(|other| other.name != known.name && is_admin(other)) {
        return Err(Fault::new(Code::CredentialInvalid, "credential").because("another admin exists"));
    }
    Ok(Role::ALL.iter().map(|role| role.as_str().to_owned()).collect())
}

/// Whether the credential grants roles, or did.
pub(crate) fn is_admin(credential: &CredentialView) -> bool {
    credential.roles.iter().any(|role| role == Role::Admin.as_str() || role == FIRST_ADMIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adm_01_a_role_is_read_as_it_is_written_and_not_otherwise() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(*role));
        }
        for odd in [" admin", "admin ", "ADMIN", "Admin", "\u{430}dmin", "aud\u{131}tor", "root", "", FIRST_ADMIN] {
            assert_eq!(Role::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn no_role_contains_another() {
        let may = |role: Role| Action::ALL.iter().filter(move |a| a.changes() && a.roles().contains(&role));
        for role in Role::ALL {
            for other in Role::ALL.iter().filter(|other| *other != role) {
                let contained = may(*other).count() > 0 && may(*other).all(|a| a.roles().contains(role));
                assert!(!contained, "{role:?} may do all that {other:?} may");
            }
        }
    }

    #[test]
    fn every_action_has_a_name_of_its_own_and_somebody_who_may() {
        for (n, action) in Action::ALL.iter().enumerate() {
            assert!(!action.roles().is_empty());
            assert!(Action::ALL.iter().skip(n + 1).all(|other| other.as_str() != action.as_str()));
        }
    }

    #[test]
    fn an_operator_has_no_keys_an_admin_only_grants_and_an_auditor_only_reads() {
        for action in Action::ALL {
            let name = action.as_str();
            let may = |role: Role| action.roles().contains(&role);
            assert!(!may(Role::Operator) || name.starts_with("store."), "{name}");
            assert!(!may(Role::Admin) || name.starts_with("credential."), "{name}");
            assert!(!may(Role::Auditor) || !action.changes(), "{name}");
        }
    }
}
