//! Any text as a rotation policy: taken or refused; what is taken is taken again from its own text, and reckons at any time.
#![no_main]

use keygate_keystore::RotationPolicy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(policy) = RotationPolicy::parse(text) else { return };
    assert!(RotationPolicy::parse(&policy.text()).is_ok_and(|again| again == policy));
    for created in [i64::MIN, -1, 0, 1_800_000_000, i64::MAX] {
        let next = policy.next(created, Some(created));
        assert!(next.rotate.is_none_or(|at| at > created) && next.notify.is_none_or(|at| at > created));
        assert!(policy.ends(created).is_none_or(|at| at > created || created == i64::MAX));
    }
});
