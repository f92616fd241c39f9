//! What a request must look like before anybody reads it. Nothing is mended: what is unclear is refused.
//!
//! `bad-inputs.md` HTTP-03 to HTTP-06, HTTP-10 to HTTP-13, HTTP-18, HTTP-20.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use actix_web::http::{Method, StatusCode};

/// A request that is refused by its form: status, stable code, sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub what: &'static str,
}

const fn unfit(status: StatusCode, code: &'static str, what: &'static str) -> Unfit {
    Unfit { status, code, what }
}

/// What requests under a path look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON, and a POST always has a body.
    Json,
    /// JSON or bare text, or nothing.
    Text,
    /// JSON or nothing; a segment of the path may be left empty (`keyvault-api.md` section 1).
    KeyVault,
}

/// Checks method, path, headers and declared length. `limit` is the most bytes of a body.
///
/// # Errors
/// The first thing that is unfit.
pub fn check(request: &ServiceRequest, limit: usize, form: Form) -> Result<(), Unfit> {
    let malformed = |what| Err(unfit(StatusCode::BAD_REQUEST, "malformed", what));
    let method = request.method();
    if ![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method) {
        return Err(unfit(StatusCode::METHOD_NOT_ALLOWED, "unsupported", "this method is not served"));
    }
    if request.uri().authority().is_some() || request.uri().scheme().is_some() {
        return malformed("the request target must be a path");
    }
    if !path_is_plain(request.uri().path(), form == Form::KeyVault) {
        return malformed("the path has an empty, dotted or encoded segment");
    }
    let headers = request.headers();
    for name in [HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING] {
        if headers.get_all(&name).count() > 1 {
            return malformed("a header that must stand once stands twice");
        }
    }
    if headers.iter().any(|(_, value)| !value.as_bytes().is_ascii()) {
        return malformed("a header holds bytes that are not ascii");
    }
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return malformed("a length and a transfer coding exclude each other");
    }
    if headers.get_all(CONTENT_ENCODING).any(|coding| coding.as_bytes() != b"identity") {
        return Err(unfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", "a body is not compressed"));
    }
    let declared = headers.get(CONTENT_LENGTH).map(|v| {
        let text = v.to_str().unwrap_or_default();
        // Digits alone: a sign would be read by some and not by others.
        if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u64>().ok() } else { None }
    });
    match declared {
        Some(None) => return malformed("the content length is no number"),
        Some(Some(length)) if length > limit as u64 => {
            return Err(unfit(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than is read"));
        }
        _ => {}
    }
    let has_body = matches!(declared, Some(Some(length)) if length > 0) || headers.contains_key(TRANSFER_ENCODING);
    let kind = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    // Where text is taken, a request without a body needs no type either: nothing is read from it.
    let text = form == Form::Text;
    let typed = match form {
        Form::Json => has_body || method == Method::POST,
        Form::Text => has_body || method == Method::POST && kind.is_some(),
        Form::KeyVault => has_body,
    };
    let kind = kind.unwrap_or_default();
    if typed && !is_media(kind, "application/json") && !(text && is_media(kind, "text/plain")) {
        let what = match text {
            true => "the content type must be text/plain or application/json",
            false => "the content type must be application/json",
        };
        return Err(unfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", what));
    }
    Ok(())
}

/// A path of plain segments: no empty one but where it is meant, no dots, nothing encoded, nothing odd.
fn path_is_plain(path: &str, empty: bool) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    path.len() <= 1_024
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b':' | b'~'))
        && (rest.is_empty() || rest.split('/').all(|s| (empty || !s.is_empty()) && s != "." && s != ".."))
}

/// This media type, in UTF-8.
fn is_media(kind: &str, wanted: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    media.eq_ignore_ascii_case(wanted)
        && parts.all(|p| p.eq_ignore_ascii_case("charset=utf-8") || p.eq_ignore_ascii_case("charset=\"utf-8\""))
}

/// The host of a Host header: lower case, without port. `None` when it is no host, or what stands behind it is no port: doors name
/// themselves by the whole header.
pub fn host_of(header: &str) -> Option<String> {
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let host = match header.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            if !(behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port)) {
                return None;
            }
            address
        }
        None => match header.rsplit_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => header,
        },
    };
    let sound = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    sound.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn post(path: &str) -> TestRequest {
        TestRequest::post().uri(path).insert_header(("content-type", "application/json"))
    }

    fn refused(request: TestRequest) -> (u16, &'static str) {
        let unfit = check(&request.to_srv_request(), 1_000, Form::Json).unwrap_err();
        (unfit.status.as_u16(), unfit.code)
    }

    #[test]
    fn a_plain_request_is_fit() {
        assert!(check(&post("/v1/keys/db-key/release").to_srv_request(), 1_000, Form::Json).is_ok());
        assert!(check(&TestRequest::get().uri("/healthz").to_srv_request(), 1_000, Form::Json).is_ok());
        let charset = TestRequest::post()
            .uri("/v1/challenges")
            .insert_header(("content-type", "application/json; charset=utf-8"));
        assert!(check(&charset.to_srv_request(), 1_000, Form::Json).is_ok());
    }

    #[test]
    fn http_10_paths_are_never_normalised() {
        for path in [
            "/keys/../admin",
            "/v1/keys/a%2fb/release",
            "/v1/keys/%00/release",
            "/v1//keys",
            "/v1/./keys",
            "/v1/keys;x=1",
            "/v1/keys/",
        ] {
            assert_eq!(refused(post(path)), (400, "malformed"), "{path}");
        }
    }

    #[test]
    fn a_vault_has_empty_segments_and_requests_without_a_body_and_nothing_else() {
        let fit = |request: TestRequest| check(&request.to_srv_request(), 1_000, Form::KeyVault).is_ok();
        assert!(fit(post("/keys/k//release")) && fit(TestRequest::get().uri("/keys/k/")));
        assert!(fit(TestRequest::post().uri("/keys/k//release").insert_header(("content-length", "0"))));
        let bare = TestRequest::post().uri("/keys/k//release").insert_header(("content-length", "2"));
        assert!(!fit(bare), "a body has a type");
        for path in ["/keys/../admin", "/keys/a%2fb/release", "/keys/./x", "/keys/a;b"] {
            assert!(!fit(post(path)), "{path}");
        }
    }

    #[test]
    fn http_12_an_absolute_target_is_refused() {
        assert_eq!(refused(post("https://other.example/v1/challenges")), (400, "malformed"));
    }

    #[test]
    fn http_03_ambiguous_lengths_are_refused() {
        assert_eq!(
            refused(post("/v1/x").append_header(("content-length", "5")).append_header(("content-length", "5"))),
            (400, "malformed")
        );
        assert_eq!(refused(post("/v1/x").insert_header(("content-length", "+5"))).0, 400);
        assert_eq!(
            refused(
                post("/v1/x").insert_header(("content-length", "5")).insert_header(("transfer-encoding", "chunked"))
            ),
            (400, "malformed")
        );
    }

    #[test]
    fn http_04_a_declared_body_beyond_the_limit_is_not_read() {
        assert_eq!(refused(post("/v1/x").insert_header(("content-length", "1001"))), (413, "too-large"));
    }

    #[test]
    fn http_05_a_compressed_body_is_refused() {
        for coding in ["gzip", "br", "zstd"] {
            assert_eq!(refused(post("/v1/x").insert_header(("content-encoding", coding))), (415, "unsupported"));
        }
    }

    #[test]
    fn http_06_another_content_type_is_refused() {
        for kind in ["text/plain", "application/json; charset=utf-16", ""] {
            let request = TestRequest::post().uri("/v1/x").insert_header(("content-type", kind));
            assert_eq!(refused(request), (415, "unsupported"), "{kind}");
        }
        assert_eq!(refused(TestRequest::post().uri("/v1/x")), (415, "unsupported"));
    }

    #[test]
    fn http_06_bare_text_is_taken_where_it_is_meant() {
        let put = |kind: &str| {
            TestRequest::put()
                .uri("/policies/SgxEnclave")
                .insert_header(("content-length", "5"))
                .insert_header(("content-type", kind))
        };
        for kind in ["text/plain", "text/plain; charset=utf-8", "application/json", "Text/Plain;charset=UTF-8"] {
            assert!(check(&put(kind).to_srv_request(), 1_000, Form::Text).is_ok(), "{kind}");
        }
        for kind in ["text/plain; charset=utf-16", "text/html", "application/jose", ""] {
            let unfit = check(&put(kind).to_srv_request(), 1_000, Form::Text).unwrap_err();
            assert_eq!(unfit.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
        assert_eq!(refused(put("text/plain")).0, 415, "and nowhere else");
        let empty = || TestRequest::post().uri("/policies/SgxEnclave:reset");
        assert!(check(&empty().to_srv_request(), 1_000, Form::Text).is_ok());
        let coded = empty().insert_header(("transfer-encoding", "chunked"));
        assert!(check(&coded.to_srv_request(), 1_000, Form::Text).is_err(), "a body without a type");
    }

    #[test]
    fn http_18_other_methods_are_refused() {
        for method in [Method::HEAD, Method::OPTIONS, Method::TRACE, Method::CONNECT] {
            assert_eq!(refused(TestRequest::default().method(method).uri("/v1/x")), (405, "unsupported"));
        }
    }

    #[test]
    fn http_20_a_host_is_ascii_and_has_no_port() {
        assert_eq!(host_of("KMS.example:8443").as_deref(), Some("kms.example"));
        assert_eq!(host_of("[::1]:8443").as_deref(), Some("::1"));
        assert_eq!(host_of("127.0.0.1").as_deref(), Some("127.0.0.1"));
        for odd in ["[::1]x", "[::1]\", error=\"x", "[::1]:", "[::1]:8443:1", "[::1", "[::1]:123456"] {
            assert_eq!(host_of(odd), None, "{odd}");
        }
        for other in ["kms.example:", "kms.example:000008443"] {
            assert_ne!(host_of(other).as_deref(), Some("kms.example"), "{other}: nobody's host");
        }
        for odd in ["", "a b", "kms.example/x", "user@kms.example", "kms.exämple"] {
            assert_eq!(host_of(odd), None, "{odd}");
        }
    }
}
