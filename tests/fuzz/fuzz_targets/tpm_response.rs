//! Whatever a TPM answers: it is taken apart whole or refused, and nothing panics.
//!
//! The two files are the attester's own; they use the standard library alone, so that this target needs nothing else of it.
#![no_main]

#[path = "../../../src/attester/tpm/answers.rs"]
#[allow(dead_code)]
mod answers;
#[path = "../../../src/attester/tpm/wire.rs"]
#[allow(dead_code)]
mod wire;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(header) = bytes.first_chunk::<{ wire::HEADER }>() {
        let _ = wire::response_size(header);
    }
    for (gives_handle, authorized) in [(false, 0), (false, 1), (true, 0), (true, 1), (false, 2)] {
        if let Ok(answer) = wire::response(bytes, gives_handle, authorized) {
            read(answer.parameters);
        }
    }
    read(bytes);
    let _ = answers::der_length(bytes).map(|length| assert!(length <= bytes.len()));
});

/// Every reader of parameters.
fn read(parameters: &[u8]) {
    let _ = answers::primary(parameters);
    let _ = answers::created(parameters);
    let _ = answers::one(parameters);
    let _ = answers::public(parameters);
    let _ = answers::policy_secret(parameters);
    let _ = answers::nothing(parameters);
    let _ = answers::attested(parameters);
    let _ = answers::quoted(parameters);
    let _ = answers::registers(parameters);
    let _ = answers::banks(parameters);
    let _ = answers::handles(parameters);
    let _ = answers::properties(parameters);
    let _ = answers::nv_public(parameters);
    if let Ok(public) = answers::Public::read(parameters) {
        assert_eq!(public.bytes, parameters);
    }
}
