//! What Key Vault's clients may ask for: keys managed, used in the clear or sealed, and released.
//!
//! `keyvault-api.md`, `secure-key-release.md` sections 3 to 6; `native-api.md` section 5 (option `clear`). The door translates HTTP
//! into the words of `words.rs` and back. A use is judged by the same rules and in the same order as at the native door
//! (`use_key.rs`), a change is made at an operator's desk (`keys.rs`); bundles of keys have one shape, in answers and in what is
//! signed (`bundle.rs`).

mod answer;
mod bundle;
mod cycle;
mod fit;
mod keys;
mod read;
mod signer;
mod standing;
mod use_key;
mod words;

pub use keygate_keystore::operations::raw::Rsa15;
pub use keygate_keystore::{KeyView, KeystoreError, TransferredKind};

pub use bundle::{Bundle, HSM_TAG, key_ops};
pub use keys::{Lifetime, NewVaultKey, VaultMaterial, VaultPolicy, VaultUpdate};
pub use read::Page;
pub(crate) use signer::ReleaseSigner;
pub use words::{RawInput, ReleaseInput, Target, VaultAnswer, VaultRefusal, VaultRequest, VaultUsage, enc_of};
