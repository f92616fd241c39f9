//! What can be wrong with a quote: structure, answer, registers, key, signature, document.
//! Catalogue of bad inputs, section 7.

use serde_json::{Map, Value, json};

use super::structures::{AttestBody, Object, Selected, attributes, sized};
use super::{EK_USAGE, Pcrs, Signs, Tpm};
use crate::base64::url;
use crate::der;
use crate::keys::{self, Key};
use crate::x509::{Cert, Extension, usage};

faults! {
    /// One thing wrong with a document of kind `tpm`.
    TpmFault {
        /// Another magic, signed.
        Magic => ("TPM-01", "signature-invalid"),
        /// Type of a certified name.
        TypeCertify => ("TPM-02", "malformed"),
        /// Type of a creation.
        TypeCreation => ("TPM-02", "malformed"),
        /// Type of a time.
        TypeTime => ("TPM-02", "malformed"),
        /// Type of an NV index.
        TypeNv => ("TPM-02", "malformed"),
        /// Type of an audited session.
        TypeSessionAudit => ("TPM-02", "malformed"),
        /// Type that does not exist.
        TypeUnknown => ("TPM-02", "malformed"),
        /// A certified name instead of a quote, whole and signed.
        CertifyForQuote => ("TPM-02", "malformed"),
        /// Registers 0 to 7 are quoted, values of 1 to 8 are given, in the same order.
        SelectionShifted => ("TPM-03", "binding-mismatch"),
        /// A value of another bank of the same length is missing.
        SelectionOtherBank => ("TPM-03", "binding-mismatch"),
        /// One register less is given than was quoted.
        ValueMissing => ("TPM-03", "binding-mismatch"),
        /// A value is given for a register that was not quoted.
        ValueAdded => ("TPM-04", "binding-mismatch"),
        /// Nothing is selected.
        SelectionEmpty => ("TPM-05", "malformed"),
        /// A bit map of no bytes.
        SelectionSize0 => ("TPM-05", "malformed"),
        /// A bit map of four bytes.
        SelectionSize4 => ("TPM-05", "malformed"),
        /// A bit map of 255 bytes.
        SelectionSize255 => ("TPM-05", "malformed"),
        /// The same bank in two selections.
        BankTwice => ("TPM-05", "malformed"),
        /// Registers of SHA-1 alone.
        Sha1Bank => ("TPM-06", "unsupported"),
        /// The digest of the registers by SHA-1 under a scheme of a longer hash.
        DigestSha1 => ("TPM-07", "binding-mismatch"),
        /// A value other than the quoted one.
        ValueChanged => ("TPM-07", "binding-mismatch"),
        /// Qualifying data of another challenge.
        OtherChallenge => ("TPM-08", "freshness-failed"),
        /// The right qualifying data and a byte behind them.
        LongerChallenge => ("TPM-08", "freshness-failed"),
        /// The right qualifying data without their last byte.
        ShorterChallenge => ("TPM-08", "freshness-failed"),
        /// No qualifying data.
        NoChallenge => ("TPM-08", "freshness-failed"),
        /// An attestation key that is not restricted.
        Unrestricted => ("TPM-10", "chain-untrusted"),
        /// An attestation key that decrypts as well.
        Decrypts => ("TPM-10", "chain-untrusted"),
        /// An attestation key that does not sign by its attributes.
        SignsNot => ("TPM-10", "chain-untrusted"),
        /// An attestation key that can leave its TPM.
        Movable => ("TPM-10", "chain-untrusted"),
        /// An attestation key that can be moved under another parent.
        Reparented => ("TPM-10", "chain-untrusted"),
        /// An attestation key that somebody brought.
        Brought => ("TPM-10", "chain-untrusted"),
        /// An attestation key on P-521.
        CurveP521 => ("TPM-11", "unsupported"),
        /// An attestation key whose name is by SHA-1.
        NameSha1 => ("TPM-11", "unsupported"),
        /// No signature scheme in the signature.
        SchemeNull => ("TPM-12", "unsupported"),
        /// Another scheme of the same key type than that of the key.
        SchemeSwapped => ("TPM-12", "unsupported" | "signature-invalid"),
        /// A hash with number 0 in the signature.
        HashUnknown => ("TPM-12", "unsupported"),
        /// One bit of the signature changed.
        SignatureChanged => ("TPM-12", "signature-invalid"),
        /// One bit of the clock changed after signing.
        QuoteChanged => ("TPM-12", "signature-invalid"),
        /// Extra data of 65,535 bytes that are not there.
        SizeOverflow => ("TPM-13", "malformed"),
        /// A signature of 65,535 bytes that are not there.
        SignatureSize => ("TPM-13", "malformed"),
        /// A byte follows the quote.
        QuoteTrailing => ("TPM-13", "malformed"),
        /// A byte follows the public area.
        KeyTrailing => ("TPM-13", "malformed"),
        /// A certificate of another key.
        CertificateOfOther => ("TPM-14", "binding-mismatch"),
        /// A certificate that is for endorsement keys and for encryption too.
        CertificateUsage => ("TPM-14", "chain-untrusted"),
        /// A certificate that does not let its key sign.
        CertificateSignsNot => ("TPM-14", "chain-untrusted"),
        /// A certificate of an authority.
        CertificateOfAuthority => ("TPM-14", "chain-untrusted"),
        /// No certificate at all.
        NoCertificate => ("TPM-15", "chain-untrusted"),
        /// Only the numbers of the key, which nobody pinned.
        BareKey => ("TPM-15", "chain-untrusted"),
        /// The recipient's key: what is certified is another name.
        ResidentOtherName => ("TPM-36", "binding-mismatch"),
        /// The recipient's key is not the certified one.
        ResidentOtherKey => ("TPM-36", "binding-mismatch"),
        /// The recipient's key was certified for another challenge.
        ResidentOtherChallenge => ("TPM-36", "freshness-failed"),
        /// The recipient's key was certified by another key.
        ResidentOtherSigner => ("TPM-36", "signature-invalid"),
        /// The recipient's key can leave the TPM.
        ResidentMovable => ("TPM-36", "chain-untrusted"),
        /// The recipient's key can be moved under another parent.
        ResidentReparented => ("TPM-36", "chain-untrusted"),
        /// Somebody brought the recipient's key.
        ResidentBrought => ("TPM-36", "chain-untrusted"),
        /// The recipient's key signs and does not decrypt.
        ResidentSigns => ("TPM-36", "chain-untrusted"),
        /// The recipient's key opens nothing for a caller.
        ResidentRestricted => ("TPM-36", "chain-untrusted"),
        /// A quote stands where the recipient's key is certified.
        ResidentQuoted => ("TPM-36", "malformed"),
        /// A number of 67 bytes in an ECDSA signature.
        LongNumber => ("TPM-39", "malformed"),
        /// A member that no document has.
        UnknownMember => ("HTTP-07", "malformed"),
        /// A member twice.
        DoubleMember => ("HTTP-07", "malformed"),
        /// A member in base64url with padding.
        Padded => ("JWT-32", "malformed"),
        /// A register's index with a zero in front.
        IndexPadded => ("HTTP-07", "malformed"),
        /// A register with index 24.
        Index24 => ("HTTP-07", "malformed"),
        /// A value in upper case.
        UpperCase => ("HTTP-07", "malformed"),
        /// A value that is a byte short.
        ValueShort => ("HTTP-07", "malformed"),
        /// A bank without registers.
        BankEmpty => ("HTTP-07", "malformed"),
        /// Another kind.
        OtherKind => ("HTTP-07", "malformed"),
    }
}

impl TpmFault {
    /// Whether the fault is in the recipient's key: the quote needs one.
    pub fn is_of_resident(self) -> bool {
        self.row() == "TPM-36"
    }

    pub(super) fn in_object(self, object: &mut Object) {
        match self {
            Self::Unrestricted => object.attributes &= !attributes::RESTRICTED,
            Self::Decrypts => object.attributes |= attributes::DECRYPT,
            Self::SignsNot => object.attributes &= !attributes::SIGN,
            Self::Movable => object.attributes &= !attributes::FIXED_TPM,
            Self::Reparented => object.attributes &= !attributes::FIXED_PARENT,
            Self::Brought => object.attributes &= !attributes::SENSITIVE_DATA_ORIGIN,
            Self::NameSha1 => object.name_hash = 4,
            Self::KeyTrailing => object.unique.push(0),
            Self::CurveP521 => {
                object.kind = 0x23;
                object.parameters = vec![0, 0x10, 0, 0x18, 0, 0x0b, 0, 5, 0, 0x10];
                object.unique = [sized(&[1; 66]), sized(&[1; 66])].concat();
            }
            _ => {}
        }
    }

    pub(super) fn in_registers(self, quoted: &mut Selected, given: &mut Pcrs) {
        let bank = given.get_mut("sha256");
        match (self, bank) {
            (Self::SelectionShifted, Some(bank)) => {
                *bank = bank.iter().map(|(index, value)| (index + 1, value.clone())).collect();
            }
            (Self::SelectionOtherBank, Some(bank)) => {
                let bank = bank.iter().map(|(index, value)| (*index, value.repeat(2)[..48].to_vec())).collect();
                *given = Pcrs::from([("sha384", bank)]);
            }
            (Self::ValueMissing, Some(bank)) => drop(bank.remove(&7)),
            (Self::ValueAdded, Some(bank)) => drop(bank.insert(11, vec![0; 32])),
            (Self::ValueChanged, Some(bank)) => drop(bank.insert(7, vec![0; 32])),
            (Self::SelectionEmpty, _) => quoted.0.clear(),
            (Self::BankTwice, _) => quoted.0.push(quoted.0[0].clone()),
            (Self::Sha1Bank, _) => {
                let values = (0..8u32).map(|index| (index, keys::sha1(&index.to_be_bytes()).to_vec())).collect();
                *given = Pcrs::from([("sha1", values)]);
                *quoted = Selected::of(given);
            }
            _ => {}
        }
    }

    pub(super) fn in_body(self, body: &mut AttestBody) {
        match self {
            Self::OtherChallenge => body.extra_data = vec![0xee; 32],
            Self::LongerChallenge => body.extra_data.push(0),
            Self::ShorterChallenge => drop(body.extra_data.pop()),
            Self::NoChallenge => body.extra_data.clear(),
            _ => {}
        }
    }

    /// Changes the structure before it is signed.
    pub(super) fn in_message(self, message: &mut Vec<u8>, body: &AttestBody) {
        let kind = match self {
            Self::TypeCertify => Some(0x17),
            Self::TypeCreation => Some(0x1a),
            Self::TypeTime => Some(0x19),
            Self::TypeNv => Some(0x14),
            Self::TypeSessionAudit => Some(0x16),
            Self::TypeUnknown => Some(0x7f),
            _ => None,
        };
        if let Some(kind) = kind {
            message[5] = kind;
        }
        // Magic, type, signer, extra data, clock, firmware, count, hash: there stands the size of the first bit map.
        let extra = 6 + 2 + body.qualified_signer.len();
        let size = extra + 2 + body.extra_data.len() + 17 + 8 + 4 + 2;
        match self {
            Self::Magic => message[0] = 0xfe,
            Self::CertifyForQuote => {
                message.truncate(size - 6);
                message[5] = 0x17;
                message.extend([sized(&body.qualified_signer), sized(&body.qualified_signer)].concat());
            }
            Self::SelectionSize0 => message[size] = 0,
            Self::SelectionSize4 => message[size] = 4,
            Self::SelectionSize255 => message[size] = 255,
            Self::SizeOverflow => message[extra..extra + 2].fill(0xff),
            Self::QuoteTrailing => message.push(0),
            _ => {}
        }
    }

    /// Changes the signature, or the structure after it was signed.
    pub(super) fn in_signature(self, signature: &mut Vec<u8>, message: &mut [u8], signs: Signs) {
        match self {
            Self::SchemeNull => signature[1] = 0x10,
            Self::SchemeSwapped => {
                signature[1] = match signs {
                    Signs::Rsassa => 0x16,
                    Signs::Rsapss => 0x14,
                    Signs::P256 | Signs::P384 => 0x1a,
                };
            }
            Self::HashUnknown => signature[2..4].fill(0),
            Self::SignatureChanged => *signature.last_mut().unwrap() ^= 1,
            Self::QuoteChanged => {
                let clock = 6 + 2 + 34 + 2 + usize::from(message[43]);
                message[clock + 7] ^= 1;
            }
            Self::SignatureSize => signature[4..6].fill(0xff),
            Self::LongNumber => {
                *signature = [&[0, 0x18, 0, 0x0b][..], &sized(&[1; 67]), &sized(&[1; 32])].concat();
            }
            _ => {}
        }
    }

    pub(super) fn in_certificate(self, cert: &mut Cert, stranger: &Key) {
        match self {
            Self::CertificateOfOther => cert.spki = keys::spki(stranger),
            Self::CertificateUsage => {
                cert.extension_mut("2.5.29.37").value = der::sequence(&[der::oid(EK_USAGE)]);
                *cert.extension_mut("2.5.29.15") = Extension::key_usage(usage::DIGITAL_SIGNATURE | 0x20);
            }
            Self::CertificateSignsNot => *cert.extension_mut("2.5.29.15") = Extension::key_usage(0x20),
            Self::CertificateOfAuthority => {
                *cert.extension_mut("2.5.29.19") = Extension::authority(None);
                *cert.extension_mut("2.5.29.15") = Extension::key_usage(usage::DIGITAL_SIGNATURE | usage::CERT_SIGN);
            }
            _ => {}
        }
    }

    /// Changes the members, and writes the text.
    pub(super) fn as_text(self, members: &mut Map<String, Value>, tpm: &Tpm) -> Vec<u8> {
        let register = |members: &mut Map<String, Value>, index: &str, value: &str| {
            members["pcrs"]["sha256"][index] = json!(value);
        };
        match self {
            Self::NoCertificate => {
                members.remove("ak_certificate");
                members.remove("ak_chain");
            }
            Self::BareKey => {
                members.remove("ak");
                members.insert("ak_key".into(), json!(url(&tpm.ak_spki())));
            }
            Self::UnknownMember => drop(members.insert("eventlog".into(), json!(""))),
            Self::Padded => {
                let padded = format!("{}=", members["signature"].as_str().unwrap());
                members.insert("signature".into(), json!(padded));
            }
            Self::IndexPadded => register(members, "08", &"00".repeat(32)),
            Self::Index24 => register(members, "24", &"00".repeat(32)),
            Self::UpperCase => register(members, "7", &"AA".repeat(32)),
            Self::ValueShort => register(members, "7", &"00".repeat(31)),
            Self::BankEmpty => members["pcrs"]["sha384"] = json!({}),
            Self::OtherKind => drop(members.insert("kind".into(), json!("azure-vtpm"))),
            _ => {}
        }
        let text = serde_json::to_string(members).unwrap();
        if self == Self::DoubleMember {
            return text.replacen("{\"", "{\"kind\":\"tpm\",\"", 1).into_bytes();
        }
        text.into_bytes()
    }
}
