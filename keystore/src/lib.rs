//! Keys sealed at rest, used only by authorization, handed out only wrapped for a recipient.
//!
//! `native-api.md` sections 1, 3 and 5 (what a key is, how answers are sealed), `store-durability.md`
//! sections 2 and 3 (how keys rest), 6 and 7 (what a commit promises). The crate is synchronous: it
//! knows no runtime and reads no clock; time is an argument. Its one thread is the writer's.
//!
//! * [`Keystore`] is the store: [`Keystore::look`] before a decision, [`Keystore::perform`] after it,
//!   with an [`Authorized`] that carries everything; [`Keystore::change`] for administrators.
//! * [`key`] names the kinds of keys; [`KeyMaterial`] is a key in the clear, for as short as possible.
//! * [`import`] is the only door for foreign key material; [`Keystore::open_transfer`] opens what came sealed, for it.
//! * [`operations`] are the uses of a key that never show it: wrap, unwrap, generate, sign, and the raw forms
//!   of dialect doors.
//! * [`KeyBackup`] is a sealed copy of one key, [`RotationPolicy`] says when it is due for its next version,
//!   [`Recovery`] what becomes of deleted keys; [`Keystore::due_keys`] finds what is due.
//! * [`mod@wrap`] seals what leaves to the key of a [`Recipient`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod authorized;
mod backup;
mod change;
mod due;
mod encoding;
pub mod error;
pub mod import;
mod journal;
pub mod key;
mod key_backup;
mod keystore;
mod machines;
pub mod material;
mod memory;
pub mod names;
pub mod operations;
mod perform;
pub mod primitives;
mod recovery;
mod reserve;
mod root;
pub mod rotation;
mod seal;
mod service;
mod storage;
mod transfer;
mod views;
pub mod wrap;

pub use authorized::{
    AttestOrder, Authorized, Entry, Outcome, Performed, RawUse, Record, RepeatKey, Repeated, Sealing, Seen, Spend,
    StoredAnswer, Target, Use,
};
pub use change::{
    AttributeChanges, Attributes, Change, ChangeOrder, Changed, IfMatch, KeyUpdate, NewMaterial, RuleDocument,
};
pub use due::{Due, DueKey, DueKeys, NoticeOrder};
pub use error::{KeyStateReason, KeystoreError};
pub use import::ImportFormat;
pub use key::{Curve, KeyType, Operation};
pub use key_backup::{AfterPurge, KeyBackup, KeyBackupOrder, LONGEST_KEY_BACKUP};
pub use keystore::{Keystore, MacPurpose};
pub use machines::{ALLOWED_EK, AllowedEk, ClockReading, Enrolment, KnownKey, Machine, NewEnrolment, WentBack};
pub use material::{KeyMaterial, PublicPart};
pub use memory::lock_memory;
pub use names::{KeyName, ProviderId, VersionId};
pub use perform::{ALARMING_GCM_USES, MOST_GCM_USES};
pub use primitives::hash::Hash;
pub use recovery::Recovery;
pub use reserve::Space;
pub use root::{FileRoot, RootKey, RootSecret};
pub use rotation::{RotationPolicy, RotationVersion};
pub use transfer::{LONGEST_TRANSFER, TransferOrder, Transferred, TransferredKind};
pub use views::{
    BackupReport, CheckReport, Counters, CredentialView, Damage, DenyEntry, EntryView, Epoch, Head, JournalVerdict,
    KeyView, Look, PolicyVersion, ReadRows, RuleVersion, ServiceKeyView, ServicePurpose, StoreStatus, VersionView,
};
pub use wrap::{Recipient, RecipientKind, RecipientPrivate, Unsealer, Wrapped, Wrapping, unwrap_with, wrap};
