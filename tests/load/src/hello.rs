//! A bare HTTPS server with the same framework and the same TLS: what a request costs before anything is done with it.
//!
//! `performance-floor.md` section 9, scenario `hello`. Runs as a process of its own, so that its CPU can be read.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use openssl::ssl::{AlpnError, SslAcceptor, SslFiletype, SslMethod, SslOptions, select_next_proto};

use crate::Fallible;

/// The command under which this binary is the bare server.
pub const COMMAND: &str = "serve-hello";

/// A bare server that runs.
pub struct Hello {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Hello {
    /// Starts this binary again as the bare server, with the certificate in `tls`.
    pub fn start(tls: &Path) -> Fallible<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(COMMAND)
            .arg(tls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the bare server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err("the bare server did not start".into())
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the bare server until standard input ends, which it does when the parent is gone.
pub fn serve(tls: &Path) -> Fallible<()> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    builder
        .set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::CIPHER_SERVER_PREFERENCE);
    builder.set_certificate_chain_file(tls.join("server.pem"))?;
    builder.set_private_key_file(tls.join("server.key"), SslFiletype::PEM)?;
    builder.set_alpn_select_callback(|_, offered| select_next_proto(b"\x08http/1.1", offered).ok_or(AlpnError::NOACK));
    let socket = TcpListener::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    println!("{}", socket.local_addr()?);
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    actix_web::rt::System::new().block_on(async move {
        // The body is read: a connection with an unread body would be closed, and a handshake measured instead.
        let answer =
            |_: web::Bytes| async { HttpResponse::Ok().content_type("application/json").body(r#"{"hello":"world"}"#) };
        HttpServer::new(move || App::new().default_service(web::to(answer)))
            .workers(workers)
            .disable_signals()
            .listen_openssl(socket, builder)?
            .run()
            .await
    })?;
    Ok(())
}
