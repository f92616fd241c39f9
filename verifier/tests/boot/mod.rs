//! Event logs taken apart and put together again, so that a test can change one thing and extend the registers to match.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use keygate_verifier::logs::{Bank, EventLog, LogKind, Registers, Replayed};
use serde_json::{Map, Value};

/// One event, with a digest for each bank of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub register: u32,
    pub kind: u32,
    pub digests: Vec<(Bank, Vec<u8>)>,
    pub data: Vec<u8>,
}

/// A crypto-agile log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub banks: Vec<Bank>,
    pub events: Vec<Event>,
}

pub const NO_ACTION: u32 = 3;
pub const SEPARATOR: u32 = 4;
pub const EVENT_TAG: u32 = 6;
pub const SCRTM_VERSION: u32 = 8;
pub const IPL: u32 = 0xd;
pub const VARIABLE: u32 = 0x8000_0001;
pub const VARIABLE_BOOT: u32 = 0x8000_0002;
pub const APPLICATION: u32 = 0x8000_0003;
pub const ACTION: u32 = 0x8000_0007;
pub const AUTHORITY: u32 = 0x8000_00e0;

impl Log {
    pub fn new(banks: &[Bank]) -> Self {
        Self { banks: banks.to_vec(), events: Vec::new() }
    }

    /// What firmware with Secure Boot measures before it hands over, and one application.
    pub fn usual(banks: &[Bank]) -> Self {
        let mut log = Self::new(banks);
        log.measure(0, SCRTM_VERSION, &wide("1.2.3"));
        for (name, value) in [("SecureBoot", &[1][..]), ("PK", &[]), ("KEK", &[])] {
            log.measure(7, VARIABLE, &variable(GLOBAL, name, value));
        }
        for name in ["db", "dbx"] {
            log.measure(7, VARIABLE, &variable(SECURITY, name, &signatures(&[[7; 32], [8; 32]])));
        }
        for register in [7, 0, 1, 2, 3, 4, 5, 6] {
            log.measure(register, SEPARATOR, &[0; 4]);
        }
        log.extend(4, APPLICATION, b"the image of a boot loader", b"a path");
        log
    }

    /// An event whose digest is that of its data.
    pub fn measure(&mut self, register: u32, kind: u32, data: &[u8]) {
        self.extend(register, kind, data, data);
    }

    /// An event that measured `measured` and shows `data`.
    pub fn extend(&mut self, register: u32, kind: u32, measured: &[u8], data: &[u8]) {
        let digests = self.banks.iter().map(|bank| (*bank, digest(*bank, &[measured]))).collect();
        self.events.push(Event { register, kind, digests, data: data.to_vec() });
    }

    /// The first event that `is`.
    pub fn find(&mut self, is: impl Fn(&Event) -> bool) -> &mut Event {
        self.events.iter_mut().find(|event| is(event)).expect("the log has such an event")
    }

    /// Takes a log apart; it must have the crypto-agile form.
    pub fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let short = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
        let header = 32 + number(28) as usize;
        let banks: Vec<Bank> =
            (0..number(56) as usize).map(|i| Bank::from_id(short(60 + 4 * i)).expect("a bank")).collect();
        let (mut at, mut events) = (header, Vec::new());
        while at < bytes.len() {
            let (register, kind, count) = (number(at), number(at + 4), number(at + 8));
            at += 12;
            let mut digests = Vec::new();
            for _ in 0..count {
                let bank = Bank::from_id(short(at)).unwrap();
                digests.push((bank, bytes[at + 2..at + 2 + bank.size()].to_vec()));
                at += 2 + bank.size();
            }
            let length = number(at) as usize;
            events.push(Event { register, kind, digests, data: bytes[at + 4..at + 4 + length].to_vec() });
            at += 4 + length;
        }
        Self { banks, events }
    }

    /// Takes a log in the old format apart.
    pub fn read_old(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut log) = (0, Self::new(&[Bank::Sha1]));
        while at < bytes.len() {
            let length = number(at + 28) as usize;
            log.events.push(Event {
                register: number(at),
                kind: number(at + 4),
                digests: vec![(Bank::Sha1, bytes[at + 8..at + 28].to_vec())],
                data: bytes[at + 32..at + 32 + length].to_vec(),
            });
            at += 32 + length;
        }
        log
    }

    /// The bytes of the log.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = header(&self.banks.iter().map(|bank| (bank.id(), bank.size() as u16)).collect::<Vec<_>>());
        for event in &self.events {
            put(&mut bytes, &[event.register, event.kind, event.digests.len() as u32]);
            for (bank, digest) in &event.digests {
                bytes.extend(bank.id().to_le_bytes());
                bytes.extend(digest);
            }
            put(&mut bytes, &[event.data.len() as u32]);
            bytes.extend(&event.data);
        }
        bytes
    }

    /// What a TPM holds that extended every event, whatever the log would like to be extended.
    pub fn registers(&self, bank: Bank) -> Registers {
        let mut registers: Registers = (0..24).map(|i| (i, start(i, bank))).collect();
        for event in self.events.iter().filter(|event| event.kind != NO_ACTION) {
            let measured = &event.digests.iter().find(|(of, _)| *of == bank).unwrap().1;
            let value = registers.get_mut(&event.register).unwrap();
            *value = digest(bank, &[value, measured]);
        }
        registers
    }

    /// The claims of the log, held against `quoted`; or the full code of the refusal.
    pub fn claims_against(&self, bank: Bank, quoted: &Registers) -> Result<Map<String, Value>, String> {
        claims(&self.bytes(), LogKind::Tpm, bank, quoted)
    }

    /// The claims of the log, held against registers that extended it.
    pub fn claims(&self, bank: Bank) -> Result<Map<String, Value>, String> {
        self.claims_against(bank, &self.registers(bank))
    }

    /// Calls `with` on the checked log.
    pub fn checked<T>(&self, bank: Bank, with: impl FnOnce(&Replayed<'_>) -> T) -> T {
        let bytes = self.bytes();
        let log = EventLog::parse(&bytes, LogKind::Tpm).unwrap();
        with(&log.check(bank, &self.registers(bank)).unwrap())
    }
}

pub fn claims(bytes: &[u8], kind: LogKind, bank: Bank, quoted: &Registers) -> Result<Map<String, Value>, String> {
    EventLog::parse(bytes, kind)
        .and_then(|log| log.check(bank, quoted))
        .and_then(|log| log.claims())
        .map_err(|refused| refused.full_code())
}

/// The header of a crypto-agile log, with algorithms as (id, length of a digest).
pub fn header(algorithms: &[(u16, u16)]) -> Vec<u8> {
    let mut data = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02".to_vec();
    put(&mut data, &[algorithms.len() as u32]);
    for (id, size) in algorithms {
        data.extend(id.to_le_bytes());
        data.extend(size.to_le_bytes());
    }
    data.push(0);
    old_event(0, NO_ACTION, [0; 20], &data)
}

/// An event in the old format.
pub fn old_event(register: u32, kind: u32, digest: [u8; 20], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, &[register, kind]);
    bytes.extend(digest);
    put(&mut bytes, &[data.len() as u32]);
    bytes.extend(data);
    bytes
}

pub fn put(bytes: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

fn start(register: u32, bank: Bank) -> Vec<u8> {
    vec![if (17..=22).contains(&register) { 0xff } else { 0 }; bank.size()]
}

pub fn digest(bank: Bank, parts: &[&[u8]]) -> Vec<u8> {
    bank.digest(parts)
}

pub const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
pub const SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];

/// UTF-16 without a zero at its end.
pub fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// UEFI_VARIABLE_DATA.
pub fn variable(vendor: [u8; 16], name: &str, value: &[u8]) -> Vec<u8> {
    let name = wide(name);
    let mut bytes = vendor.to_vec();
    bytes.extend((name.len() as u64 / 2).to_le_bytes());
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(name);
    bytes.extend(value);
    bytes
}

/// A list of SHA-256 digests.
pub fn signatures(digests: &[[u8; 32]]) -> Vec<u8> {
    let mut bytes =
        vec![0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28];
    put(&mut bytes, &[28 + 48 * digests.len() as u32, 0, 48]);
    for digest in digests {
        bytes.extend([0; 16]);
        bytes.extend(digest);
    }
    bytes
}

/// A tagged event of Windows.
pub fn tagged(tag: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, &[tag, data.len() as u32]);
    bytes.extend(data);
    bytes
}
