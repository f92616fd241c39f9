//! Any text as an attestation policy: read or refused; what is read prints to a text that reads as the same policy, and
//! evaluates within its budget.
#![no_main]

use keygate_policies::attestation::{AttestationPolicy, Claim, ClaimSet, ClaimValue, Issuer, Tracing};
use keygate_policies::fuel::Fuel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(policy) = AttestationPolicy::parse(text) {
        let again = AttestationPolicy::parse(&policy.print()).expect("its own print is read");
        assert!(again == policy);
        let claims = ["a", "events", "pcrs", "x-ms-sgx-svn"].map(|kind| {
            Claim::new(kind, ClaimValue::Text("{\"a\":[1,true,null]}".to_owned()), Issuer::AttestationService)
        });
        let claims: ClaimSet = claims.into_iter().collect();
        let mut fuel = Fuel::service();
        let traced = policy.evaluate(claims.clone(), &mut fuel, Tracing::On);
        assert!(fuel.steps_spent() <= 100_000);
        assert!(traced.outcome == policy.evaluate(claims, &mut Fuel::service(), Tracing::Off).outcome);
    }
});
