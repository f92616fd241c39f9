//! `[[oidc]]` and `[[client_certificates]]` of the settings, put together.

use std::path::Path;
use std::sync::Arc;

use keygate_verifier::tokens::{Profile, TokenRoots};
use openssl::x509::X509;

use crate::broker::admin::Role;
use crate::identity::{
    Address, CertificateSetup, Discovery, Egress, Identity, IssuerSetup, KeyFile, KeySource, Subject, SystemResolver,
    VerifierSetup,
};
use crate::settings::{ClientCertificateSettings, OidcSettings, Settings, SettingsError, VerifierSettings};

/// Who is known from elsewhere, by the settings.
pub(super) fn identity(settings: &Settings) -> Result<Identity, SettingsError> {
    let issuers = settings.oidc.iter().map(|entry| issuer(settings, entry)).collect::<Result<_, _>>()?;
    let clients = settings.client_certificates.iter().map(|entry| client(settings, entry)).collect::<Result<_, _>>()?;
    let verifiers = settings.issuers.iter().map(|entry| verifier(settings, entry)).collect::<Result<_, _>>()?;
    Ok(Identity::new(issuers, clients).with_verifiers(verifiers))
}

fn verifier(settings: &Settings, entry: &VerifierSettings) -> Result<VerifierSetup, SettingsError> {
    let keys: Option<Box<dyn KeySource>> = if entry.is_fetched() {
        let help = "name a PEM file of CA certificates in `ca`, or leave it out for the system's";
        let ca = read(settings, &entry.ca).map_err(|what| entry.wrong(what, help))?;
        let named = entry.allow_private_addresses.clone();
        let egress =
            Egress::new(Arc::new(SystemResolver), ca.as_deref(), named).map_err(|what| entry.wrong(what, help))?;
        match entry.jwks_url.is_empty() {
            true => Some(Box::new(Discovery::new(entry.issuer.clone(), entry.jwks_hosts.clone(), egress))),
            false => Some(Box::new(Address::new(entry.jwks_url.clone(), egress))),
        }
    } else if entry.jwks.as_os_str().is_empty() {
        None
    } else {
        let file = KeyFile(settings.path(&entry.jwks));
        file.check().map_err(|what| entry.wrong(what, "name a file with the verifier's JWK set in `jwks`"))?;
        Some(Box::new(file))
    };
    let help = "name a PEM file of root certificates in `roots`";
    let roots = match read(settings, &entry.roots).map_err(|what| entry.wrong(what, help))? {
        None => TokenRoots::none(),
        Some(bytes) => TokenRoots::parse(&bytes).map_err(|what| entry.wrong(what, help))?,
    };
    let profile = Profile::parse(&entry.profile);
    Ok(VerifierSetup {
        name: entry.name.clone(),
        issuer: entry.issuer.clone(),
        profile: profile.ok_or_else(|| entry.wrong(format!("profile `{}`", entry.profile), "name a known profile"))?,
        provider: one_or_all(&entry.provider),
        audiences: entry.audience.clone(),
        roots,
        max_age: (entry.max_age_seconds > 0).then(|| i64::from(entry.max_age_seconds)),
        is_keygate: entry.keygate,
        keys,
    })
}

fn issuer(settings: &Settings, entry: &OidcSettings) -> Result<IssuerSetup, SettingsError> {
    for roles in entry.roles.values() {
        are_roles(roles).map_err(|(what, help)| entry.wrong(what, help))?;
    }
    let keys: Box<dyn KeySource> = if entry.jwks.as_os_str().is_empty() {
        let help = "name a PEM file of CA certificates in `ca`, or leave it out for the system's";
        let ca = read(settings, &entry.ca).map_err(|what| entry.wrong(what, help))?;
        let named = entry.allow_private_addresses.clone();
        let egress =
            Egress::new(Arc::new(SystemResolver), ca.as_deref(), named).map_err(|what| entry.wrong(what, help))?;
        Box::new(Discovery::new(entry.issuer.clone(), entry.jwks_hosts.clone(), egress))
    } else {
        let file = KeyFile(settings.path(&entry.jwks));
        file.check().map_err(|what| entry.wrong(what, "name a file with the issuer's JWK set in `jwks`"))?;
        Box::new(file)
    };
    Ok(IssuerSetup {
        name: entry.name.clone(),
        issuer: entry.issuer.clone(),
        audiences: entry.audience.clone(),
        provider: one_or_all(&entry.provider),
        role_claim: entry.role_claim.names(),
        roles: entry.roles.clone(),
        subject_claim: entry.subject_claim.clone(),
        max_age: i64::from(entry.max_age_seconds),
        keys,
    })
}

fn client(settings: &Settings, entry: &ClientCertificateSettings) -> Result<CertificateSetup, SettingsError> {
    are_roles(&entry.roles).map_err(|(what, help)| entry.wrong(what, help))?;
    let file = if entry.ca.as_os_str().is_empty() { &settings.server.client_ca } else { &entry.ca };
    let help = "name a PEM file of CA certificates in `ca`";
    let pem = read(settings, file).map_err(|what| entry.wrong(what, help))?.unwrap_or_default();
    let authorities = X509::stack_from_pem(&pem).ok().filter(|found| !found.is_empty());
    let authorities =
        authorities.ok_or_else(|| entry.wrong(format!("`{}` holds no certificate", file.display()), help))?;
    let subject = Subject::parse(&entry.subject).ok_or_else(|| {
        entry.wrong(format!("subject `{}`", entry.subject), "write `CN=`, `DNS=` or `URI=` and a name")
    })?;
    let crl = (!entry.crl.as_os_str().is_empty()).then(|| settings.path(&entry.crl));
    if let Some(crl) = &crl {
        let readable = crl.to_str().is_some() && std::fs::read(crl).is_ok();
        if !readable {
            let what = format!("cannot read `{}`", crl.display());
            return Err(entry.wrong(what, "name a PEM file of revocation lists in `crl`"));
        }
    }
    let provider = one_or_all(&entry.provider);
    Ok(CertificateSetup { name: entry.name.clone(), provider, authorities, crl, subject, roles: entry.roles.clone() })
}

fn one_or_all(provider: &str) -> Option<String> {
    (!provider.is_empty()).then(|| provider.to_owned())
}

fn read(settings: &Settings, file: &Path) -> Result<Option<Vec<u8>>, String> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let path = settings.path(file);
    std::fs::read(&path).map(Some).map_err(|e| format!("cannot read `{}`: {e}", path.display()))
}

/// Roles as they are written for credentials, and the same rule: `admin` goes with no other.
fn are_roles(roles: &[String]) -> Result<(), (String, String)> {
    if let Some(odd) = roles.iter().find(|role| Role::parse(role).is_none()) {
        let known: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        return Err((format!("there is no role `{odd}`"), format!("one of {}", known.join(", "))));
    }
    if roles.len() > 1 && roles.iter().any(|role| role == Role::Admin.as_str()) {
        return Err(("`admin` beside other roles".to_owned(), "give `admin` alone".to_owned()));
    }
    Ok(())
}
