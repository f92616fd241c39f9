//! `/healthz`: the process is alive. `/readyz`: it is fit to release, else why not.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::broker::{Broker, Fitness};

/// Routes of health, the same on both listeners.
pub fn routes(config: &mut web::ServiceConfig) {
    config.route("/healthz", web::get().to(alive)).route("/readyz", web::get().to(ready));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

async fn ready(broker: web::Data<Arc<Broker>>) -> HttpResponse {
    let fitness = broker.fitness();
    let rollback = broker.rollback_protection();
    match &fitness {
        Fitness::Ready => HttpResponse::Ok().json(json!({"status": "ready", "rollback_protection": rollback})),
        other => HttpResponse::ServiceUnavailable()
            .json(json!({"status": other.word(), "reason": other.to_string(), "rollback_protection": rollback})),
    }
}
