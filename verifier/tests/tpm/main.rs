//! Quotes of TPMs, real and forged, through the one entrance of the crate; enrolment against a software TPM.
//!
//! Bad inputs, sections 7 and 9; threat model, P14.

#[path = "../support/mod.rs"]
mod support;

mod enrolment;
mod forged;
mod manifest;
mod oracle;
mod spoiled;
mod structures;
mod swtpm;
mod vouched;

use keygate_forge::tpm::{Signs, Tpm, TpmQuote};
use keygate_verifier::{
    Anchors, Binding, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome, RecipientKey, UnixTime,
    Verified, Verifier, VerifyError,
};
use openssl::pkey::{PKey, Private};

/// The instant around which forged evidence is valid.
const NOW: i64 = 1_790_000_000;

/// Every way in which an attestation key signs.
const SIGNS: [Signs; 4] = [Signs::Rsassa, Signs::Rsapss, Signs::P256, Signs::P384];

/// A verifier under the root of a throw-away authority alone.
fn under(tpm: &Tpm) -> Verifier {
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Tpm, &tpm.root_der()).unwrap();
    Verifier::new(anchors)
}

/// A binding for this recipient.
fn binding(recipient: &PKey<Private>) -> NativeBinding {
    let recipient = RecipientKey::from_spki(&recipient.public_key_to_der().unwrap()).unwrap();
    NativeBinding::new([7; 32], "kms.example", &[9; 32], recipient, b"")
}

/// The qualifying data that a binding asks for.
fn asked(binding: &NativeBinding) -> &[u8] {
    &binding.report_data()[..32]
}

fn judge(verifier: &Verifier, document: &[u8], binding: &Binding, options: &Options) -> Result<Verified, VerifyError> {
    judge_with(verifier, document, binding, &Endorsements::default(), options, UnixTime::from_secs(NOW))
}

fn judge_with(
    verifier: &Verifier,
    document: &[u8],
    binding: &Binding,
    held: &Endorsements,
    options: &Options,
    now: UnixTime,
) -> Result<Verified, VerifyError> {
    let evidence = Evidence { kind: EvidenceKind::Tpm, bytes: document };
    match verifier.verify(&evidence, binding, held, options, now)? {
        Outcome::Verified(verified) => Ok(verified),
        Outcome::NotAccepted { why, .. } => Err(why),
        Outcome::Wants(ids) => panic!("a tpm wishes for nothing, but: {ids:?}"),
    }
}

/// A quote that is right and bound, and the binding.
fn sound(tpm: &Tpm) -> (Vec<u8>, Binding) {
    let native = binding(&keygate_forge::keys::p256());
    let document = tpm.document(&TpmQuote::new(asked(&native)));
    (document, Binding::Native(Box::new(native)))
}
