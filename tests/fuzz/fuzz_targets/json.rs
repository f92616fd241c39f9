//! Any bytes as JSON: what the strict reader takes, a lenient reader takes too, with the same value.
#![no_main]

use keygate_policies::{Limits, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(node) = json::parse(bytes, &Limits::request(1 << 20)) {
        assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
        let _ = node.to_value();
    }
});
