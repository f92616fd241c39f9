//! Commands and responses of a TPM as bytes: framing, authorizations, bounded reading.
//!
//! TCG *Trusted Platform Module Library*, part 1, section 18 (command and response structure); part 2, section 6.10. All numbers are
//! big-endian. This file and `answers.rs` use the standard library alone, so that they can be fed with any bytes.

use std::fmt;

/// The most bytes of a response; what TPMs say of themselves (TPM_PT_MAX_RESPONSE_SIZE) is 4,096.
pub const LONGEST: usize = 4_096;
/// Bytes before the body of a command or response: tag, size, code.
pub const HEADER: usize = 10;
/// An authorization by an empty password, TPM_RS_PW.
pub const PASSWORD: u32 = 0x4000_0009;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// A TPM that does not understand the tag answers as a TPM 1.2 would.
const TPM_1_2: u16 = 0x00c4;
const CONTINUE_SESSION: u8 = 1;

/// What came back is no response to what was asked; says what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbled(pub &'static str);

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a response holds no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// TPM_RC other than TPM_RC_SUCCESS.
    Code(u32),
    /// No response.
    Garbled(Garbled),
}

impl From<Garbled> for Refusal {
    fn from(garbled: Garbled) -> Self {
        Self::Garbled(garbled)
    }
}

/// Reads from the front; every read is bounded by what is there.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Garbled("it is cut off"))?;
        self.rest = rest;
        Ok(*head)
    }
    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Garbled> {
        self.array::<1>().map(|[byte]| byte)
    }
    /// UINT16.
    pub fn u16(&mut self) -> Result<u16, Garbled> {
        self.array().map(u16::from_be_bytes)
    }
    /// UINT32.
    pub fn u32(&mut self) -> Result<u32, Garbled> {
        self.array().map(u32::from_be_bytes)
    }
    /// UINT64.
    pub fn u64(&mut self) -> Result<u64, Garbled> {
        self.array().map(u64::from_be_bytes)
    }
    /// This many bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Garbled> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Garbled("it is cut off"))?;
        self.rest = rest;
        Ok(head)
    }
    /// A TPM2B: a length of two bytes and as many bytes.
    pub fn sized(&mut self) -> Result<&'a [u8], Garbled> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
    /// A count of a list, at most `most`.
    pub fn count(&mut self, most: u32) -> Result<u32, Garbled> {
        match self.u32()? {
            count if count <= most => Ok(count),
            _ => Err(Garbled("a list in it is too long")),
        }
    }
    /// What is left, all of it.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
    /// Nothing may be left.
    pub fn end(self) -> Result<(), Garbled> {
        if self.rest.is_empty() { Ok(()) } else { Err(Garbled("bytes are left over behind it")) }
    }
}

/// Parameters of a command, one behind the other.
#[derive(Debug, Default, Clone)]
pub struct Parameters(Vec<u8>);

impl Parameters {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// One byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    /// UINT16.
    #[must_use]
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    /// UINT32.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    /// A structure that is written already.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// A TPM2B. What is longer than 65,535 bytes is no TPM2B; the command's own bound is far below.
    #[must_use]
    pub fn sized(self, bytes: &[u8]) -> Self {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).raw(bytes)
    }
    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A command: its code, its handles, one authorization for each handle that needs one ([`PASSWORD`] or a policy session), its
/// parameters. Part 1, section 18.
pub fn command(code: u32, handles: &[u32], authorizations: &[u32], parameters: &Parameters) -> Vec<u8> {
    let mut body = Parameters::new();
    for handle in handles {
        body = body.u32(*handle);
    }
    if !authorizations.is_empty() {
        let mut area = Parameters::new();
        for session in authorizations {
            let attributes = if *session == PASSWORD { 0 } else { CONTINUE_SESSION };
            // Session, no nonce, attributes, no password and no HMAC.
            area = area.u32(*session).sized(&[]).u8(attributes).sized(&[]);
        }
        body = body.u32(length(&area.0)).raw(&area.0);
    }
    let body = body.raw(&parameters.0).into_bytes();
    let tag = if authorizations.is_empty() { NO_SESSIONS } else { SESSIONS };
    let size = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    Parameters::new().u16(tag).u32(size).u32(code).raw(&body).into_bytes()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// The size that the header of a response gives, header included.
pub fn response_size(header: &[u8; HEADER]) -> Result<usize, Garbled> {
    let mut reader = Reader::new(header);
    let _tag = reader.u16()?;
    match reader.u32()? as usize {
        size if (HEADER..=LONGEST).contains(&size) => Ok(size),
        _ => Err(Garbled("its size is out of bounds")),
    }
}

/// What a command gave back: a handle, where it makes one, and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The new object or session.
    pub handle: Option<u32>,
    /// The parameters, without the authorizations behind them.
    pub parameters: &'a [u8],
}

/// Takes a response apart. `gives_handle`: the command makes an object or a session; `authorized`: how many authorizations it had.
pub fn response(bytes: &[u8], gives_handle: bool, authorized: usize) -> Result<Answer<'_>, Refusal> {
    let mut reader = Reader::new(bytes);
    let (tag, size, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
    if bytes.len() > LONGEST || size as usize != bytes.len() {
        return Err(Garbled("its size is not that of its bytes").into());
    }
    if code != 0 {
        reader.end()?;
        let expected = matches!(tag, NO_SESSIONS | TPM_1_2);
        return Err(if expected { Refusal::Code(code) } else { Garbled("its tag is unknown").into() });
    }
    if tag != if authorized == 0 { NO_SESSIONS } else { SESSIONS } {
        return Err(Garbled("its tag is not that of the command").into());
    }
    let handle = if gives_handle { Some(reader.u32()?) } else { None };
    if authorized == 0 {
        return Ok(Answer { handle, parameters: reader.rest() });
    }
    let length = reader.u32()?;
    let parameters = reader.take(length as usize)?;
    for _ in 0..authorized {
        let (_nonce, _attributes, _hmac) = (reader.sized()?, reader.u8()?, reader.sized()?);
    }
    reader.end()?;
    Ok(Answer { handle, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_an_authorization_has_the_layout_of_the_library() {
        let bytes = command(0x158, &[0x8000_0001], &[PASSWORD], &Parameters::new().sized(b"ab").u16(0x10));
        let expected = "80020000002100000158800000010000000940000009000000000000026162";
        assert_eq!(hex::encode(bytes), format!("{expected}0010"));
        assert_eq!(hex::encode(command(0x165, &[], &[], &Parameters::new().u32(7))), "80010000000e0000016500000007");
    }

    #[test]
    fn a_response_is_taken_apart_whole_or_not_at_all() {
        let good = hex::decode("80020000001900000000800000050000000201020000010000").unwrap();
        let answer = response(&good, true, 1).unwrap();
        assert_eq!(answer, Answer { handle: Some(0x8000_0005), parameters: &[1, 2] });
        for length in 0..good.len() {
            assert!(response(&good[..length], true, 1).is_err(), "{length}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(response(&longer, true, 1).is_err(), "the size says less");
        longer[5] += 1;
        assert!(response(&longer, true, 1).is_err(), "a byte is left over");
        assert!(response(&good, true, 0).is_err(), "another tag than that of the command");
        assert!(response(&good, true, 2).is_err(), "an authorization is missing");
        assert_eq!(response(&hex::decode("80010000000a00000902").unwrap(), true, 1), Err(Refusal::Code(0x902)));
        assert!(matches!(response(&hex::decode("80010000000b0000090200").unwrap(), true, 1), Err(Refusal::Garbled(_))));
    }

    #[test]
    fn a_size_out_of_bounds_is_not_read() {
        let header = |size: u32| {
            let mut bytes = [0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes[2..6].copy_from_slice(&size.to_be_bytes());
            response_size(&bytes)
        };
        assert_eq!((header(10), header(4_096)), (Ok(10), Ok(4_096)));
        assert!(header(9).is_err() && header(4_097).is_err() && header(u32::MAX).is_err());
    }
}
