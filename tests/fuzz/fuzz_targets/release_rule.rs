//! Any bytes as the rules of a key: admitted or refused; what is admitted is admitted again from its own text, unchanged.
#![no_main]

use keygate_policies::KeyRules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(rules) = KeyRules::parse(bytes) {
        let again = KeyRules::parse(rules.canonical_text().as_bytes()).expect("its own text is admitted");
        assert_eq!(again.digest(), rules.digest());
    }
});
