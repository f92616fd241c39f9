//! The door in Azure Attestation's dialect: its paths, bodies, tokens and refusals, so that its clients work unchanged.
//!
//! `maa-rest-api.md`. `version.rs` is the query, `call.rs` the head of a request, `wire.rs` its body, `error.rs` the shape of answers.

mod call;
mod error;
mod handlers;
mod version;
mod wire;

#[cfg(test)]
mod tests;

use actix_web::web::{self, ServiceConfig, get, post, put, resource};

pub use error::answer;

/// Where paths of this door begin, behind a provider's prefix.
const PLACES: [&str; 6] = ["/attest", "/policies", "/certificates", "/certs", "/tcbbaselines", "/servicehealth"];
/// The one path of this door in a folder that is not its own.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Whether a path is of this door, whether or not something is served there.
pub fn owns(path: &str) -> bool {
    let begins =
        |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']));
    path == DISCOVERY || PLACES.iter().any(|place| begins(place))
}

/// Whether a body under this path may be bare text: a signed policy or certificate.
pub fn takes_text(path: &str) -> bool {
    ["/policies", "/certificates"].iter().any(|place| path.starts_with(place)) && owns(path)
}

/// The routes of the data listener. The assembly puts a [`Seat`](crate::broker::Seat) into every request.
pub fn routes(config: &mut ServiceConfig) {
    let only = |path: &str, methods: &'static str| {
        resource(path).default_service(web::to(move || async move { error::not_allowed(methods) }))
    };
    let signed = || web::PayloadConfig::new(wire::LARGEST_JWS_BODY);
    config
        .service(only("/attest/{type}", "POST").route(post().to(handlers::attest)))
        .service(
            only("/policies/{type:[^/:]+}", "GET, PUT")
                .app_data(signed())
                .route(get().to(handlers::policy))
                .route(put().to(handlers::set_policy)),
        )
        .service(
            only("/policies/{type:[^/:]+}:reset", "POST").app_data(signed()).route(post().to(handlers::reset_policy)),
        )
        .service(only("/certificates", "GET").route(get().to(handlers::certificates)))
        .service(only("/certificates:add", "POST").app_data(signed()).route(post().to(handlers::add_certificate)))
        .service(only("/certificates:remove", "POST").app_data(signed()).route(post().to(handlers::remove_certificate)))
        .service(only("/certs", "GET").route(get().to(handlers::certs)))
        .service(only(DISCOVERY, "GET").route(get().to(handlers::discovery)))
        .service(only("/tcbbaselines/{type}", "GET").route(get().to(handlers::baselines)))
        .service(only("/servicehealth", "GET").route(get().to(handlers::health)));
}
