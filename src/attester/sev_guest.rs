//! The guest device of SEV-SNP on kernels without the report folder.
//!
//! Linux, `include/uapi/linux/sev-guest.h` and `Documentation/virt/coco/sev-guest.rst`; SEV-SNP firmware ABI (AMD 56860)
//! section 7.3, MSG_REPORT_RSP.
#![allow(unsafe_code, reason = "an ioctl hands the kernel addresses of buffers; each call says why it is sound")]

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::AttesterError;

/// Bytes of a report.
const REPORT: usize = 1_184;
/// Bytes before the report in the firmware's answer: status, size, reserved.
const BEFORE_REPORT: usize = 32;
/// What a host may hand out at most, and what is asked for at first: whole pages.
const CERTIFICATES: usize = 16 * 1_024;
const MAX_CERTIFICATES: usize = 128 * 1_024;
const PAGE: usize = 4_096;
/// The hypervisor's word for "the buffer is too short", in the upper half of `exit_info`.
const TOO_SHORT: u64 = 1;

#[repr(C)]
struct ReportRequest {
    user_data: [u8; 64],
    vmpl: u32,
    reserved: [u8; 28],
}

#[repr(C)]
struct ExtendedRequest {
    data: ReportRequest,
    certificates: u64,
    certificates_length: u32,
}

#[repr(C)]
struct GuestRequest {
    version: u8,
    request: u64,
    response: u64,
    exit_info: u64,
}

const GET_REPORT: Opcode = opcode::read_write::<GuestRequest>(b'S', 0);
const GET_EXTENDED_REPORT: Opcode = opcode::read_write::<GuestRequest>(b'S', 2);

/// A report over `data`, and the host's certificate table, empty where it gave none.
pub(super) fn report(device: &Path, data: &[u8; 64]) -> Result<(Vec<u8>, Vec<u8>), AttesterError> {
    let open = OpenOptions::new().read(true).write(true).open(device);
    let file = open.map_err(|source| AttesterError::Device { path: device.to_owned(), source })?;
    let failed = |errno: Errno| AttesterError::Device { path: device.to_owned(), source: errno.into() };
    let mut length = CERTIFICATES;
    // Once as guessed, once with the length that the host asks for.
    for _ in 0..2 {
        match extended(&file, data, length) {
            Ok((answer, table)) => return Ok((checked(device, &answer)?, table)),
            Err(Failure::TooShort(wanted)) if wanted <= MAX_CERTIFICATES => length = wanted.next_multiple_of(PAGE),
            Err(_) => break,
        }
    }
    // A host that has no certificates to give may refuse the extended request altogether.
    let answer = plain(&file, data).map_err(failed)?;
    Ok((checked(device, &answer)?, Vec::new()))
}

enum Failure {
    TooShort(usize),
    Other,
}

fn request(data: &[u8; 64]) -> ReportRequest {
    ReportRequest { user_data: *data, vmpl: 0, reserved: [0; 28] }
}

fn address<T: ?Sized>(of: *const T) -> u64 {
    of.cast::<u8>().expose_provenance() as u64
}

fn plain(file: &File, data: &[u8; 64]) -> Result<Vec<u8>, Errno> {
    let request = request(data);
    let mut answer = vec![0u8; 4_000];
    let mut call = GuestRequest {
        version: 1,
        request: address(&raw const request),
        response: address(answer.as_mut_ptr()),
        exit_info: 0,
    };
    // SAFETY: the opcode is that of this structure; both addresses are those of live buffers of the sizes that the kernel's
    // header gives them (96 and 4000 bytes), and the call ends before they do.
    unsafe { ioctl(file, Updater::<GET_REPORT, GuestRequest>::new(&mut call)) }?;
    Ok(answer)
}

fn extended(file: &File, data: &[u8; 64], length: usize) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let mut table = vec![0u8; length];
    let mut answer = vec![0u8; 4_000];
    let mut request = ExtendedRequest {
        data: request(data),
        certificates: address(table.as_mut_ptr()),
        certificates_length: u32::try_from(length).map_err(|_| Failure::Other)?,
    };
    let mut call = GuestRequest {
        version: 1,
        request: address(&raw mut request),
        response: address(answer.as_mut_ptr()),
        exit_info: 0,
    };
    // SAFETY: as above; besides, the kernel writes at most `certificates_length` bytes to `certificates`, and the length it
    // wishes for into `certificates_length`: both belong to live buffers of ours.
    let done = unsafe { ioctl(file, Updater::<GET_EXTENDED_REPORT, GuestRequest>::new(&mut call)) };
    // SAFETY: the kernel may have changed the field behind the compiler's back; it is a live, aligned u32.
    let wished = unsafe { (&raw const request.certificates_length).read_volatile() };
    match done {
        Ok(()) => Ok((answer, table)),
        Err(_) if call.exit_info >> 32 == TOO_SHORT => Err(Failure::TooShort(wished as usize)),
        Err(_) => Err(Failure::Other),
    }
}

/// The report out of the firmware's answer.
pub(super) fn checked(device: &Path, answer: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let number = |at: usize| {
        let bytes = answer.get(at..).and_then(|rest| rest.first_chunk::<4>());
        u32::from_le_bytes(bytes.copied().unwrap_or([0xff; 4]))
    };
    let (status, size) = (number(0), number(4));
    let wrong = |detail: String| Err(AttesterError::Answer { path: device.to_owned(), detail });
    if status != 0 {
        return wrong(format!("the firmware answered with status {status:#x}"));
    }
    if size as usize != REPORT {
        return wrong(format!("the report has {size} bytes, not {REPORT}"));
    }
    match answer.get(BEFORE_REPORT..BEFORE_REPORT + REPORT) {
        Some(report) => Ok(report.to_vec()),
        None => wrong("the answer is cut off".to_owned()),
    }
}
