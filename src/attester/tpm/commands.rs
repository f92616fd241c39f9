//! The commands that are used, over one connection. Everything that is loaded is flushed again, on every path.
//!
//! TCG *Trusted Platform Module Library*, part 3. A TPM without a resource manager has three places for objects: nothing here holds
//! more than three at once.

use std::cell::{RefCell, RefMut};
use std::time::Duration;

use zeroize::Zeroizing;

use super::address::Address;
use super::answers::{self, Attested, Public, Selected};
use super::fault::{TpmError, may_be_sent_again};
use super::transport::Transport;
use super::wire::{self, Answer, Garbled, PASSWORD, Parameters, Refusal};

/// TPM_RH_OWNER, TPM_RH_ENDORSEMENT, TPM_RH_NULL.
const OWNER: u32 = 0x4000_0001;
const ENDORSEMENT: u32 = 0x4000_000b;
const NOBODY: u32 = 0x4000_0007;
const ALG_NULL: u16 = 0x0010;
const ALG_SHA256: u16 = 0x000b;
const POLICY_SESSION: u8 = 1;
/// TPMA_NV_OWNERREAD and TPMA_NV_AUTHREAD.
const NV_OWNER_READ: u32 = 1 << 17;
const NV_AUTH_READ: u32 = 1 << 18;
/// Bytes of one NV_Read; every TPM gives that many at once.
const NV_CHUNK: u16 = 512;
/// How often a command is sent to a TPM that says it is busy, and the first pause, which doubles.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(10);

/// A command: name for people, TPM_CC.
#[derive(Clone, Copy)]
struct Code(&'static str, u32);

const ACTIVATE_CREDENTIAL: Code = Code("ActivateCredential", 0x147);
const CERTIFY: Code = Code("Certify", 0x148);
const CREATE: Code = Code("Create", 0x153);
const CREATE_PRIMARY: Code = Code("CreatePrimary", 0x131);
const FLUSH_CONTEXT: Code = Code("FlushContext", 0x165);
const GET_CAPABILITY: Code = Code("GetCapability", 0x17a);
const LOAD: Code = Code("Load", 0x157);
const NV_READ: Code = Code("NV_Read", 0x14e);
const NV_READ_PUBLIC: Code = Code("NV_ReadPublic", 0x169);
const PCR_READ: Code = Code("PCR_Read", 0x17e);
const POLICY_SECRET: Code = Code("PolicySecret", 0x151);
const QUOTE: Code = Code("Quote", 0x158);
const READ_PUBLIC: Code = Code("ReadPublic", 0x173);
const RSA_DECRYPT: Code = Code("RSA_Decrypt", 0x159);
const START_AUTH_SESSION: Code = Code("StartAuthSession", 0x176);

/// A TPM that is open.
pub struct Tpm {
    transport: RefCell<Transport>,
    address: String,
}

/// An object or session in the TPM; one that takes a place is flushed when dropped.
pub struct Loaded<'t> {
    tpm: &'t Tpm,
    handle: u32,
}

impl Loaded<'_> {
    /// The handle.
    pub fn handle(&self) -> u32 {
        self.handle
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        // Objects below 0x80000000 and sessions of type 3 take a place; persistent objects (0x81…) do not.
        if matches!(self.handle >> 24, 0x80 | 0x02 | 0x03) {
            let parameters = Parameters::new().u32(self.handle);
            // Where even this fails the TPM is gone, and with it what was in it.
            let _ = self.tpm.run(FLUSH_CONTEXT, &[], &[], &parameters, answers::nothing);
        }
    }
}

impl Tpm {
    /// Opens the TPM at this address.
    ///
    /// # Errors
    /// [`TpmError::Absent`].
    pub fn open(address: &Address) -> Result<Self, TpmError> {
        let transport =
            Transport::open(address).map_err(|source| TpmError::Absent { address: address.to_string(), source })?;
        Ok(Self { address: transport.address().to_string(), transport: RefCell::new(transport) })
    }

    /// Runs a command that makes no handle.
    fn run<T>(
        &self,
        code: Code,
        handles: &[u32],
        authorizations: &[u32],
        parameters: &Parameters,
        read: impl Fn(&[u8]) -> Result<T, Garbled>,
    ) -> Result<T, TpmError> {
        self.send(code, handles, authorizations, parameters, false, |answer| read(answer.parameters))
    }

    /// Runs a command that makes an object or session.
    fn make<T>(
        &self,
        code: Code,
        handles: &[u32],
        authorizations: &[u32],
        parameters: &Parameters,
        read: impl Fn(&[u8]) -> Result<T, Garbled>,
    ) -> Result<(Loaded<'_>, T), TpmError> {
        self.send(code, handles, authorizations, parameters, true, |answer| {
            let handle = answer.handle.ok_or(Garbled("it has no handle"))?;
            // Taken in hand first: what is there is flushed even when the rest is not understood.
            let loaded = Loaded { tpm: self, handle };
            Ok((loaded, read(answer.parameters)?))
        })
    }

    fn send<T>(
        &self,
        code: Code,
        handles: &[u32],
        authorizations: &[u32],
        parameters: &Parameters,
        gives_handle: bool,
        read: impl Fn(&Answer<'_>) -> Result<T, Garbled>,
    ) -> Result<T, TpmError> {
        let Code(command, number) = code;
        let bytes = wire::command(number, handles, authorizations, parameters);
        let mut pause = PAUSE;
        for attempt in 1.. {
            let response = self.line()?.transmit(&bytes);
            let response =
                response.map_err(|source| TpmError::Silent { address: self.address.clone(), command, source })?;
            let garbled = |detail| self.garbled(command, detail);
            match wire::response(&response, gives_handle, authorizations.len()) {
                Ok(answer) => return read(&answer).map_err(garbled),
                Err(Refusal::Code(code)) if attempt < ATTEMPTS && may_be_sent_again(code) => {
                    std::thread::sleep(pause);
                    pause = pause.saturating_mul(2);
                }
                Err(Refusal::Code(code)) => {
                    return Err(TpmError::Refused { address: self.address.clone(), command, code });
                }
                Err(Refusal::Garbled(detail)) => return Err(garbled(detail)),
            }
        }
        Err(TpmError::Refused { address: self.address.clone(), command, code: 0x922 })
    }

    /// An answer that is none.
    pub fn garbled(&self, command: &'static str, detail: Garbled) -> TpmError {
        TpmError::Garbled { address: self.address.clone(), command, detail }
    }

    fn line(&self) -> Result<RefMut<'_, Transport>, TpmError> {
        self.transport.try_borrow_mut().map_err(|_| TpmError::Silent {
            address: self.address.clone(),
            command: "a command within a command",
            source: std::io::ErrorKind::ResourceBusy.into(),
        })
    }

    /// Makes the primary object of this template in the endorsement hierarchy. Part 3, section 24.1.
    pub fn primary(&self, template: &[u8]) -> Result<(Loaded<'_>, Public), TpmError> {
        let (loaded, (public, _name)) =
            self.make(CREATE_PRIMARY, &[ENDORSEMENT], &[PASSWORD], &creation(template), answers::primary)?;
        Ok((loaded, public))
    }

    /// Makes a key of this template below `parent`: its private part, sealed to the TPM, and its public area. Section 12.1.
    pub fn create(&self, parent: &Loaded<'_>, template: &[u8]) -> Result<(Vec<u8>, Public), TpmError> {
        self.run(CREATE, &[parent.handle], &[PASSWORD], &creation(template), answers::created)
    }

    /// Loads a key that was made below `parent`. Section 12.2.
    pub fn load(&self, parent: &Loaded<'_>, private: &[u8], public: &[u8]) -> Result<Loaded<'_>, TpmError> {
        let parameters = Parameters::new().sized(private).sized(public);
        let read = |parameters: &[u8]| answers::one(parameters).map(drop);
        Ok(self.make(LOAD, &[parent.handle], &[PASSWORD], &parameters, read)?.0)
    }

    /// The object under a handle that lasts, and its public area. Section 12.4.
    pub fn persistent(&self, handle: u32) -> Result<(Loaded<'_>, Public), TpmError> {
        let (public, _name) = self.run(READ_PUBLIC, &[handle], &[], &Parameters::new(), answers::public)?;
        Ok((Loaded { tpm: self, handle }, public))
    }

    /// A quote of these registers that carries `data`. Section 18.4.
    pub fn quote(&self, key: &Loaded<'_>, data: &[u8], selected: &[Selected]) -> Result<Attested, TpmError> {
        let parameters = Parameters::new().sized(data).u16(ALG_NULL).raw(&selection(selected));
        self.run(QUOTE, &[key.handle], &[PASSWORD], &parameters, answers::attested)
    }

    /// That `object` is in this TPM, signed by `key`, carrying `data`. Section 18.2.
    pub fn certify(&self, object: &Loaded<'_>, key: &Loaded<'_>, data: &[u8]) -> Result<Attested, TpmError> {
        let parameters = Parameters::new().sized(data).u16(ALG_NULL);
        self.run(CERTIFY, &[object.handle, key.handle], &[PASSWORD, PASSWORD], &parameters, answers::attested)
    }

    /// RSA decryption by the scheme of the key, with an empty label. Section 14.3.
    pub fn rsa_decrypt(&self, key: &Loaded<'_>, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let parameters = Parameters::new().sized(ciphertext).u16(ALG_NULL).sized(&[]);
        let read = |parameters: &[u8]| answers::one(parameters).map(|plain| Zeroizing::new(plain.to_vec()));
        self.run(RSA_DECRYPT, &[key.handle], &[PASSWORD], &parameters, read)
    }

    /// Opens a credential for `ak` with the endorsement key, whose authorization is `policy`, or an empty password. Section 12.5.
    /// Credential and secret are TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET without their sizes.
    pub fn activate_credential(
        &self,
        ak: &Loaded<'_>,
        ek: &Loaded<'_>,
        policy: Option<&Loaded<'_>>,
        credential: &[u8],
        secret: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let authorizations = [PASSWORD, policy.map_or(PASSWORD, Loaded::handle)];
        let parameters = Parameters::new().sized(credential).sized(secret);
        let read = |parameters: &[u8]| answers::one(parameters).map(|plain| Zeroizing::new(plain.to_vec()));
        self.run(ACTIVATE_CREDENTIAL, &[ak.handle, ek.handle], &authorizations, &parameters, read)
    }

    /// A policy session in which the endorsement hierarchy's (empty) authorization was shown: PolicyA of the EK profile.
    /// Sections 11.1 and 23.4.
    pub fn endorsement_policy(&self) -> Result<Loaded<'_>, TpmError> {
        let parameters = Parameters::new().sized(&[0; 32]).sized(&[]).u8(POLICY_SESSION).u16(ALG_NULL).u16(ALG_SHA256);
        let read = |parameters: &[u8]| answers::one(parameters).map(drop);
        let (session, ()) = self.make(START_AUTH_SESSION, &[NOBODY, NOBODY], &[], &parameters, read)?;
        // No nonce, no command, no reference; no expiry.
        let parameters = Parameters::new().sized(&[]).sized(&[]).sized(&[]).u32(0);
        self.run(POLICY_SECRET, &[ENDORSEMENT, session.handle], &[PASSWORD], &parameters, answers::policy_secret)?;
        Ok(session)
    }

    /// Values of registers: what was read, at most eight, and their values. Section 22.4.
    pub fn registers(&self, selected: &[Selected]) -> Result<(Vec<Selected>, Vec<Vec<u8>>), TpmError> {
        self.run(PCR_READ, &[], &[], &Parameters::new().raw(&selection(selected)), answers::registers)
    }

    /// The banks and which registers each has. Section 30.2.
    pub fn banks(&self) -> Result<Vec<Selected>, TpmError> {
        self.run(GET_CAPABILITY, &[], &[], &capability(5, 0, 1), answers::banks)
    }

    /// Handles from `first` on, at most 254. Section 30.2.
    pub fn handles(&self, first: u32) -> Result<Vec<u32>, TpmError> {
        self.run(GET_CAPABILITY, &[], &[], &capability(1, first, 254), answers::handles)
    }

    /// TPM_PT from `first` on, at most `count`. Section 30.2.
    pub fn properties(&self, first: u32, count: u32) -> Result<Vec<(u32, u32)>, TpmError> {
        self.run(GET_CAPABILITY, &[], &[], &capability(6, first, count), answers::properties)
    }

    /// All bytes of an NV index, or `None` where there is no such index or nothing in it. Sections 31.6 and 31.13.
    pub fn nv(&self, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
        let public = self.run(NV_READ_PUBLIC, &[index], &[], &Parameters::new(), answers::nv_public);
        let (attributes, length) = match public {
            Ok(public) => public,
            Err(refused) if refused.is_nothing_there() => return Ok(None),
            Err(other) => return Err(other),
        };
        let by = if attributes & NV_AUTH_READ == 0 && attributes & NV_OWNER_READ != 0 { OWNER } else { index };
        let mut bytes = Vec::new();
        while let Some(left) = length.checked_sub(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).filter(|n| *n > 0) {
            let chunk = left.min(NV_CHUNK);
            let offset = length.saturating_sub(left);
            let parameters = Parameters::new().u16(chunk).u16(offset);
            let read = |parameters: &[u8]| answers::one(parameters).map(<[u8]>::to_vec);
            match self.run(NV_READ, &[by, index], &[PASSWORD], &parameters, read) {
                Ok(part) if part.len() == usize::from(chunk) => bytes.extend(part),
                Ok(_) => {
                    return Err(self.garbled(NV_READ.0, Garbled("it has another length than was asked for")));
                }
                Err(refused) if refused.is_nothing_there() => return Ok(None),
                Err(other) => return Err(other),
            }
        }
        Ok(Some(bytes))
    }
}

/// No authorization and no data of ours, this template, no outside data, no registers.
fn creation(template: &[u8]) -> Parameters {
    let sensitive = Parameters::new().sized(&[]).sized(&[]).into_bytes();
    Parameters::new().sized(&sensitive).sized(template).sized(&[]).u32(0)
}

fn capability(which: u32, first: u32, count: u32) -> Parameters {
    Parameters::new().u32(which).u32(first).u32(count)
}

/// TPML_PCR_SELECTION with 24 bits a bank.
fn selection(selected: &[Selected]) -> Vec<u8> {
    let mut list = Parameters::new().u32(u32::try_from(selected.len()).unwrap_or(u32::MAX));
    for (bank, indexes) in selected {
        let bits = indexes.iter().filter(|index| **index < 24).fold(0_u32, |bits, index| bits | 1 << *index);
        let [first, second, third, _] = bits.to_le_bytes();
        list = list.u16(*bank).u8(3).raw(&[first, second, third]);
    }
    list.into_bytes()
}
