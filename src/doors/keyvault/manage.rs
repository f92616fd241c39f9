//! Keys managed: what needs a role and no evidence.
//!
//! `keyvault-api.md` section 2.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::call::{Body, Call, Outcome};
use super::create::{read_create, read_import};
use super::error::{self, Refusal};
use super::place::{Place, Verb};
use super::wire::{LARGEST, Members, malformed};
use crate::broker::admin::{Action, Ask, Desk, Precondition, Refusal as Refused};
use crate::broker::vault::{KeyView, KeystoreError, NewVaultKey, Page, VaultUpdate};
use crate::broker::{Fault, JsonLimits, KeyName, VersionId, json as strict};

/// Serves one of them.
pub(super) async fn serve(call: &Call, place: Place<'_>, body: Body) -> Outcome {
    match place.verb {
        Verb::Get | Verb::List | Verb::Versions | Verb::ListDeleted | Verb::GetDeleted | Verb::Random => {
            read(call, place, body).await
        }
        Verb::Attestation => {
            drop(call.caller().await?);
            let why =
                "keys here carry no attestation of an HSM: this store is software, sealed by the service's root key";
            Err(Refusal::by_form(StatusCode::NOT_IMPLEMENTED, why))
        }
        _ => change(call, place, body).await,
    }
}

/// What changes nothing.
async fn read(call: &Call, place: Place<'_>, body: Body) -> Outcome {
    let caller = call.caller().await?;
    let (most, after) = (call.query.most, call.query.after.clone());
    let page = |page: Page, path: &str| call.ok(&paged(call, page, path));
    Ok(match place.verb {
        Verb::Get => {
            let key = call.key(place)?;
            call.ok(&call.blocking(move |broker, seat, url| broker.vault_key(seat, url, &key, &caller)).await?)
        }
        Verb::GetDeleted => {
            let name = call.name(place)?;
            call.ok(&call.blocking(move |broker, seat, url| broker.vault_deleted(seat, url, &name, &caller)).await?)
        }
        Verb::Versions => {
            let name = call.name(place)?;
            let path = format!("keys/{name}/versions");
            let listed = call.blocking(move |broker, seat, url| {
                broker.vault_versions(seat, url, (&name, after.as_deref(), most), &caller)
            });
            page(listed.await?, &path)
        }
        Verb::Random => {
            let count = Call::body(body)
                .and_then(|body| Members::read(&body)?.number("count")?.ok_or(malformed("`count` is missing")))
                .map_err(|fault| call.refuse(&fault))?;
            let count = usize::try_from(count).unwrap_or(0);
            let bytes = call.blocking(move |broker, seat, _| broker.vault_random(seat, count, &caller)).await?;
            call.ok(&json!({"value": URL_SAFE_NO_PAD.encode(bytes)}))
        }
        verb => {
            let deleted = verb == Verb::ListDeleted;
            let after = after.map(|name| KeyName::parse(&name)).transpose();
            let after = after.map_err(|error| call.refuse(&error.into()))?;
            let listed =
                call.blocking(move |broker, seat, url| broker.vault_list(seat, url, (deleted, after, most), &caller));
            page(listed.await?, if deleted { "deletedkeys" } else { "keys" })
        }
    })
}

fn paged(call: &Call, page: Page, path: &str) -> Value {
    let next = page.next.map(|after| {
        let (url, version, most) = (&call.url, call.query.version.as_str(), call.query.most);
        format!("{url}/{path}?api-version={version}&$skiptoken={after}&maxresults={most}")
    });
    json!({"value": page.items, "nextLink": next})
}

/// A change, as it stands in a body.
enum Wanted {
    Create(NewVaultKey),
    Update(VaultUpdate),
    RotationPolicy(String),
    Restore(Vec<u8>),
    Nothing,
}

fn wanted(call: &Call, verb: Verb, body: Body) -> Result<Wanted, Fault> {
    let body = Call::body(body)?;
    Ok(match verb {
        Verb::Create => Wanted::Create(read_create(&body, call.query.version)?),
        Verb::Import => Wanted::Create(read_import(&body, call.query.version, &call.url)?),
        Verb::Update => {
            let members = Members::read(&body)?;
            let (lifetime, exportable) = members.attributes()?;
            let (operations, tags, policy) = (members.operations()?, members.tags()?, members.policy()?);
            Wanted::Update(VaultUpdate { lifetime, operations, tags, policy, exportable })
        }
        Verb::SetRotationPolicy => {
            let node = strict::parse(&body, &JsonLimits::request(LARGEST));
            let node = node.map_err(|_| malformed("the body is no strict json"))?;
            Wanted::RotationPolicy(node.to_value().to_string())
        }
        Verb::Restore => {
            let members = Members::read(&body)?;
            Wanted::Restore(members.bytes("value")?.ok_or(malformed("`value` is missing"))?)
        }
        _ => Wanted::Nothing,
    })
}

const fn action_of(verb: Verb) -> Action {
    match verb {
        Verb::Create => Action::KeyCreate,
        Verb::Import => Action::KeyImport,
        Verb::Update => Action::KeySet,
        Verb::Rotate => Action::KeyRotate,
        Verb::Recover => Action::KeyRecover,
        Verb::Purge => Action::KeyPurge,
        Verb::Backup => Action::KeyBackup,
        Verb::Restore => Action::KeyRestore,
        Verb::RotationPolicy => Action::KeyRotationShow,
        Verb::SetRotationPolicy => Action::KeyRotationSet,
        _ => Action::KeyDelete,
    }
}

/// What is done at an operator's desk.
async fn change(call: &Call, place: Place<'_>, body: Body) -> Outcome {
    if call.bears_evidence() {
        // Told apart from a token that nobody accepts.
        drop(call.caller().await?);
    }
    let verb = place.verb;
    // A copy says itself of which key it is.
    let key = if verb == Verb::Restore { None } else { Some(call.key(place)?) };
    let wanted = wanted(call, verb, body);
    let (flaw, wanted) = match wanted {
        Ok(wanted) => (None, wanted),
        Err(fault) => (Some(fault), Wanted::Nothing),
    };
    let bearer = call.bearer.clone();
    call.broker.prepare_caller(&call.seat, bearer.as_ref().map(|token| token.as_str())).await;
    let ask = Ask {
        seat: call.seat.clone(),
        bearer,
        action: action_of(verb),
        object: key.as_ref().map(|key| key.name.as_str().to_owned()).unwrap_or_default(),
        precondition: Precondition::Any,
        dry_run: false,
        idempotency: None,
        flaw,
    };
    let done = call.blocking(move |broker, _, url| {
        broker.administer(&ask, |desk| match &key {
            Some(key) => work(desk, verb, (&key.name, key.version), wanted, url),
            None => match wanted {
                Wanted::Restore(copy) => {
                    let (view, version) = desk.restore_vault_key(&copy)?;
                    bundle(desk, url, &view, version).map(Some)
                }
                _ => Ok(None),
            },
        })
    });
    Ok(match done.await? {
        Some(body) => call.ok(&body),
        None => no_content(call),
    })
}

fn no_content(call: &Call) -> HttpResponse {
    error::no_content(&call.correlation)
}

fn bundle(desk: &Desk<'_>, url: &str, view: &KeyView, version: VersionId) -> Result<Value, Refused> {
    let missing = || Refused::from(KeystoreError::KeyNotFound);
    let version = view.version(Some(&version)).ok_or_else(missing)?;
    Ok(desk.vault_bundle(url, view).of(version))
}

/// One change of a key, and its answer; none has no body.
fn work(
    desk: &Desk<'_>,
    verb: Verb,
    (name, version): (&KeyName, Option<VersionId>),
    wanted: Wanted,
    url: &str,
) -> Result<Option<Value>, Refused> {
    let shown = |(view, version): (KeyView, VersionId)| bundle(desk, url, &view, version).map(Some);
    match (verb, wanted) {
        (_, Wanted::Create(new)) => shown(desk.create_vault_key(name.clone(), new)?),
        (_, Wanted::Update(changes)) => shown(desk.update_vault_key(name, version, changes)?),
        (_, Wanted::RotationPolicy(document)) => desk.set_vault_rotation(url, name, &document).map(Some),
        (Verb::RotationPolicy, _) => desk.vault_rotation(url, name).map(Some),
        (Verb::Rotate, _) => shown(desk.rotate_vault_key(name)?),
        (Verb::Recover, _) => shown(desk.recover_vault_key(name)?),
        (Verb::Backup, _) => {
            let copy = desk.backup_vault_key(name)?;
            Ok(Some(json!({"value": URL_SAFE_NO_PAD.encode(copy)})))
        }
        (Verb::Purge, _) => desk.purge_vault_key(name).map(|()| None),
        (Verb::Delete, _) => {
            let view = desk.delete_vault_key(name)?;
            let newest = view.versions.last();
            Ok(newest.map(|newest| desk.vault_bundle(url, &view).deleted(newest)))
        }
        _ => Ok(None),
    }
}
