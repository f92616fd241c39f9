//! The native door: our own JSON, every kind of evidence, every operation, sealed answers only.
//!
//! `native-api.md` section 3. Problems are RFC 9457, see [`super::problem`].

mod enrolments;
mod handlers;
mod openapi;
mod wire;

use actix_web::web::{self, ServiceConfig, get, post, resource};

pub use openapi::document;

/// Bytes of a body without evidence. Threat model P51.
const WITHOUT_EVIDENCE: usize = 64 * 1_024;
/// Bytes of a body with a certificate and its chain.
const ENROLMENT: usize = 256 * 1_024;

/// The routes of the data listener. The assembly puts a [`Seat`](crate::broker::Seat) into every request.
pub fn routes(config: &mut ServiceConfig) {
    let only = |path: &str, route: actix_web::Route| {
        resource(path).route(route).default_service(web::to(handlers::not_allowed))
    };
    config
        .service(
            only("/v1/challenges", post().to(handlers::challenge)).app_data(web::PayloadConfig::new(WITHOUT_EVIDENCE)),
        )
        .service(only("/v1/attestations", post().to(handlers::attest)))
        .service(only("/v1/enrolments", post().to(enrolments::begin)).app_data(web::PayloadConfig::new(ENROLMENT)))
        .service(
            only("/v1/enrolments/{id}/activation", post().to(enrolments::activate))
                .app_data(web::PayloadConfig::new(WITHOUT_EVIDENCE)),
        )
        .service(only("/v1/audit/head", get().to(handlers::audit_head)))
        .service(only("/.well-known/keygate", get().to(handlers::well_known)))
        .service(only("/.well-known/keygate/jwks.json", get().to(handlers::jwks)))
        .service(only("/openapi.json", get().to(handlers::openapi)));
    for key in ["/v1/keys/{name}", "/v1/keys/{name}/versions/{version}"] {
        config
            .service(only(key, get().to(handlers::key)))
            .service(only(&format!("{key}/release"), post().to(handlers::release)))
            .service(only(&format!("{key}/unwrap"), post().to(handlers::unwrap)))
            .service(only(&format!("{key}/generate"), post().to(handlers::generate)))
            .service(only(&format!("{key}/sign"), post().to(handlers::sign)))
            .service(only(&format!("{key}/wrap"), post().to(handlers::wrap)));
    }
}
