//! What no design can go below, measured in the run and in the folder of the run.
//!
//! `performance-floor.md` sections 6 and 9: never a durable rate without F, never a ratio to another day's floor.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sign::Signer;

use crate::Fallible;
use crate::crypto::{KeyWrap, oaep_open, oaep_seal, rs256_holds, rs256_sign, rsa_public};
use crate::system::cpu_of_thread;

/// Flushes that are timed; the time is bounded too, as a slow disk may take a second for each.
const FLUSHES: usize = 300;
const LONGEST: Duration = Duration::from_secs(5);
/// What one small commit appends to a write-ahead log: two frames of a page and its header.
const COMMIT: usize = 2 * (4096 + 24);

/// Floors of one run.
pub struct Floors {
    /// 4 KiB overwritten and flushed, p50.
    pub flush: Duration,
    /// Two frames appended and flushed, p50: a stand-in for one commit of a write-ahead log with full synchronisation, by plain
    /// file operations, not by a database.
    pub append: Duration,
    /// One P-256 signature checked, CPU.
    pub p256: Duration,
    /// One P-384 signature checked, CPU.
    pub p384: Duration,
    /// One RS256 signature of 2048 bits made with a kept key, CPU.
    pub rs256: Duration,
    /// One RS256 signature of 2048 bits checked, CPU.
    pub rs256_check: Duration,
    /// 32 bytes sealed with RSA-OAEP-256 to a key of 2048 bits that comes as a modulus, CPU.
    pub oaep: Duration,
    /// 32 bytes wrapped under an AES key of 256 bits, CPU.
    pub key_wrap: Duration,
    /// RSA-OAEP-256 opened with a key that is read from PKCS #1 and dropped, CPU.
    pub oaep_open_fresh: Duration,
    /// One RS256 signature with a key that is read from PKCS #1 and dropped, CPU.
    pub rs256_fresh: Duration,
    /// One ES256 signature with a key that is read from SEC 1 and dropped, CPU.
    pub es256_fresh: Duration,
}

impl Floors {
    /// Measures in `folder`.
    pub fn measure(folder: &Path) -> Fallible<Self> {
        let (rsa, digest) = (Rsa::generate(2048)?, openssl::sha::sha256(b"keygate-load"));
        let (der, public) = (rsa.private_key_to_der()?, rsa_public(rsa.n(), rsa.e())?);
        let kept = PKey::from_rsa(rsa.clone())?;
        let sealed = oaep_seal(&public, &digest)?;
        let sec1 = EcKey::generate(EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?.as_ref())?.private_key_to_der()?;
        let fresh = || Fallible::Ok(PKey::from_rsa(Rsa::private_key_from_der(&der)?)?);
        // About as long as a token is.
        let message = [0x5a; 2_048];
        let of_message = rs256_sign(&kept, &openssl::sha::sha256(&message))?;
        Ok(Self {
            rs256_check: cpu_each(|| match rs256_holds(&public, &openssl::sha::sha256(&message), &of_message) {
                true => Ok(()),
                false => Err("a sound signature was refused".into()),
            })?,
            oaep: cpu_each(|| oaep_seal(&rsa_public(rsa.n(), rsa.e())?, &digest).map(drop))?,
            key_wrap: cpu_each(|| KeyWrap::Padded.seal(&digest, &digest).map(drop))?,
            oaep_open_fresh: cpu_each(|| oaep_open(&fresh()?, &sealed).map(drop))?,
            rs256_fresh: cpu_each(|| rs256_sign(&fresh()?, &digest).map(drop))?,
            es256_fresh: cpu_each(|| {
                let key = EcKey::private_key_from_der(&sec1)?;
                EcdsaSig::sign(&digest, &key)?;
                Ok(())
            })?,
            flush: overwrite(folder)?,
            append: append(folder)?,
            p256: verify(Nid::X9_62_PRIME256V1)?,
            p384: verify(Nid::SECP384R1)?,
            rs256: sign()?,
        })
    }
}

fn timed(
    folder: &Path,
    name: &str,
    mut step: impl FnMut(&mut std::fs::File) -> std::io::Result<()>,
) -> Fallible<Duration> {
    let path = folder.join(name);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < FLUSHES && began.elapsed() < LONGEST {
        let start = Instant::now();
        step(&mut file)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    drop(file);
    std::fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn overwrite(folder: &Path) -> Fallible<Duration> {
    let page = [0x5a; 4096];
    timed(folder, "floor-overwrite", |file| {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)
    })
}

fn append(folder: &Path) -> Fallible<Duration> {
    let frames = [0x5a; COMMIT];
    timed(folder, "floor-append", |file| file.write_all(&frames))
}

/// One signature checked on this curve.
fn verify(curve: Nid) -> Fallible<Duration> {
    let key = EcKey::generate(EcGroup::from_curve_name(curve)?.as_ref())?;
    let digest = openssl::sha::sha256(b"keygate-load");
    let signature = EcdsaSig::sign(&digest, &key)?;
    cpu_each(|| match signature.verify(&digest, &key)? {
        true => Ok(()),
        false => Err("a sound signature was refused".into()),
    })
}

/// One signature made with RSA of 2048 bits, its key parsed before.
fn sign() -> Fallible<Duration> {
    let key = PKey::from_rsa(Rsa::generate(2048)?)?;
    // About as long as a token is.
    let message = [0x5a; 2_048];
    cpu_each(|| {
        Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(&message)?;
        Ok(())
    })
}

/// Thread CPU time where the kernel keeps it, else the clock on the wall; median of rounds.
fn cpu_each(mut work: impl FnMut() -> Fallible<()>) -> Fallible<Duration> {
    let mut rounds = Vec::new();
    for _ in 0..7 {
        let (cpu, wall, mut times) = (cpu_of_thread(), Instant::now(), 0u32);
        while wall.elapsed() < Duration::from_millis(60) {
            for _ in 0..16 {
                work()?;
                times += 1;
            }
        }
        let spent = match (cpu, cpu_of_thread()) {
            (Some(before), Some(after)) if after > before => after - before,
            _ => wall.elapsed(),
        };
        rounds.push(spent / times);
    }
    rounds.sort_unstable();
    Ok(rounds[rounds.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_times_and_leave_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("keygate-load-floors-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let floors = Floors::measure(&folder).unwrap();
        assert!(floors.flush > Duration::ZERO && floors.append > Duration::ZERO);
        let of_vaults =
            [floors.rs256_check, floors.oaep, floors.oaep_open_fresh, floors.rs256_fresh, floors.es256_fresh];
        for floor in [floors.p256, floors.p384, floors.rs256].into_iter().chain(of_vaults) {
            assert!(floor > Duration::from_micros(5) && floor < Duration::from_millis(50), "{floor:?}");
        }
        assert!(floors.key_wrap > Duration::ZERO && floors.key_wrap < floors.oaep, "{:?}", floors.key_wrap);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
    }
}
