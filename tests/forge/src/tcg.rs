//! Event logs as firmware writes them, and what they extend.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 10.2 (TCG_PCR_EVENT2, little-endian), 10.4.5.1 (Spec ID event) and table 27
//! (event types); UEFI 2.10, section 8 (variables), 10.3 (device paths). Banks SHA-256 and SHA-384.

use openssl::sha::{sha256, sha384};

const SHA256: u16 = 0x000b;
const SHA384: u16 = 0x000c;

/// Event types.
pub mod event {
    /// EV_NO_ACTION: extends nothing.
    pub const NO_ACTION: u32 = 3;
    /// EV_SEPARATOR.
    pub const SEPARATOR: u32 = 4;
    /// EV_S_CRTM_VERSION.
    pub const CRTM_VERSION: u32 = 8;
    /// EV_IPL.
    pub const IPL: u32 = 0x0d;
    /// EV_EFI_VARIABLE_DRIVER_CONFIG.
    pub const VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
    /// EV_EFI_BOOT_SERVICES_APPLICATION.
    pub const BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
    /// EV_EFI_ACTION.
    pub const ACTION: u32 = 0x8000_0007;
}

/// EFI_GLOBAL_VARIABLE and EFI_IMAGE_SECURITY_DATABASE_GUID, as they lie in memory.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
const DATABASE: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The register.
    pub register: u32,
    /// The type.
    pub kind: u32,
    /// What stands in the log.
    pub data: Vec<u8>,
    /// Digests that were extended.
    pub sha256: [u8; 32],
    /// The same in the other bank.
    pub sha384: [u8; 48],
}

impl Event {
    /// An event whose digests are those of its data.
    pub fn of(register: u32, kind: u32, data: &[u8]) -> Self {
        Self::measuring(register, kind, data, data)
    }

    /// An event whose digests are those of other bytes.
    pub fn measuring(register: u32, kind: u32, data: &[u8], measured: &[u8]) -> Self {
        Self { register, kind, data: data.to_vec(), sha256: sha256(measured), sha384: sha384(measured) }
    }

    /// A UEFI variable in register 7.
    pub fn variable(name: &str, value: &[u8]) -> Self {
        let guid = if name.starts_with("db") { DATABASE } else { GLOBAL };
        let wide = wide(name);
        let mut data = guid.to_vec();
        data.extend(((wide.len() / 2) as u64).to_le_bytes());
        data.extend((value.len() as u64).to_le_bytes());
        data.extend(wide);
        data.extend_from_slice(value);
        Self::of(7, event::VARIABLE_DRIVER_CONFIG, &data)
    }

    /// A boot application in register 4: UEFI_IMAGE_LOAD_EVENT with a file's path. What is measured is the image.
    pub fn application(path: &str, image: &[u8]) -> Self {
        let mut name = wide(path);
        name.extend([0, 0]);
        let mut device_path = vec![4, 4];
        device_path.extend(((name.len() + 4) as u16).to_le_bytes());
        device_path.extend(name);
        device_path.extend([0x7f, 0xff, 4, 0]);
        let mut data = Vec::new();
        for number in [0x7d00_0000_u64, image.len() as u64, 0, device_path.len() as u64] {
            data.extend(number.to_le_bytes());
        }
        data.extend(device_path);
        Self::measuring(4, event::BOOT_SERVICES_APPLICATION, &data, image)
    }

    /// What GRUB measures of a kernel's command line into register 8: the line, without the prefix that the log has.
    pub fn command_line(line: &str) -> Self {
        let mut data = format!("kernel_cmdline: {line}").into_bytes();
        data.push(0);
        Self::measuring(8, event::IPL, &data, line.as_bytes())
    }
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// In the order in which they happened.
    pub events: Vec<Event>,
}

/// What the boot application of [`Log::usual`] is.
pub const APPLICATION: &[u8] = b"a boot loader, as its maker signed it";
/// Its command line.
pub const COMMAND_LINE: &str = "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro";

impl Log {
    /// A start with secure boot: firmware, variables, separators, one boot application, one command line.
    pub fn usual() -> Self {
        let mut events = vec![Event::of(0, event::CRTM_VERSION, &terminated(&wide("1.0")))];
        events.push(Event::variable("SecureBoot", &[1]));
        for name in ["PK", "KEK", "db", "dbx"] {
            events.push(Event::variable(name, &[]));
        }
        events.push(Event::of(4, event::ACTION, b"Calling EFI Application from Boot Option"));
        events.extend((0..8).map(|register| Event::of(register, event::SEPARATOR, &[0; 4])));
        events.push(Event::application("\\EFI\\BOOT\\BOOTX64.EFI", APPLICATION));
        events.push(Event::command_line(COMMAND_LINE));
        Self { events }
    }

    /// `binary_bios_measurements`.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = b"Spec ID Event03\0".to_vec();
        header.extend(0_u32.to_le_bytes());
        // Version 2.0, errata 2, UINTN of 64 bits.
        header.extend([0, 2, 2, 2]);
        header.extend(2_u32.to_le_bytes());
        for (bank, size) in [(SHA256, 32_u16), (SHA384, 48)] {
            header.extend(bank.to_le_bytes());
            header.extend(size.to_le_bytes());
        }
        header.push(0);
        let mut bytes = Vec::new();
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(event::NO_ACTION.to_le_bytes());
        bytes.extend([0; 20]);
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header);
        for event in &self.events {
            bytes.extend(event.register.to_le_bytes());
            bytes.extend(event.kind.to_le_bytes());
            bytes.extend(2_u32.to_le_bytes());
            bytes.extend(SHA256.to_le_bytes());
            bytes.extend(event.sha256);
            bytes.extend(SHA384.to_le_bytes());
            bytes.extend(event.sha384);
            bytes.extend((event.data.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&event.data);
        }
        bytes
    }

    /// The value of a SHA-256 register after the log, from zeros.
    pub fn register(&self, index: u32) -> [u8; 32] {
        let extended = self.events.iter().filter(|event| event.register == index && event.kind != event::NO_ACTION);
        extended.fold([0; 32], |value, event| sha256(&[value, event.sha256].concat()))
    }
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn terminated(text: &[u8]) -> Vec<u8> {
    [text, &[0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_begins_with_its_banks_and_every_event_stands_in_both() {
        let log = Log::usual();
        let bytes = log.bytes();
        assert_eq!(&bytes[32..48], b"Spec ID Event03\0");
        let events: usize = log.events.iter().map(|event| 8 + 4 + 2 + 32 + 2 + 48 + 4 + event.data.len()).sum();
        assert_eq!(bytes.len(), 32 + 37 + events);
        assert_ne!(log.register(7), log.register(4));
        assert_eq!(log.register(23), [0; 32]);
    }
}
