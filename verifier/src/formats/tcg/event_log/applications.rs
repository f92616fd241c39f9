//! Boot applications: what firmware ran, by the Authenticode digests of the images.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 3.3.4.5 (PCR 4). Neither the type of an event nor the path in it is
//! measured: whatever has a digest in PCR 4 and is not known to be something else counts as an application. Known to be something
//! else is an event whose measured bytes are in the log and are no image: the bytes that Authenticode hashes begin as the image
//! does. Catalogue of bad inputs, rows TPM-22 and TPM-24.

use serde_json::{Map, Value, json};

use super::measured::Measured;
use super::{LogKind, Replayed};

/// The longest list in a claim; a longer one is claimed by its count alone.
const MAX_CLAIMED: usize = 64;

/// How the files begin that firmware runs: PE behind a DOS header, PE without one, and terse executables.
const IMAGES: [&[u8]; 3] = [b"MZ", b"PE\0\0", b"VZ"];

/// EV_S_CRTM_VERSION.
const EV_S_CRTM_VERSION: u32 = 0x0000_0008;

/// Whether an event may stand for an image.
fn may_be_image(measured: Measured<'_>) -> bool {
    match measured {
        Measured::Unknown => true,
        Measured::Bytes(bytes) | Measured::Terminated(bytes) => IMAGES.iter().any(|magic| bytes.starts_with(magic)),
        Measured::Narrowed(wide) => {
            IMAGES.iter().any(|magic| wide.iter().step_by(2).take(magic.len()).eq(magic.iter()))
        }
    }
}

/// `applications`, `application_count`, and for a TPM `applications_before_separator`: digests of the compared bank in measured
/// order. RTMR 1 holds PCR 2 to 6 and may have no separator: there every image counts, drivers too.
pub(super) fn claims(log: &Replayed<'_>, claims: &mut Map<String, Value>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut passed = log.kind() == LogKind::Ccel;
    for seen in log.in_register(log.kind().of_pcr(4)) {
        if seen.separator {
            passed = true;
        } else if may_be_image(seen.measured) {
            if passed { &mut after } else { &mut before }.push(hex::encode(seen.digest));
        }
    }
    claims.insert("application_count".into(), json!(after.len()));
    if after.len() <= MAX_CLAIMED {
        claims.insert("applications".into(), json!(after));
    }
    if log.kind() == LogKind::Tpm && before.len() <= MAX_CLAIMED {
        claims.insert("applications_before_separator".into(), json!(before));
    }
}

/// EV_S_CRTM_VERSION: the first thing with a payload that firmware measures into PCR 0.
///
/// `firmware_version_hex` always, `firmware_version` where it is text. Profile, section 3.3.4.1.
pub(super) fn firmware_version(log: &Replayed<'_>, claims: &mut Map<String, Value>) {
    if log.kind() != LogKind::Tpm {
        return;
    }
    let mut firmware = log.in_register(Some(0)).take_while(|seen| !seen.separator);
    let first = firmware.find(|seen| seen.measured != Measured::Unknown);
    let Some(version) = first.filter(|seen| seen.declared == EV_S_CRTM_VERSION).and_then(|seen| seen.measured.bytes())
    else {
        return;
    };
    claims.insert("firmware_version_hex".into(), json!(hex::encode(version.get(..256).unwrap_or(version))));
    let text = super::efi::utf16(version).filter(|text| !text.is_empty() && text.is_ascii());
    if let Some(text) = text.filter(|text| text.len() <= 256) {
        claims.insert("firmware_version".into(), json!(text));
    }
}
