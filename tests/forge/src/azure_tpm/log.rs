//! A crypto-agile event log with digests of SHA-1 and SHA-256, and what Windows puts into one.
//! PC Client Platform Firmware Profile 1.06, section 10; Windows SDK `wbcl.h`.

use std::collections::BTreeMap;

use super::BANKS;
use openssl::hash::{MessageDigest, hash};

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// The register.
    pub register: u32,
    /// The declared type.
    pub kind: u32,
    /// What is measured.
    pub measured: Vec<u8>,
    /// What stands in the log.
    pub data: Vec<u8>,
}

/// A log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// In order of measurement.
    pub events: Vec<Event>,
}

/// EV_SEPARATOR.
const SEPARATOR: u32 = 0x0000_0004;
/// EV_EVENT_TAG.
const EVENT_TAG: u32 = 0x0000_0006;
/// EV_S_CRTM_VERSION.
const CRTM_VERSION: u32 = 0x0000_0008;
/// EV_EFI_VARIABLE_DRIVER_CONFIG.
const DRIVER_CONFIG: u32 = 0x8000_0001;
/// EV_EFI_VARIABLE_BOOT.
const VARIABLE_BOOT: u32 = 0x8000_0002;
/// EFI_GLOBAL_VARIABLE as it lies in a log.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];

/// Tags of events of Windows.
#[allow(missing_docs)] // the vendor's names
pub mod tag {
    pub const TRUST_BOUNDARY: u32 = 0x4001_0001;
    pub const ELAM_AGGREGATION: u32 = 0x4001_0002;
    pub const LOADED_MODULE: u32 = 0x4001_0003;
    pub const TRANSFER_CONTROL: u32 = 0x0002_0003;
    pub const BITLOCKER_UNLOCK: u32 = 0x0002_0005;
    pub const APPLICATION_SVN: u32 = 0x0002_0009;
    pub const BOOT_DEBUGGING: u32 = 0x0004_0001;
    pub const BOOT_REVOCATION_LIST: u32 = 0x0004_0002;
    pub const OS_KERNEL_DEBUG: u32 = 0x0005_0001;
    pub const CODE_INTEGRITY: u32 = 0x0005_0002;
    pub const TEST_SIGNING: u32 = 0x0005_0003;
    pub const DATA_EXECUTION_PREVENTION: u32 = 0x0005_0004;
    pub const SAFE_MODE: u32 = 0x0005_0005;
    pub const WINPE: u32 = 0x0005_0006;
    pub const DRIVER_LOAD_POLICY: u32 = 0x0005_000e;
    pub const SI_POLICY: u32 = 0x0005_000f;
    pub const OS_REVOCATION_LIST: u32 = 0x0005_0013;
    pub const FLIGHT_SIGNING: u32 = 0x0005_0021;
    pub const FILE_PATH: u32 = 0x0007_0001;
    pub const IMAGE_VALIDATED: u32 = 0x0007_000a;
    pub const MODULE_SVN: u32 = 0x0007_000b;
    pub const VBS_VSM_REQUIRED: u32 = 0x000a_0001;
    pub const VBS_IOMMU_REQUIRED: u32 = 0x000a_0003;
    pub const VBS_MANDATORY_ENFORCEMENT: u32 = 0x000a_0006;
    pub const VBS_HVCI_POLICY: u32 = 0x000a_0007;
}

/// The value of a tagged event.
#[derive(Clone, Debug)]
pub enum Value {
    /// One byte.
    Flag(bool),
    /// Eight bytes.
    Number(u64),
    /// UTF-16 with a zero at the end.
    Text(&'static str),
    /// Bytes.
    Bytes(Vec<u8>),
    /// More tagged events.
    Inside(Vec<(u32, Value)>),
}

fn tagged(tag: u32, value: &Value) -> Vec<u8> {
    let data = match value {
        Value::Flag(on) => vec![u8::from(*on)],
        Value::Number(number) => number.to_le_bytes().to_vec(),
        Value::Text(text) => text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect(),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Inside(inside) => inside.iter().flat_map(|(tag, value)| tagged(*tag, value)).collect(),
    };
    [&tag.to_le_bytes()[..], &(data.len() as u32).to_le_bytes(), &data].concat()
}

/// A trust boundary with these tagged events in it.
pub fn boundary(register: u32, inside: &[(u32, Value)]) -> Event {
    let data = tagged(tag::TRUST_BOUNDARY, &Value::Inside(inside.to_vec()));
    Event { register, kind: EVENT_TAG, measured: data.clone(), data }
}

impl Event {
    /// An event whose data are what is measured.
    pub fn plain(register: u32, kind: u32, data: &[u8]) -> Self {
        Self { register, kind, measured: data.to_vec(), data: data.to_vec() }
    }

    /// A separator.
    pub fn separator(register: u32) -> Self {
        Self::plain(register, SEPARATOR, &[0; 4])
    }

    /// A variable of the firmware's configuration, under the global GUID, in register 7.
    pub fn variable(name: &str, value: &[u8]) -> Self {
        Self::plain(7, DRIVER_CONFIG, &variable(name, value))
    }

    /// A variable of the boot, in register 1.
    pub fn boot_variable(name: &str, value: &[u8]) -> Self {
        Self::plain(1, VARIABLE_BOOT, &variable(name, value))
    }
}

fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut data = GLOBAL.to_vec();
    data.extend((units.len() as u64).to_le_bytes());
    data.extend((value.len() as u64).to_le_bytes());
    data.extend(units.into_iter().flat_map(u16::to_le_bytes));
    data.extend(value);
    data
}

impl Log {
    /// The firmware of a PC with secure boot on or off, up to and with its separators.
    pub fn firmware(secure_boot: bool) -> Self {
        let mut events = vec![
            Event::plain(0, CRTM_VERSION, b"forge firmware 1\0"),
            Event::boot_variable("BootOrder", &[1, 0]),
            Event::variable("SecureBoot", &[u8::from(secure_boot)]),
            Event::variable("PK", b"platform key"),
            Event::variable("KEK", b"key exchange keys"),
            Event::variable("db", b"allowed"),
            Event::variable("dbx", b"forbidden"),
        ];
        events.extend((0..8).map(Event::separator));
        Self { events }
    }

    /// The same, and then Windows: `loader` is measured into register 12 by the boot manager and the loader, `modules` into 13, and
    /// each register is closed.
    pub fn windows(secure_boot: bool, loader: &[(u32, Value)], modules: &[(u32, Value)]) -> Self {
        let mut log = Self::firmware(secure_boot);
        log.events.push(boundary(12, loader));
        log.events.push(boundary(13, modules));
        log.events.extend([12, 13, 14].map(|register| Event::plain(register, SEPARATOR, b"WBCL")));
        log
    }

    /// The log as firmware hands it over.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = b"Spec ID Event03\0".to_vec();
        header.extend([0, 0, 0, 0, 0, 2, 0, 2]);
        header.extend((BANKS.len() as u32).to_le_bytes());
        for bank in BANKS {
            header.extend(bank.to_le_bytes());
            header.extend((size(bank) as u16).to_le_bytes());
        }
        header.push(0);
        let mut out = [&0_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), &[0; 20]].concat();
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header);
        for event in &self.events {
            out.extend(event.register.to_le_bytes());
            out.extend(event.kind.to_le_bytes());
            out.extend((BANKS.len() as u32).to_le_bytes());
            for bank in BANKS {
                out.extend(bank.to_le_bytes());
                out.extend(digest(bank, &event.measured));
            }
            out.extend((event.data.len() as u32).to_le_bytes());
            out.extend(&event.data);
        }
        out
    }

    /// The registers of a bank after every event: 0 to 16 and 23 begin with zeros, 17 to 22 with ones.
    pub fn registers(&self, bank: u16) -> BTreeMap<u32, Vec<u8>> {
        let fill = |index| if (17..=22).contains(&index) { 0xff } else { 0 };
        let mut registers: BTreeMap<u32, Vec<u8>> =
            (0..24).map(|index| (index, vec![fill(index); size(bank)])).collect();
        for event in &self.events {
            let before = registers[&event.register].clone();
            registers.insert(event.register, digest(bank, &[before, digest(bank, &event.measured)].concat()));
        }
        registers
    }
}

fn size(bank: u16) -> usize {
    if bank == BANKS[0] { 20 } else { 32 }
}

fn digest(bank: u16, bytes: &[u8]) -> Vec<u8> {
    let algorithm = if bank == BANKS[0] { MessageDigest::sha1() } else { MessageDigest::sha256() };
    hash(algorithm, bytes).unwrap().to_vec()
}
