//! Keeping the pages of the process out of swap.
//!
//! `store-durability.md` R3.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::KeystoreError;

/// Locks every page of the process into memory, now and as pages come; to be called once at start.
///
/// `config-invalid`, and nothing locked, where the limit of locked memory is not infinite: allocations
/// beyond a limit would fail later. The process may go on; its secrets may then reach swap.
pub fn lock_memory() -> Result<(), KeystoreError> {
    let refused = |why: String| KeystoreError::ConfigInvalid(format!("memory is not locked: {why}"));
    let infinite = Rlimit { current: None, maximum: None };
    if let Some(limit) = getrlimit(Resource::Memlock).current
        && setrlimit(Resource::Memlock, infinite).is_err()
    {
        return Err(refused(format!("its limit is {limit} bytes")));
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    // Thread stacks and reserved ranges take memory when they are used, not before.
    #[cfg(target_os = "linux")]
    let flags = flags | MlockAllFlags::ONFAULT;
    mlockall(flags).map_err(|e| refused(std::io::Error::from(e).kind().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Either it is locked or it is said why not; what follows can allocate in both cases.
    #[test]
    fn locking_succeeds_or_says_why() {
        if let Err(why) = lock_memory() {
            assert_eq!(why.code(), "config-invalid");
            assert!(why.to_string().starts_with("memory is not locked: "));
        }
        assert_eq!(vec![1_u8; 16 << 20].len(), 16 << 20);
    }
}
