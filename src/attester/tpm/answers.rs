//! What commands give back, read whole.
//!
//! TCG *Trusted Platform Module Library*, part 3, the response tables; part 2, section 10 and 12 (structures). Every function takes
//! the parameters of one response, and bytes that are left over are refused.

use super::wire::{Garbled, Reader};

/// Banks that a TPM may have at most (TPM_NUM_PCR_BANKS is 16 in the reference code).
const MOST_BANKS: u32 = 16;
/// The most digests in one answer to PCR_Read (TPML_DIGEST).
const MOST_DIGESTS: u32 = 8;
const MOST_HANDLES: u32 = 254;
const MOST_PROPERTIES: u32 = 127;

const MAGIC: u32 = 0xff54_4347;
const ATTEST_QUOTE: u16 = 0x8018;
const NULL: u16 = 0x0010;
const RSA: u16 = 0x0001;
const ECC: u16 = 0x0023;

/// The numbers of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Modulus and exponent (65,537 where the area says 0).
    Rsa {
        /// The modulus, big-endian.
        n: Vec<u8>,
        /// The exponent.
        e: u32,
    },
    /// TPM_ECC_CURVE and the coordinates, as the TPM gives them: leading zeros may be missing.
    Ecc {
        /// 3 is P-256, 4 is P-384.
        curve: u16,
        /// x, big-endian.
        x: Vec<u8>,
        /// y, big-endian.
        y: Vec<u8>,
    },
}

/// TPMT_PUBLIC of an RSA or ECC key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// The area as it came.
    pub bytes: Vec<u8>,
    /// TPM_ALG_ID of the hash in its name.
    pub name_hash: u16,
    /// TPMA_OBJECT.
    pub attributes: u32,
    /// The key.
    pub key: Key,
}

impl Public {
    /// Reads TPMT_PUBLIC, part 2 section 12.2.4. Other types than RSA and ECC are refused.
    pub fn read(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut reader = Reader::new(bytes);
        let (kind, name_hash, attributes) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let _policy = reader.sized()?;
        if reader.u16()? != NULL {
            let (_bits, _mode) = (reader.u16()?, reader.u16()?);
        }
        let key = match kind {
            RSA => {
                scheme(&mut reader)?;
                let (_bits, exponent) = (reader.u16()?, reader.u32()?);
                let n = reader.sized()?.to_vec();
                Key::Rsa { n, e: if exponent == 0 { 65_537 } else { exponent } }
            }
            ECC => {
                scheme(&mut reader)?;
                let curve = reader.u16()?;
                scheme(&mut reader)?;
                Key::Ecc { curve, x: reader.sized()?.to_vec(), y: reader.sized()?.to_vec() }
            }
            _ => return Err(Garbled("the key is neither RSA nor ECC")),
        };
        reader.end()?;
        Ok(Self { bytes: bytes.to_vec(), name_hash, attributes, key })
    }
}

/// A scheme with one hash, or none. TPM_ALG_RSAES alone has no details; it is of no use here.
fn scheme(reader: &mut Reader<'_>) -> Result<(), Garbled> {
    match reader.u16()? {
        NULL | 0x0015 => Ok(()),
        0x001a => reader.u32().map(drop),
        _ => reader.u16().map(drop),
    }
}

/// CreatePrimary: the public area and the name of the new object. Part 3, section 24.1.
pub fn primary(parameters: &[u8]) -> Result<(Public, Vec<u8>), Garbled> {
    let mut reader = Reader::new(parameters);
    let public = Public::read(reader.sized()?)?;
    creation(&mut reader)?;
    let name = reader.sized()?.to_vec();
    reader.end()?;
    Ok((public, name))
}

/// Create: TPM2B_PRIVATE without its size, and the public area. Part 3, section 12.1.
pub fn created(parameters: &[u8]) -> Result<(Vec<u8>, Public), Garbled> {
    let mut reader = Reader::new(parameters);
    let private = reader.sized()?.to_vec();
    let public = Public::read(reader.sized()?)?;
    creation(&mut reader)?;
    reader.end()?;
    Ok((private, public))
}

/// Creation data, its hash and its ticket.
fn creation(reader: &mut Reader<'_>) -> Result<(), Garbled> {
    let (_data, _hash) = (reader.sized()?, reader.sized()?);
    ticket(reader)
}

fn ticket(reader: &mut Reader<'_>) -> Result<(), Garbled> {
    let (_tag, _hierarchy, _digest) = (reader.u16()?, reader.u32()?, reader.sized()?);
    Ok(())
}

/// One TPM2B and nothing else: Load (name), NV_Read, StartAuthSession (nonce), ActivateCredential, RSA_Decrypt.
pub fn one(parameters: &[u8]) -> Result<&[u8], Garbled> {
    let mut reader = Reader::new(parameters);
    let bytes = reader.sized()?;
    reader.end()?;
    Ok(bytes)
}

/// ReadPublic: public area and name. Part 3, section 12.4.
pub fn public(parameters: &[u8]) -> Result<(Public, Vec<u8>), Garbled> {
    let mut reader = Reader::new(parameters);
    let public = Public::read(reader.sized()?)?;
    let (name, _qualified) = (reader.sized()?.to_vec(), reader.sized()?);
    reader.end()?;
    Ok((public, name))
}

/// PolicySecret: a timeout and a ticket. Part 3, section 23.4.
pub fn policy_secret(parameters: &[u8]) -> Result<(), Garbled> {
    let mut reader = Reader::new(parameters);
    let _timeout = reader.sized()?;
    ticket(&mut reader)?;
    reader.end()
}

/// Nothing: FlushContext.
pub fn nothing(parameters: &[u8]) -> Result<(), Garbled> {
    Reader::new(parameters).end()
}

/// Quote and Certify: TPMS_ATTEST, and TPMT_SIGNATURE with the TPM_ALG_ID of its hash. Part 3, sections 18.2 and 18.4.
pub fn attested(parameters: &[u8]) -> Result<Attested, Garbled> {
    let mut reader = Reader::new(parameters);
    let attest = reader.sized()?.to_vec();
    let signature = reader.rest();
    let mut reader = Reader::new(signature);
    let (algorithm, hash) = (reader.u16()?, reader.u16()?);
    match algorithm {
        0x0014 | 0x0016 => drop(reader.sized()?),
        0x0018 => drop((reader.sized()?, reader.sized()?)),
        _ => return Err(Garbled("the signature is neither RSASSA, RSAPSS nor ECDSA")),
    }
    reader.end()?;
    Ok(Attested { attest, signature: signature.to_vec(), hash })
}

/// What an attestation key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// TPM_ALG_ID of the signature's hash.
    pub hash: u16,
}

/// Registers of one bank: TPM_ALG_ID and the indexes, ascending.
pub type Selected = (u16, Vec<u32>);

/// What a quote says that must fit what was asked. Part 2, section 10.12.8 (TPMS_ATTEST).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// extraData.
    pub extra_data: Vec<u8>,
    /// The registers, in the order in which they were hashed.
    pub selected: Vec<Selected>,
    /// The digest over their values.
    pub digest: Vec<u8>,
}

/// Reads TPMS_ATTEST of a quote.
pub fn quoted(attest: &[u8]) -> Result<Quoted, Garbled> {
    let mut reader = Reader::new(attest);
    if (reader.u32()?, reader.u16()?) != (MAGIC, ATTEST_QUOTE) {
        return Err(Garbled("it is no quote"));
    }
    let _signer = reader.sized()?;
    let extra_data = reader.sized()?.to_vec();
    let _clock = reader.take(17)?;
    let _firmware = reader.u64()?;
    let selected = selection(&mut reader)?;
    let digest = reader.sized()?.to_vec();
    reader.end()?;
    Ok(Quoted { extra_data, selected, digest })
}

fn selection(reader: &mut Reader<'_>) -> Result<Vec<Selected>, Garbled> {
    let count = reader.count(MOST_BANKS)?;
    let mut banks = Vec::new();
    for _ in 0..count {
        let (bank, bytes) = (reader.u16()?, reader.u8()?);
        if bytes > 4 {
            return Err(Garbled("it selects registers that do not exist"));
        }
        let bits = reader.take(usize::from(bytes))?;
        let of = |(byte, bits): (u32, &u8)| {
            let bits = *bits;
            (0..8_u32).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| byte * 8 + bit)
        };
        banks.push((bank, (0_u32..).zip(bits).flat_map(of).collect()));
    }
    Ok(banks)
}

/// PCR_Read: the registers that were read, and their values in the same order. Part 3, section 22.4.
pub fn registers(parameters: &[u8]) -> Result<(Vec<Selected>, Vec<Vec<u8>>), Garbled> {
    let mut reader = Reader::new(parameters);
    let _update_counter = reader.u32()?;
    let selected = selection(&mut reader)?;
    let count = reader.count(MOST_DIGESTS)?;
    let values = (0..count).map(|_| reader.sized().map(<[u8]>::to_vec)).collect::<Result<Vec<_>, _>>()?;
    reader.end()?;
    Ok((selected, values))
}

/// GetCapability, TPM_CAP_PCRS: which registers each bank has. Part 3, section 30.2.
pub fn banks(parameters: &[u8]) -> Result<Vec<Selected>, Garbled> {
    capability(parameters, 5, selection)
}

/// GetCapability, TPM_CAP_HANDLES.
pub fn handles(parameters: &[u8]) -> Result<Vec<u32>, Garbled> {
    capability(parameters, 1, |reader| {
        let count = reader.count(MOST_HANDLES)?;
        (0..count).map(|_| reader.u32()).collect()
    })
}

/// GetCapability, TPM_CAP_TPM_PROPERTIES: property and value.
pub fn properties(parameters: &[u8]) -> Result<Vec<(u32, u32)>, Garbled> {
    capability(parameters, 6, |reader| {
        let count = reader.count(MOST_PROPERTIES)?;
        (0..count).map(|_| Ok((reader.u32()?, reader.u32()?))).collect()
    })
}

fn capability<T>(
    parameters: &[u8],
    wanted: u32,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Garbled>,
) -> Result<T, Garbled> {
    let mut reader = Reader::new(parameters);
    let (_more, capability) = (reader.u8()?, reader.u32()?);
    if capability != wanted {
        return Err(Garbled("it is about another capability"));
    }
    let data = read(&mut reader)?;
    reader.end()?;
    Ok(data)
}

/// What NV_ReadPublic says: TPMA_NV and the length in bytes. Part 3, section 31.6.
pub fn nv_public(parameters: &[u8]) -> Result<(u32, u16), Garbled> {
    let mut reader = Reader::new(parameters);
    let mut public = Reader::new(reader.sized()?);
    let (_index, _hash, attributes) = (public.u32()?, public.u16()?, public.u32()?);
    let (_policy, length) = (public.sized()?, public.u16()?);
    public.end()?;
    let _name = reader.sized()?;
    reader.end()?;
    Ok((attributes, length))
}

/// A length of a DER element at the front of `bytes`, tag and length included; certificates in NV may have padding behind them.
pub fn der_length(bytes: &[u8]) -> Option<usize> {
    let (tag, first) = (bytes.first()?, *bytes.get(1)?);
    if *tag != 0x30 {
        return None;
    }
    let total = match first {
        0..=0x7f => 2 + usize::from(first),
        0x81 => 3 + usize::from(*bytes.get(2)?),
        0x82 => 4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        _ => return None,
    };
    (total <= bytes.len()).then_some(total)
}
