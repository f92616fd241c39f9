//! What the dialects of Azure read of the head of a request in the same way: the bearer, and the client's own id.
//!
//! `maa-rest-api.md` section 1, `keyvault-api.md` section 1.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// The client's own id, sent back.
pub(super) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
/// Characters of a client's own id.
const LONGEST_ID: usize = 128;

/// The token behind the scheme `Bearer`; what is sent in another form is an empty one, which nobody accepts.
pub(super) fn bearer(http: &HttpRequest) -> Option<Zeroizing<String>> {
    let mut values = http.headers().get_all(AUTHORIZATION);
    let token = match (values.next(), values.next()) {
        (None, _) => return None,
        (Some(value), None) => value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then_some(token)
        }),
        (Some(_), Some(_)) => None,
    };
    Some(Zeroizing::new(token.unwrap_or_default().to_owned()))
}

/// The id that the client gave its request, if it is one that may be sent back.
pub(super) fn client_request_id(http: &HttpRequest) -> Option<HeaderValue> {
    let mut values = http.headers().get_all(CLIENT_REQUEST_ID);
    let (value, None) = (values.next()?, values.next()) else { return None };
    let bytes = value.as_bytes();
    let sane = (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    sane.then(|| value.clone())
}
