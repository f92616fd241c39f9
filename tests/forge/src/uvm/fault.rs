//! What can be wrong with an endorsement of a utility VM. The catalogue of bad inputs has no section for them: their rows are those of
//! COSE messages and chains (section 6) and of certificates (section 9).

use crate::cbor;

faults! {
    /// One thing wrong with an endorsement.
    UvmFault {
        /// Tag 98 (COSE_Sign) around the message.
        Tag98 => ("NIT-01", "malformed"),
        /// A message of three members.
        ArrayOfThree => ("NIT-01", "malformed"),
        /// An algorithm that signs nothing here: RSASSA-PKCS1-v1_5 with SHA-256.
        AlgRs256 => ("NIT-02", "unsupported"),
        /// The algorithm as text.
        AlgText => ("NIT-02", "unsupported"),
        /// No algorithm.
        AlgMissing => ("NIT-02", "unsupported"),
        /// An algorithm in the unprotected header as well.
        AlgUnprotected => ("NIT-02", "malformed"),
        /// An algorithm for keys of another type than the signer's.
        AlgOfOtherKey => ("NIT-02", "signature-invalid"),
        /// Another content type.
        ContentType => ("NIT-02", "unsupported"),
        /// Critical header members.
        Crit => ("NIT-03", "malformed"),
        /// One bit of the signature changed.
        SignatureChanged => ("NIT-04", "signature-invalid"),
        /// The version changed after signing.
        PayloadChanged => ("NIT-04", "signature-invalid"),
        /// Signed by a key that is not the signer's.
        ForeignSigner => ("NIT-04", "signature-invalid"),
        /// No payload.
        Detached => ("NIT-05", "malformed"),
        /// The message as array of indefinite length.
        OpenArray => ("NIT-06", "malformed"),
        /// A byte follows the message.
        Trailing => ("NIT-06", "malformed"),
        /// The last byte is missing.
        Truncated => ("NIT-06", "malformed"),
        /// The issuer stands twice.
        IssuerTwice => ("NIT-06", "malformed"),
        /// The algorithm stands twice.
        AlgTwice => ("NIT-06", "malformed"),
        /// No issuer.
        IssuerMissing => ("NIT-06", "malformed"),
        /// No feed.
        FeedMissing => ("NIT-06", "malformed"),
        /// No chain.
        ChainMissing => ("NIT-06", "malformed"),
        /// A protected member that is not known: CWT claims.
        UnknownProtected => ("NIT-06", "malformed"),
        /// An unprotected member that is not known.
        UnknownUnprotected => ("NIT-06", "malformed"),
        /// The countersignature stands twice.
        TimestampTwice => ("NIT-06", "malformed"),
        /// The time of signing without its tag.
        TimeUntagged => ("NIT-06", "malformed"),
        /// The time of signing as text.
        TimeAsText => ("NIT-06", "malformed"),
        /// The version as a JSON number.
        SvnAsNumber => ("NIT-06", "malformed"),
        /// The measurement stands twice.
        MeasurementTwice => ("NIT-06", "malformed"),
        /// The payload is an array of the two values.
        PayloadAsArray => ("NIT-06", "malformed"),
        /// The root is left out.
        ChainWithoutRoot => ("NIT-09", "chain-untrusted"),
        /// The authority is left out.
        ChainWithoutAuthority => ("NIT-09", "chain-untrusted"),
        /// The root first.
        ChainReversed => ("NIT-09", "chain-untrusted"),
        /// The signer alone.
        ChainOfOne => ("NIT-09", "chain-untrusted"),
        /// No certificates.
        ChainEmpty => ("NIT-09", "chain-untrusted"),
        /// Nine certificates.
        ChainOfNine => ("NIT-09", "too-large"),
        /// A certificate that is not on the path.
        ChainWithStranger => ("NIT-09", "chain-untrusted"),
        /// Root with the right name and another key.
        SelfMadeRoot => ("NIT-10", "chain-untrusted"),
        /// The digest of the signer's certificate is another.
        OtherThumbprint => ("NIT-10", "chain-untrusted"),
        /// The signer lacks the key usage that the issuer names.
        SignerWithoutUsage => ("X509-03", "chain-untrusted"),
        /// The signer's certificate is that of an authority.
        SignerIsAuthority => ("X509-03", "chain-untrusted"),
        /// The signer's key is for encryption.
        SignerForOtherUse => ("X509-03", "chain-untrusted"),
    }
}

impl UvmFault {
    /// Changes the protected header.
    pub(super) fn in_header(self, entries: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let drop_label = |entries: &mut Vec<(Vec<u8>, Vec<u8>)>, label: Vec<u8>| entries.retain(|(l, _)| *l != label);
        match self {
            Self::AlgRs256 => entries[0].1 = cbor::int(-257),
            Self::AlgText => entries[0].1 = cbor::text("PS384"),
            Self::AlgMissing => drop(entries.remove(0)),
            Self::AlgOfOtherKey => entries[0].1 = cbor::int(-7),
            Self::AlgTwice => entries.push(entries[0].clone()),
            Self::ContentType => entries[1].1 = cbor::text("application/octet-stream"),
            Self::Crit => entries.push((cbor::uint(2), cbor::array(&[cbor::text("feed")]))),
            Self::IssuerTwice => entries.push(entries[4].clone()),
            Self::IssuerMissing => drop_label(entries, cbor::text("iss")),
            Self::FeedMissing => drop_label(entries, cbor::text("feed")),
            Self::ChainMissing => drop_label(entries, cbor::uint(33)),
            Self::UnknownProtected => {
                entries.push((cbor::uint(15), cbor::map(&[(cbor::uint(1), cbor::text("someone"))])));
            }
            _ => {}
        }
    }
}
