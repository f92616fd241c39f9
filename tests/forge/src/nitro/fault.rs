//! What can be wrong with a Nitro document: the envelope, the members, the chain.
//! Catalogue of bad inputs, section 6.

use super::document::pair;
use crate::cbor;

faults! {
    /// One thing wrong with a Nitro document.
    NitroFault {
        /// Envelope of three items.
        ArrayOfThree => ("NIT-01", "malformed"),
        /// Envelope of five items.
        ArrayOfFive => ("NIT-01", "malformed"),
        /// Tag 98 (COSE_Sign) around the envelope.
        Tag98 => ("NIT-01", "malformed"),
        /// Tag 18 twice.
        TagTwice => ("NIT-01", "malformed"),
        /// Protected algorithm ES256.
        AlgEs256 => ("NIT-02", "unsupported"),
        /// Protected algorithm ES512.
        AlgEs512 => ("NIT-02", "unsupported"),
        /// Algorithm as text.
        AlgText => ("NIT-02", "unsupported"),
        /// Algorithm only in the unprotected header.
        AlgUnprotected => ("NIT-02", "unsupported"),
        /// Protected header is the empty byte string.
        ProtectedEmpty => ("NIT-02", "unsupported"),
        /// Algorithm twice in the protected header.
        DuplicateAlg => ("NIT-06", "malformed"),
        /// Critical header parameter.
        Crit => ("NIT-03", "malformed"),
        /// Signature of 95 bytes.
        SignatureShort => ("NIT-04", "signature-invalid"),
        /// Signature of 97 bytes.
        SignatureLong => ("NIT-04", "signature-invalid"),
        /// Signature in DER.
        SignatureDer => ("NIT-04", "signature-invalid"),
        /// One bit of the signature changed.
        SignatureChanged => ("NIT-04", "signature-invalid"),
        /// One bit of PCR 0 changed after signing.
        PayloadChanged => ("NIT-04", "signature-invalid"),
        /// Signed by a key that is not the leaf's.
        ForeignSigner => ("NIT-04", "signature-invalid"),
        /// No payload.
        Detached => ("NIT-05", "malformed"),
        /// Envelope array of indefinite length.
        OpenArray => ("NIT-06", "malformed"),
        /// Payload as byte string of indefinite length.
        PayloadOpenString => ("NIT-06", "malformed"),
        /// Length of the payload in eight bytes.
        PayloadLongLength => ("NIT-06", "malformed"),
        /// Length of the payload 2^64 − 1.
        PayloadHugeLength => ("NIT-06", "malformed" | "too-large"),
        /// A byte follows the payload's map.
        PayloadTrailing => ("NIT-06", "malformed"),
        /// A byte follows the envelope.
        Trailing => ("NIT-06", "malformed"),
        /// The last byte is missing.
        Truncated => ("NIT-06", "malformed"),
        /// Member `nonce` twice.
        DuplicateMember => ("NIT-06", "malformed"),
        /// A register twice.
        DuplicatePcr => ("NIT-06", "malformed"),
        /// Register 0 in two bytes.
        LongInteger => ("NIT-06", "malformed"),
        /// Register −1.
        NegativePcr => ("NIT-06", "malformed"),
        /// Module identifier as text of indefinite length.
        OpenText => ("NIT-06", "malformed"),
        /// Module identifier that is not UTF-8.
        InvalidUtf8 => ("NIT-06", "malformed"),
        /// Timestamp as floating-point number.
        FloatTimestamp => ("NIT-06", "malformed"),
        /// Timestamp as text.
        TextTimestamp => ("NIT-06", "malformed"),
        /// Tag inside the payload.
        TagInside => ("NIT-06", "malformed"),
        /// Nonce of 10,000 nested arrays.
        DeepNesting => ("NIT-06", "malformed" | "too-large"),
        /// Registers 0 to 2 are zero: debug mode.
        Debug => ("NIT-07", "debug-rejected"),
        /// A register with index 32.
        PcrIndex32 => ("NIT-08", "malformed"),
        /// Register 0 of 32 bytes.
        PcrShort => ("NIT-08", "malformed"),
        /// No registers.
        PcrsEmpty => ("NIT-08", "malformed" | "debug-rejected"),
        /// Bundle from the issuer of the leaf to the root.
        BundleReversed => ("NIT-09", "chain-untrusted"),
        /// Bundle without the root.
        BundleWithoutRoot => ("NIT-09", "chain-untrusted"),
        /// Bundle without the issuer of the leaf.
        BundleWithoutIssuer => ("NIT-09", "chain-untrusted"),
        /// Empty bundle.
        BundleEmpty => ("NIT-09", "chain-untrusted" | "malformed"),
        /// Bundle of a hundred certificates.
        BundleOfHundred => ("NIT-09", "chain-untrusted" | "too-large"),
        /// The regional authority allows no authority below it.
        PathLength => ("NIT-09", "chain-untrusted"),
        /// Root with the right name and another key.
        SelfMadeRoot => ("NIT-10", "chain-untrusted"),
        /// The leaf expired a second ago.
        LeafExpired => ("NIT-11", "chain-untrusted"),
        /// The leaf is valid from the next second.
        LeafNotYetValid => ("NIT-11", "chain-untrusted"),
        /// Timestamp an hour ahead.
        TimestampAhead => ("NIT-11", "freshness-failed" | "chain-untrusted"),
        /// Timestamp a day ago.
        TimestampOld => ("NIT-11", "freshness-failed" | "chain-untrusted"),
        /// Nonce of 1,025 bytes.
        NonceTooLong => ("NIT-13", "too-large"),
        /// User data of 1,025 bytes.
        UserDataTooLong => ("NIT-13", "too-large"),
        /// Public key of 1,025 bytes.
        PublicKeyTooLong => ("NIT-13", "too-large"),
        /// Empty module identifier.
        ModuleIdEmpty => ("NIT-15", "malformed"),
        /// Module identifier with a line feed and a quote.
        ModuleIdJunk => ("NIT-15", "malformed"),
        /// Digest `SHA256`.
        DigestSha256 => ("NIT-15", "malformed"),
        /// Member `module_id` missing.
        NoModuleId => ("NIT-15", "malformed"),
        /// Member `digest` missing.
        NoDigest => ("NIT-15", "malformed"),
        /// Member `timestamp` missing.
        NoTimestamp => ("NIT-15", "malformed"),
        /// Member `pcrs` missing.
        NoPcrs => ("NIT-15", "malformed"),
        /// Member `certificate` missing.
        NoCertificate => ("NIT-15", "malformed"),
        /// Member `cabundle` missing.
        NoBundle => ("NIT-15", "malformed"),
        /// Timestamp zero.
        TimestampZero => ("NIT-15", "malformed" | "freshness-failed"),
        /// Member `pcrs` twice.
        DuplicatePcrs => ("NIT-17", "malformed"),
    }
}

impl NitroFault {
    /// Changes the members of the payload, before they are signed.
    pub(super) fn in_members(self, pairs: &mut Vec<(Vec<u8>, Vec<u8>)>, millis: u64) {
        const HOUR: u64 = 3_600_000;
        match self {
            Self::DuplicateMember => put(pairs, "nonce", cbor::bytes(&[1; 32]), true),
            Self::OpenText => {
                let text = [vec![0x7f], cbor::text("i-0"), vec![0xff]].concat();
                put(pairs, "module_id", text, false);
            }
            Self::InvalidUtf8 => put(pairs, "module_id", vec![0x62, 0xc3, 0x28], false),
            Self::FloatTimestamp => put(pairs, "timestamp", cbor::float(millis as f64), false),
            Self::TextTimestamp => {
                let text = cbor::text(&millis.to_string());
                put(pairs, "timestamp", text, false);
            }
            Self::TagInside => put(pairs, "timestamp", cbor::tag(1, &cbor::uint(millis)), false),
            Self::DeepNesting => {
                let nested = [vec![0x81; 10_000], cbor::null()].concat();
                put(pairs, "nonce", nested, false);
            }
            Self::TimestampAhead => put(pairs, "timestamp", cbor::uint(millis + HOUR), false),
            Self::TimestampOld => put(pairs, "timestamp", cbor::uint(millis - 24 * HOUR), false),
            Self::TimestampZero => put(pairs, "timestamp", cbor::uint(0), false),
            Self::NonceTooLong => put(pairs, "nonce", cbor::bytes(&[1; 1025]), false),
            Self::UserDataTooLong => put(pairs, "user_data", cbor::bytes(&[1; 1025]), false),
            Self::PublicKeyTooLong => put(pairs, "public_key", cbor::bytes(&[1; 1025]), false),
            Self::ModuleIdEmpty => put(pairs, "module_id", cbor::text(""), false),
            Self::ModuleIdJunk => put(pairs, "module_id", cbor::text("i-0\n\"x\": 1"), false),
            Self::DigestSha256 => put(pairs, "digest", cbor::text("SHA256"), false),
            Self::NoModuleId => drop_member(pairs, "module_id"),
            Self::NoDigest => drop_member(pairs, "digest"),
            Self::NoTimestamp => drop_member(pairs, "timestamp"),
            Self::NoPcrs => drop_member(pairs, "pcrs"),
            Self::NoCertificate => drop_member(pairs, "certificate"),
            Self::NoBundle => drop_member(pairs, "cabundle"),
            Self::DuplicatePcrs => {
                let twin = pairs.iter().find(|p| p.0 == cbor::text("pcrs")).cloned();
                pairs.extend(twin);
            }
            _ => {}
        }
    }
}

/// Sets a member, or appends it a second time.
fn put(pairs: &mut Vec<(Vec<u8>, Vec<u8>)>, name: &str, value: Vec<u8>, twice: bool) {
    let key = cbor::text(name);
    match pairs.iter_mut().find(|p| p.0 == key) {
        Some(found) => {
            if twice {
                found.1.clone_from(&value);
                pairs.push(pair(name, value));
            } else {
                found.1 = value;
            }
        }
        None => {
            pairs.push(pair(name, value.clone()));
            if twice {
                pairs.push(pair(name, value));
            }
        }
    }
}

fn drop_member(pairs: &mut Vec<(Vec<u8>, Vec<u8>)>, name: &str) {
    pairs.retain(|p| p.0 != cbor::text(name));
}

/// Changes the order or the members of the bundle.
pub(super) fn in_bundle(mut bundle: Vec<Vec<u8>>, fault: Option<NitroFault>) -> Vec<Vec<u8>> {
    match fault {
        Some(NitroFault::BundleReversed) => bundle.reverse(),
        Some(NitroFault::BundleWithoutRoot) => {
            bundle.remove(0);
        }
        Some(NitroFault::BundleWithoutIssuer) => {
            bundle.pop();
        }
        Some(NitroFault::BundleEmpty) => bundle.clear(),
        Some(NitroFault::BundleOfHundred) => {
            let second = bundle[1].clone();
            while bundle.len() < 100 {
                bundle.insert(1, second.clone());
            }
        }
        _ => {}
    }
    bundle
}
