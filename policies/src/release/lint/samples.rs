//! Digests that nobody's workload has: examples from documentation, blanks, and hashes of nothing.
//! Bad inputs, row NIT-16; AWS Nitro Enclaves user guide, "Where to get an enclave's measurements".

/// Even, at least four digits, nothing but hexadecimal.
pub(super) fn is_hex(text: &str) -> bool {
    text.len() >= 4 && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the value is known as, if it is a sample.
pub(super) fn known(text: &str) -> Option<&'static str> {
    if text.contains("EXAMPLE") {
        return Some("marked as an example by the documentation it comes from");
    }
    if text.len() < 32 || !is_hex(text) {
        return None;
    }
    let text = text.to_ascii_lowercase();
    if let Some((_, what)) = LISTED.iter().find(|(digest, _)| *digest == text) {
        return Some(what);
    }
    if text.bytes().all(|byte| byte == b'0') {
        return Some("all zero: nothing was measured, or the enclave runs in debug mode");
    }
    let mut digits = text.bytes();
    let first = digits.next();
    if digits.all(|byte| Some(byte) == first) {
        return Some("one digit repeated");
    }
    let counted = |pattern: &str| pattern.bytes().cycle().zip(text.bytes()).all(|(left, right)| left == right);
    let patterns =
        ["0123456789abcdef", "1234567890abcdef", "abcdef1234567890", "deadbeef", "00112233445566778899aabbccddeeff"];
    patterns.iter().any(|pattern| counted(pattern)).then_some("a pattern typed by hand")
}

const LISTED: [(&str, &str); 4] = [
    (
        // SHA-384( 48 zero bytes, "arn:aws:iam::123456789012:role/Webserver" )
        "78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef4fc1f1a452e315b9e98f9e312e6921e6",
        "PCR3 of the role in the vendor's example",
    ),
    (
        // SHA-384( 48 zero bytes, "i-1234567890abcdef0" )
        "08f996b5d43e047a9eb51e7f548bfee7e164fd7dc8f65541f2ac09d6545ac812719327281c401a67a10fcba87ae79ce0",
        "PCR4 of the instance in the vendor's example",
    ),
    ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing"),
    (
        "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
        "SHA-384 of nothing",
    ),
];
