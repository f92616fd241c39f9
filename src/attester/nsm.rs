//! The device of the Nitro Security Module: bytes in, bytes out.
//!
//! Linux, `include/uapi/linux/nsm.h`: one call that takes the address and length of a request and of room for the answer.
#![allow(unsafe_code, reason = "an ioctl hands the kernel addresses of buffers; the call says why it is sound")]

use std::fs::OpenOptions;
use std::path::Path;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::AttesterError;

const MAX_REQUEST: usize = 0x1000;
const MAX_ANSWER: usize = 0x3000;

#[repr(C)]
struct Piece {
    address: u64,
    length: u64,
}

#[repr(C)]
struct Message {
    request: Piece,
    answer: Piece,
}

const RAW: Opcode = opcode::read_write::<Message>(0x0a, 0);

/// Sends one request of at most 4 KiB and gives the answer, at most 12 KiB.
pub(super) fn ask(device: &Path, request: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let failed = |source| AttesterError::Device { path: device.to_owned(), source };
    if request.len() > MAX_REQUEST {
        return Err(AttesterError::Answer { path: device.to_owned(), detail: "the request is too long".to_owned() });
    }
    let file = OpenOptions::new().read(true).write(true).open(device).map_err(failed)?;
    let mut answer = vec![0u8; MAX_ANSWER];
    let mut message = Message {
        request: Piece { address: request.as_ptr().expose_provenance() as u64, length: request.len() as u64 },
        answer: Piece { address: answer.as_mut_ptr().expose_provenance() as u64, length: MAX_ANSWER as u64 },
    };
    // SAFETY: the opcode is that of this structure; the addresses are those of live buffers of the lengths beside them, the
    // kernel writes to `answer` alone and at most its length, and the call ends before the buffers do.
    let done = unsafe { ioctl(&file, Updater::<RAW, Message>::new(&mut message)) };
    done.map_err(|errno| failed(errno.into()))?;
    answer.truncate(usize::try_from(message.answer.length).unwrap_or(MAX_ANSWER));
    Ok(answer)
}
