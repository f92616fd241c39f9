//! One request of an operator: what its head says, the use case on a thread that may block, the answer.
//!
//! `native-api.md` section 3 (*Admin*, *Errors*).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::SizedStream;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH};
use actix_web::web::{self, Bytes, Data};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, HttpResponse};
use futures_util::stream::unfold;
use openssl::sha::sha256;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::broker::admin::store::SealedCopy;
use crate::broker::admin::{Action, Ask, Desk, Done, Precondition, Refusal};
use crate::broker::{Broker, BrokerError, Code, Fault, IdempotencyKey, Seat};
use crate::doors::problem;
use crate::telemetry;

/// Bytes of a file that are sent at once.
const PIECE: usize = 256 * 1_024;

/// A request that came whole, or did not.
pub(super) struct Call {
    http: HttpRequest,
    body: Result<Bytes, Fault>,
}

/// What a request gives beside its head.
pub(super) struct Given {
    name: String,
    pub(super) version: Option<String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Bytes,
}

impl Given {
    /// The object in the path.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A number of the query.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Fault> {
        let Some(text) = self.query.get(name) else { return Ok(None) };
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| plain)
            .map(Some)
            .ok_or(Fault::new(Code::Malformed, "the query has a number that is none"))
    }
}

/// What is told of something that was read.
pub(super) struct Told {
    etag: Option<String>,
    body: Value,
}

impl Told {
    /// An object with a state of its own.
    pub(super) fn object((etag, body): (String, Value)) -> Self {
        Self { etag: Some(etag), body }
    }
    /// Something whose state is what is told of it.
    pub(super) fn whole(body: Value) -> Self {
        Self { etag: None, body }
    }
}

impl FromRequest for Call {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Bytes::from_request(http, payload);
        let http = http.clone();
        Box::pin(async move {
            let body = body.await.map_err(|error| match error.as_response_error().status_code() {
                StatusCode::PAYLOAD_TOO_LARGE => Fault::new(Code::TooLarge, "the body is larger than is read"),
                _ => Fault::new(Code::Malformed, "the body did not arrive whole"),
            });
            Ok(Self { http, body })
        })
    }
}

impl Call {
    /// Reads something. `known` are the members that its query may have.
    pub(super) async fn read(
        self,
        action: Action,
        known: &'static [&'static str],
        work: impl FnOnce(&Desk<'_>, &Given) -> Result<Told, Refusal> + Send + 'static,
    ) -> HttpResponse {
        let done =
            self.run(action, known, move |broker, ask, given| broker.administer(ask, |desk| work(desk, given))).await;
        match done {
            Err(response) => response,
            Ok(told) => {
                let text = told.body.to_string();
                let digest = || hex::encode(sha256(text.as_bytes()).split_at(16).0);
                let etag = told.etag.unwrap_or_else(digest);
                HttpResponse::Ok().insert_header((ETAG, quoted(&etag))).content_type("application/json").body(text)
            }
        }
    }

    /// Changes something, told under the name `object`.
    pub(super) async fn change(
        self,
        action: Action,
        object: &'static str,
        work: impl FnOnce(&Desk<'_>, &Given) -> Result<Done, Refusal> + Send + 'static,
    ) -> HttpResponse {
        let known = &["dry_run"];
        let done = self
            .run(action, known, move |broker, ask, given| broker.administer_change(ask, |desk| work(desk, given)))
            .await;
        match done {
            Err(response) => response,
            Ok(done) => {
                let created = matches!(
                    action,
                    Action::KeyCreate
                        | Action::KeyImport
                        | Action::CredentialCreate
                        | Action::DenyAdd
                        | Action::EndorsementKeyAllow
                );
                let status = if created && !done.dry_run { StatusCode::CREATED } else { StatusCode::OK };
                let mut response = HttpResponse::build(status);
                if !done.etag.is_empty() {
                    response.insert_header((ETAG, quoted(&done.etag)));
                }
                response.json(done.to_value(object))
            }
        }
    }

    /// Gives a file out, a piece at a time.
    pub(super) async fn copy(
        self,
        action: Action,
        work: impl FnOnce(&Desk<'_>, &Given) -> Result<SealedCopy, Refusal> + Send + 'static,
    ) -> HttpResponse {
        let done =
            self.run(action, &[], move |broker, ask, given| broker.administer(ask, |desk| work(desk, given))).await;
        match done {
            Err(response) => response,
            Ok(SealedCopy { file, bytes }) => {
                let pieces = unfold(file, |mut file| async move {
                    let read = web::block(move || piece(&mut file).map(|piece| (piece, file))).await;
                    match read.map_err(std::io::Error::other).flatten() {
                        Ok((piece, _)) if piece.is_empty() => None,
                        Ok((piece, file)) => Some((Ok::<_, std::io::Error>(piece), file)),
                        // The length that was announced is not reached: the client knows that it has no copy.
                        Err(_) => None,
                    }
                });
                HttpResponse::Ok()
                    .content_type("application/octet-stream")
                    .body(SizedStream::new(bytes, Box::pin(pieces)))
            }
        }
    }

    async fn run<T: Send + 'static>(
        self,
        action: Action,
        known: &[&str],
        work: impl FnOnce(&Broker, &Ask, &Given) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, HttpResponse> {
        let began = Instant::now();
        let refused = |code: Code| problem::answer(problem::status(code), code.as_str(), code.title());
        let seat = self.http.extensions().get::<Seat>().cloned().ok_or_else(|| refused(Code::Misdirected))?;
        let broker = self.http.app_data::<Data<Arc<Broker>>>().map(|data| Arc::clone(data.get_ref()));
        let broker = broker.ok_or_else(|| refused(Code::DependencyUnavailable))?;
        let bearer = bearer(self.http.headers()).map_err(|fault| problem::refusal(&broker.refuse(&seat, &fault)))?;
        broker.prepare_caller(&seat, bearer.as_ref().map(|token| token.as_str())).await;
        let (ask, given) = self.ask(seat, bearer, action, known);
        let outcome = web::block(move || work(&broker, &ask, &given)).await;
        let outcome = outcome.map_err(|_| refused(Code::DependencyUnavailable))?;
        let code = outcome.as_ref().err().map_or("ok", |error| error.code.as_str());
        let correlation = outcome.as_ref().err().map_or("", |error| &error.correlation);
        telemetry::answered(action.as_str(), code, correlation, began.elapsed());
        outcome.map_err(|error| problem::refusal(&error))
    }

    fn ask(self, seat: Seat, bearer: Option<Zeroizing<String>>, action: Action, known: &[&str]) -> (Ask, Given) {
        let path = self.http.match_info();
        let mut flaw = None;
        let mut keep = |fault: Fault| {
            flaw.get_or_insert(fault);
        };
        let body = self.body.unwrap_or_else(|fault| {
            keep(fault);
            Bytes::new()
        });
        let headers = self.http.headers();
        let precondition = precondition(headers).unwrap_or_else(|fault| {
            keep(fault);
            Precondition::None
        });
        let query = query(self.http.query_string(), known).unwrap_or_else(|fault| {
            keep(fault);
            BTreeMap::new()
        });
        let dry_run = match query.get("dry_run").map(String::as_str) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                keep(Fault::new(Code::Malformed, "`dry_run` is true or false"));
                true
            }
        };
        let place = format!("{} {}", self.http.method(), self.http.path());
        let idempotency = idempotency(headers, &place, &body).unwrap_or_else(|fault| {
            keep(fault);
            None
        });
        let name = path.get("name").or(path.get("entry")).or(path.get("type")).unwrap_or_default().to_owned();
        let version = path.get("version").map(str::to_owned);
        let ask = Ask { seat, bearer, action, object: name.clone(), precondition, dry_run, idempotency, flaw };
        (ask, Given { name, version, query, body })
    }
}

fn piece(file: &mut File) -> std::io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    file.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Code::Malformed, what)
}

/// The one value of a header that may stand once.
fn single<'h>(headers: &'h HeaderMap, name: &str, what: &'static str) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| malformed(what)),
        (Some(_), Some(_)) => Err(malformed(what)),
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Fault> {
    let invalid = || Fault::new(Code::CredentialInvalid, "credential");
    let Some(value) = single(headers, AUTHORIZATION.as_str(), "authorization").map_err(|_| invalid())? else {
        return Ok(None);
    };
    let token = value.strip_prefix("Bearer ").ok_or_else(invalid)?;
    Ok(Some(Zeroizing::new(token.to_owned())))
}

/// RFC 9110 sections 13.1.1 and 13.1.2, one strong entity tag or `*`.
fn precondition(headers: &HeaderMap) -> Result<Precondition, Fault> {
    let wrong = "a precondition is one entity tag in quotes, or `*`";
    let matching = single(headers, IF_MATCH.as_str(), wrong)?;
    match (matching, single(headers, IF_NONE_MATCH.as_str(), wrong)?) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::Any),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some(tag), None) => {
            let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).filter(|tag| !tag.contains('"'));
            tag.map(|tag| Precondition::Version(tag.to_owned())).ok_or(malformed(wrong))
        }
        _ => Err(malformed(wrong)),
    }
}

fn idempotency(headers: &HeaderMap, place: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, Fault> {
    let wrong = "idempotency-key";
    let Some(key) = single(headers, "idempotency-key", wrong)? else { return Ok(None) };
    IdempotencyKey::parse(key, place, body).map(Some).ok_or(malformed(wrong))
}

/// The query, each member once and none that is not known.
fn query(text: &str, known: &[&str]) -> Result<BTreeMap<String, String>, Fault> {
    let pairs =
        web::Query::<Vec<(String, String)>>::from_query(text).map_err(|_| malformed("the query does not parse"))?;
    let mut members = BTreeMap::new();
    for (name, value) in pairs.into_inner() {
        if !known.contains(&name.as_str()) {
            return Err(malformed("the query has an unknown member"));
        }
        if value.len() > 256 || members.insert(name, value).is_some() {
            return Err(malformed("a member of the query stands twice, or is too long"));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Precondition, Fault> {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        precondition(request.to_http_request().headers())
    }

    #[test]
    fn a_precondition_is_one_entity_tag_or_a_star() {
        assert_eq!(read(&[]).ok(), Some(Precondition::None));
        assert_eq!(read(&[("if-match", "*")]).ok(), Some(Precondition::Any));
        assert_eq!(read(&[("if-match", "\"ab-1\"")]).ok(), Some(Precondition::Version("ab-1".into())));
        assert_eq!(read(&[("if-none-match", "*")]).ok(), Some(Precondition::Absent));
        for odd in ["ab-1", "W/\"ab-1\"", "\"a\", \"b\"", "\"a", ""] {
            assert!(read(&[("if-match", odd)]).is_err(), "{odd}");
        }
        assert!(read(&[("if-match", "*"), ("if-match", "*")]).is_err());
        assert!(read(&[("if-match", "*"), ("if-none-match", "*")]).is_err());
        assert!(read(&[("if-none-match", "\"ab-1\"")]).is_err());
    }

    #[test]
    fn a_query_has_known_members_once() {
        assert_eq!(query("dry_run=true", &["dry_run"]).ok().unwrap()["dry_run"], "true");
        for odd in ["dry_run=true&dry_run=false", "dryrun=true", "x=1"] {
            assert!(query(odd, &["dry_run"]).is_err(), "{odd}");
        }
    }
}
