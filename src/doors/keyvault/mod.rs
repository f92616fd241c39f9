//! The door in Key Vault's dialect: its paths, challenges, bodies and refusals, so that its clients work unchanged.
//!
//! `keyvault-api.md`, `secure-key-release.md`. `place.rs` reads a path, `version.rs` the query, `call.rs` the head of a request,
//! `wire.rs` its body, `challenge.rs` the 401, `error.rs` the shape of answers; `manage.rs` and `use_key.rs` are the operations. A vault is a
//! provider, named by its host.

mod call;
mod challenge;
mod create;
mod error;
mod manage;
mod place;
mod use_key;
mod version;
mod wire;

#[cfg(test)]
mod tests;

use actix_web::web::{self, ServiceConfig, resource};

pub use error::answer;
pub use place::owns;

/// The routes of the data listener. One route for each root: what stands below is read by `place.rs`, for clients leave segments
/// empty. The assembly puts a [`Seat`](crate::broker::Seat) into every request.
pub fn routes(config: &mut ServiceConfig) {
    for root in ["/keys{rest:(/.*)?}", "/deletedkeys{rest:(/.*)?}", "/rng"] {
        config.service(resource(root).route(web::route().to(call::served)));
    }
}
