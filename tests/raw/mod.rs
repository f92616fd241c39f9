//! Bytes on a TLS socket: a client that says exactly what a test wants said. `bad-inputs.md` section 13.
#![allow(dead_code)] // each test binary uses its part

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use serde_json::Value;

use crate::running::Running;

/// The longest that any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
    /// The stable code at the end of a problem's type.
    pub fn code(&self) -> String {
        let json = self.json();
        json["type"].as_str().and_then(|t| t.rsplit('/').next()).unwrap_or_default().to_owned()
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// Status and code.
    pub fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
    }
}

/// How the TLS greeting is said.
pub struct Greeting<'a> {
    pub name: Option<&'a str>,
    pub newest: Option<SslVersion>,
    pub protocols: Option<&'a [u8]>,
    /// Shown where the server asks for a certificate.
    pub client: Option<(&'a X509, &'a PKey<Private>)>,
    /// Certificates between the client's and its CA.
    pub between: Option<&'a X509>,
    /// The admin listener in place of the data listener.
    pub admin: bool,
}

impl Default for Greeting<'_> {
    fn default() -> Self {
        Self { name: Some("localhost"), newest: None, protocols: None, client: None, between: None, admin: false }
    }
}

/// One connection.
pub struct Raw {
    stream: SslStream<TcpStream>,
    held: Vec<u8>,
}

/// Address of the data listener.
pub fn address(server: &Running) -> SocketAddr {
    let port = server.data.rsplit(':').next().unwrap().parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Address of the admin listener.
pub fn admin_address(server: &Running) -> SocketAddr {
    let port = server.admin.rsplit(':').next().unwrap().parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Raw {
    /// A connection that checks the server's certificate.
    pub fn open(server: &Running) -> Self {
        Self::greet(server, &Greeting::default()).unwrap()
    }

    pub fn greet(server: &Running, greeting: &Greeting<'_>) -> Result<Self, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        builder.set_ca_file(server.ca()).unwrap();
        if let Some(newest) = greeting.newest {
            // Old versions are off in the library too: what refuses must be the server.
            builder.set_security_level(0);
            builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
            builder.set_min_proto_version(None).unwrap();
            builder.set_max_proto_version(Some(newest)).unwrap();
            builder.set_verify(SslVerifyMode::NONE);
        }
        if let Some(protocols) = greeting.protocols {
            builder.set_alpn_protos(protocols).unwrap();
        }
        if let Some((certificate, key)) = greeting.client {
            builder.set_certificate(certificate).unwrap();
            builder.set_private_key(key).unwrap();
        }
        if let Some(between) = greeting.between {
            builder.add_extra_chain_cert(between.clone()).unwrap();
        }
        let mut setup = builder.build().configure().unwrap();
        if greeting.name != Some("localhost") {
            setup.set_verify_hostname(false);
        }
        setup.set_use_server_name_indication(greeting.name.is_some());
        let socket = TcpStream::connect(if greeting.admin { admin_address(server) } else { address(server) })
            .map_err(|e| text(&e))?;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let stream = setup.connect(greeting.name.unwrap_or("localhost"), socket).map_err(|e| text(&e))?;
        Ok(Self { stream, held: Vec::new() })
    }

    /// The protocol that the server chose in the greeting.
    pub fn protocol(&self) -> Option<Vec<u8>> {
        self.stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec)
    }

    /// Sends bytes; `false`: the server has hung up.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok() && self.stream.flush().is_ok()
    }

    /// An answer, or `None` when the connection ended without one.
    pub fn answer(&mut self) -> Option<Reply> {
        self.head_and(true)
    }

    /// An answer to HEAD, which has a length and no body.
    pub fn head(&mut self) -> Option<Reply> {
        self.head_and(false)
    }

    fn head_and(&mut self, with_body: bool) -> Option<Reply> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.held[..end]).into_owned();
        self.held.drain(..end);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> =
            lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length: usize =
            reply.header("content-length").filter(|_| with_body).and_then(|v| v.parse().ok()).unwrap_or(0);
        while self.held.len() < length {
            self.more()?;
        }
        reply.body = self.held.drain(..length).collect();
        Some(reply)
    }

    /// Whether the server ends the connection within this time, whatever it says before.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < time {
            let left = time.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            self.stream.get_ref().set_read_timeout(Some(left)).unwrap();
            let mut bytes = [0; 4096];
            match self.stream.ssl_read(&mut bytes) {
                Ok(1..) => {}
                Ok(0) => return true,
                Err(e)
                    if e.io_error().is_some_and(|e| {
                        matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
                    }) => {}
                Err(_) => return true,
            }
        }
        false
    }

    fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 16_384];
        let count = self.stream.read(&mut bytes).ok().filter(|n| *n > 0)?;
        self.held.extend_from_slice(&bytes[..count]);
        Some(())
    }

    /// One request on this connection.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Reply> {
        self.send(request(method, path, headers, body));
        self.answer()
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Reply {
        self.ask("POST", path, &[], body).expect("no answer")
    }
}

/// A request's bytes: Host, type and length as they should be, unless `headers` names them.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let length = body.len().to_string();
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    for (name, value) in
        [("Host", "localhost"), ("Content-Type", "application/json"), ("Content-Length", length.as_str())]
    {
        if !has(name) && (name == "Host" || method == "POST") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
