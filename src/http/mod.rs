//! The two listeners: data for workloads, admin for operators. TLS, limits, hosts; routes come from the doors.
//!
//! Keygate's contract, section 3. A request passes the gate before any handler reads a byte of it.

mod dialect;
mod gate;
mod health;
pub mod hygiene;
mod rate;
pub mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::openssl::TlsStream;
use actix_web::dev::{Extensions, Server};
use actix_web::{App, HttpServer, middleware, rt, web};
use openssl::ssl::NameType;
use openssl::stack::Stack;

use crate::broker::Broker;
use crate::doors;
use crate::identity::PeerCertificate;
use gate::Gate;

/// What a listener is made of.
pub struct ListenerSetup {
    /// A bound socket.
    pub socket: TcpListener,
    /// TLS.
    pub tls: openssl::ssl::SslAcceptorBuilder,
    /// The most bytes of a body.
    pub body_bytes: usize,
    /// Which doors stand behind it.
    pub side: Side,
    /// Path prefixes of the providers; an empty one is the root.
    pub prefixes: Vec<String>,
}

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Workloads.
    Data,
    /// Operators.
    Admin,
}

/// Times and numbers of both listeners.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// HTTP threads; 0: one a core.
    pub workers: usize,
    /// Open connections.
    pub max_connections: usize,
    /// For the head of a request and the handshake.
    pub header: Duration,
    /// For an answer.
    pub request: Duration,
    /// For an idle connection.
    pub keep_alive: Duration,
    /// For a drain.
    pub drain: Duration,
    /// Requests a second and source.
    pub rate: u32,
    /// Requests of a source at once.
    pub burst: u32,
}

/// The server name that the client asked for in its TLS greeting; empty: none.
#[derive(Debug, Clone)]
struct ServerName(String);

/// What the client's certificate says here.
#[derive(Debug, Clone)]
struct Peer(Arc<PeerCertificate>);

/// Starts a listener. The future ends when it was stopped and has drained.
///
/// # Errors
/// The socket cannot be listened on.
pub fn listen(setup: ListenerSetup, broker: &Arc<Broker>, pace: Pace) -> std::io::Result<Server> {
    let ListenerSetup { socket, tls, body_bytes, side, prefixes } = setup;
    let gate = Arc::new(Gate::new(Arc::clone(broker), body_bytes, pace, side, prefixes.clone()));
    let broker = Arc::clone(broker);
    let examiner = Arc::clone(&broker);
    let workers = if pace.workers == 0 {
        std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get)
    } else {
        pace.workers
    };
    let server = HttpServer::new(move || {
        let gate = Arc::clone(&gate);
        let mut app = App::new()
            .app_data(web::Data::new(Arc::clone(&broker)))
            .app_data(web::PayloadConfig::new(body_bytes))
            .wrap(
                middleware::DefaultHeaders::new()
                    .add(("Cache-Control", "no-store"))
                    .add(("X-Content-Type-Options", "nosniff")),
            )
            .wrap(middleware::from_fn(move |request, next| gate::pass(Arc::clone(&gate), request, next)))
            .configure(health::routes)
            .default_service(web::to(gate::nothing_here));
        for prefix in &prefixes {
            app = match side {
                Side::Data => app.service(
                    web::scope(prefix)
                        .configure(doors::native::routes)
                        .configure(doors::maa::routes)
                        .configure(doors::keyvault::routes),
                ),
                Side::Admin => app.service(web::scope(prefix).configure(doors::admin::routes)),
            };
        }
        app
    })
    .workers(workers)
    .max_connections(pace.max_connections)
    .client_request_timeout(pace.header)
    .client_disconnect_timeout(Duration::from_secs(5))
    .keep_alive(pace.keep_alive)
    .shutdown_timeout(pace.drain.as_secs())
    .tls_handshake_timeout(pace.header)
    .disable_signals()
    .on_connect(move |connection, data| note_connection(&examiner, connection, data))
    .listen_openssl(socket, tls)?;
    Ok(server.run())
}

fn note_connection(broker: &Broker, connection: &dyn std::any::Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<rt::net::TcpStream>>() else { return };
    let tls = stream.ssl();
    let name = tls.servername(NameType::HOST_NAME).unwrap_or_default();
    data.insert(ServerName(name.to_ascii_lowercase()));
    let (Some(leaf), Ok(none)) = (tls.peer_certificate(), Stack::new()) else { return };
    if let Some(peer) = broker.examine_client(&leaf, tls.peer_cert_chain().unwrap_or(&none)) {
        data.insert(Peer(Arc::new(peer)));
    }
}

/// Binds a socket so that its port is known before the listener starts.
///
/// # Errors
/// The address is taken or not ours.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
