//! The forms in which private keys are kept, read and handed out.
//!
//! RFC 8017 A.1.2 (PKCS#1), RFC 5915 (SEC1), RFC 5208 (PKCS#8). Read by hand, strictly and without
//! the generic decoder (`performance-floor.md` section 3, trap 1); whether the numbers are a good
//! key is asked elsewhere, once, at import.

pub mod der;
pub mod pkcs1;
pub mod pkcs8;
pub mod sec1;
