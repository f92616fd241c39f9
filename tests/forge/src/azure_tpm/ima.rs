//! A list of IMA, as Linux 5.15 and later keep it: certificates that were loaded into keyrings.
//! Linux, `Documentation/security/IMA-templates.rst`, template `ima-buf`, in text.

use crate::keys;

/// Entries of a list, in order.
#[derive(Clone, Debug, Default)]
pub struct ImaList {
    /// What was measured, and under which name.
    pub buffers: Vec<(String, Vec<u8>)>,
}

impl ImaList {
    /// A kernel's version, and then a certificate in a keyring.
    pub fn of_certificate(keyring: &str, certificate: &[u8]) -> Self {
        let version = ("kernel_version".to_owned(), b"6.1.0".to_vec());
        Self { buffers: vec![version, (keyring.to_owned(), certificate.to_vec())] }
    }

    fn fields((name, buffer): &(String, Vec<u8>)) -> Vec<u8> {
        let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
        let digest = [b"sha256:\0".as_slice(), &keys::sha256(buffer)].concat();
        [sized(&digest), sized(&[name.as_bytes(), &[0]].concat()), sized(buffer)].concat()
    }

    /// The list in text.
    pub fn text(&self) -> Vec<u8> {
        let line = |one: &(String, Vec<u8>)| {
            let (sha1, digest) = (hex::encode(keys::sha1(&Self::fields(one))), hex::encode(keys::sha256(&one.1)));
            format!("10 {sha1} ima-buf sha256:{digest} {} {}\n", one.0, hex::encode(&one.1))
        };
        self.buffers.iter().map(line).collect::<String>().into_bytes()
    }

    /// What register 10 of the bank of SHA-256 holds after the list.
    pub fn register(&self) -> Vec<u8> {
        let extend =
            |value: Vec<u8>, one| keys::sha256(&[value, keys::sha256(&Self::fields(one)).to_vec()].concat()).to_vec();
        self.buffers.iter().fold(vec![0; 32], extend)
    }
}
