//! The way to a TPM: one command out, one response back, bounded in time and bytes.
//!
//! Linux, `Documentation/security/tpm`: a device takes a command in one write and gives the response in one read. Emulators take raw
//! commands over a stream; the Microsoft simulator frames them (`TPM_SEND_COMMAND`, locality, length; length, response, result).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use zeroize::Zeroizing;

use super::address::Address;
use super::wire::{HEADER, LONGEST, response_size};

/// The longest wait for a connection to an emulator.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest wait for a response: making an RSA key takes a TPM on a chip up to minutes.
const ANSWER: Duration = Duration::from_secs(180);
const SEND_COMMAND: u32 = 8;

/// A way to a TPM. After a failure the next command takes a new connection, so that what was loaded can still be flushed.
pub struct Transport {
    address: Address,
    open: Option<Line>,
    answer: Duration,
}

enum Line {
    Device(File),
    Tcp(TcpStream),
    Unix(UnixStream),
    Simulator(TcpStream),
}

impl Transport {
    /// Opens the way.
    ///
    /// # Errors
    /// Nothing is there, or it may not be opened.
    pub fn open(address: &Address) -> io::Result<Self> {
        let mut transport = Self { address: address.clone(), open: None, answer: ANSWER };
        transport.open = Some(transport.connect()?);
        Ok(transport)
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn connect(&self) -> io::Result<Line> {
        let tcp = |host: &str, port: u16| -> io::Result<TcpStream> {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in (host, port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, CONNECT) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        stream.set_read_timeout(Some(self.answer))?;
                        stream.set_write_timeout(Some(CONNECT))?;
                        return Ok(stream);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        Ok(match &self.address {
            Address::Device(path) => Line::Device(OpenOptions::new().read(true).write(true).open(path)?),
            Address::Tcp(host, port) => Line::Tcp(tcp(host, *port)?),
            Address::Simulator(host, port) => Line::Simulator(tcp(host, *port)?),
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(self.answer))?;
                stream.set_write_timeout(Some(CONNECT))?;
                Line::Unix(stream)
            }
        })
    }

    /// Sends one command and takes its response, at most [`LONGEST`] bytes.
    ///
    /// # Errors
    /// The connection broke, nothing came in time, or what came has no bounds.
    pub fn transmit(&mut self, command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut line = match self.open.take() {
            Some(line) => line,
            None => self.connect()?,
        };
        let response = match &mut line {
            Line::Device(file) => through_device(file, command),
            Line::Tcp(stream) => raw(stream, command),
            Line::Unix(stream) => raw(stream, command),
            Line::Simulator(stream) => framed(stream, command),
        }?;
        // A line that failed is dropped: what it would still bring belongs to another command.
        self.open = Some(line);
        Ok(response)
    }
}

fn through_device(file: &mut File, command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let written = file.write(command)?;
    if written != command.len() {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "the device took a part of the command"));
    }
    let mut response = Zeroizing::new(vec![0; LONGEST]);
    let length = file.read(&mut response)?;
    response.truncate(length);
    Ok(response)
}

fn raw(stream: &mut (impl Read + Write), command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    stream.write_all(command)?;
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).map_err(timely)?;
    let size = response_size(&header).map_err(|garbled| io::Error::new(io::ErrorKind::InvalidData, garbled.0))?;
    let mut response = Zeroizing::new(header.to_vec());
    response.resize(size, 0);
    stream.read_exact(response.get_mut(HEADER..).unwrap_or_default()).map_err(timely)?;
    Ok(response)
}

fn framed(stream: &mut (impl Read + Write), command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = u32::try_from(command.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let locality = 0;
    let mut frame = SEND_COMMAND.to_be_bytes().to_vec();
    frame.push(locality);
    frame.extend(length.to_be_bytes());
    frame.extend_from_slice(command);
    stream.write_all(&frame)?;
    let mut number = || {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).map_err(timely).map(|()| u32::from_be_bytes(bytes))
    };
    let size = number()? as usize;
    if !(HEADER..=LONGEST).contains(&size) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its size is out of bounds"));
    }
    let mut response = Zeroizing::new(vec![0; size]);
    stream.read_exact(&mut response).map_err(timely)?;
    let mut result = [0; 4];
    stream.read_exact(&mut result).map_err(timely)?;
    match u32::from_be_bytes(result) {
        0 => Ok(response),
        _ => Err(io::Error::other("the simulator could not run the command")),
    }
}

/// A read that timed out says `would block`, which tells nobody anything.
fn timely(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "nothing came in time"),
        io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended"),
        _ => error,
    }
}
