//! TLS of both listeners: 1.2 and 1.3 by OpenSSL, no renegotiation, HTTP/1.1 only, client certificates where a CA is named: demanded
//! of everybody, or asked for.
//!
//! `bad-inputs.md` HTTP-14, CFG-02, CFG-03, ADM-16.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::pkey::PKey;
use openssl::ssl::{
    AlpnError, SslAcceptor, SslAcceptorBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    select_next_proto,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use zeroize::Zeroizing;

use crate::settings::SettingsError;

/// Days before its end at which a certificate is warned of.
const WARN_DAYS: u32 = 30;

/// Longest chain of a client.
const CLIENT_DEPTH: u32 = 4;

/// What a listener wants of its clients.
#[derive(Debug, Clone)]
pub enum Clients {
    /// No certificate.
    Anybody,
    /// A certificate under one of these, or none at all.
    Asked(Vec<X509>),
    /// A certificate under one of these.
    Demanded(Vec<X509>),
}

impl Clients {
    /// A certificate is demanded that is under a CA of this PEM file, `server.client_ca`.
    ///
    /// # Errors
    /// `config-invalid`: the file cannot be read, or holds no certificate.
    pub fn demanded(file: &Path) -> Result<Self, SettingsError> {
        let help = "name a PEM file of CA certificates in `server.client_ca`";
        let pem = std::fs::read(file)
            .map_err(|e| SettingsError::new(format!("cannot read `{}`: {e}", file.display()), help))?;
        let authorities = X509::stack_from_pem(&pem).ok().filter(|c| !c.is_empty());
        let none = || SettingsError::new(format!("`{}` holds no certificate", file.display()), help);
        authorities.map(Self::Demanded).ok_or_else(none)
    }

    /// A certificate is asked for where there is a CA that it could be under.
    pub fn asked(authorities: Vec<X509>) -> Self {
        if authorities.is_empty() { Self::Anybody } else { Self::Asked(authorities) }
    }
}

/// Certificate and key of a listener, checked.
pub struct Identity {
    chain: Vec<X509>,
    key: PKey<openssl::pkey::Private>,
}

impl Identity {
    /// Reads certificate chain and key, and checks that they belong together, that the key is the service's alone, and that the
    /// certificate has not ended at `now` (unix seconds).
    ///
    /// # Errors
    /// `config-invalid` with what to do.
    pub fn read(certificate: &Path, key: &Path, now: i64) -> Result<Self, SettingsError> {
        let invalid = |what: String, help: &str| SettingsError::new(what, help);
        let pem = std::fs::read(certificate).map_err(|e| {
            invalid(
                format!("cannot read `{}`: {e}", certificate.display()),
                "name the TLS certificate in `server.certificate`",
            )
        })?;
        let chain = X509::stack_from_pem(&pem).ok().filter(|c| !c.is_empty()).ok_or_else(|| {
            invalid(format!("`{}` holds no certificate", certificate.display()), "write the chain as PEM, leaf first")
        })?;
        let secret = private_file(key)?;
        let key_help = "write the key as unencrypted PEM";
        let private = PKey::private_key_from_pem(&secret)
            .map_err(|_| invalid(format!("`{}` holds no private key", key.display()), key_help))?;
        let Some(leaf) = chain.first() else {
            return Err(invalid(format!("`{}` holds no certificate", certificate.display()), "write the chain as PEM"));
        };
        if !leaf.public_key().is_ok_and(|public| public.public_eq(&private)) {
            return Err(invalid(
                format!("`{}` is not the key of `{}`", key.display(), certificate.display()),
                "give the key that the certificate was made for",
            ));
        }
        let days = Asn1Time::from_unix(now).and_then(|t| t.diff(leaf.not_after())).map(|d| (d.days, d.secs));
        match days {
            Ok((days, secs)) if days < 0 || secs < 0 => {
                return Err(invalid(
                    format!("the TLS certificate `{}` has ended", certificate.display()),
                    "renew it, then start again",
                ));
            }
            Ok((days, _)) if days < WARN_DAYS as i32 => tracing::warn!(days, "the TLS certificate ends soon"),
            _ => {}
        }
        Ok(Self { chain, key: private })
    }

    /// A builder for a listener.
    ///
    /// # Errors
    /// `config-invalid`: OpenSSL refuses the certificate, key or CA.
    pub fn acceptor(&self, clients: &Clients) -> Result<SslAcceptorBuilder, SettingsError> {
        let refused = |e: openssl::error::ErrorStack| {
            SettingsError::new(format!("TLS cannot be set up: {e}"), "check the certificate")
        };
        let mut builder = self.build().map_err(refused)?;
        match clients {
            Clients::Anybody => {}
            Clients::Asked(authorities) => {
                ask_client(&mut builder, authorities, SslVerifyMode::PEER).map_err(refused)?
            }
            Clients::Demanded(authorities) => {
                let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
                ask_client(&mut builder, authorities, mode).map_err(refused)?;
            }
        }
        Ok(builder)
    }

    fn build(&self) -> Result<SslAcceptorBuilder, openssl::error::ErrorStack> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
        builder.set_options(
            SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::CIPHER_SERVER_PREFERENCE,
        );
        builder.set_private_key(&self.key)?;
        for (index, certificate) in self.chain.iter().enumerate() {
            if index == 0 {
                builder.set_certificate(certificate)?;
            } else {
                builder.add_extra_chain_cert(certificate.clone())?;
            }
        }
        builder.check_private_key()?;
        builder
            .set_alpn_select_callback(|_, offered| select_next_proto(b"\x08http/1.1", offered).ok_or(AlpnError::NOACK));
        Ok(builder)
    }
}

/// A chain that leads nowhere ends the handshake in both modes: only no certificate at all is let through where one is asked for.
fn ask_client(
    builder: &mut SslAcceptorBuilder,
    authorities: &[X509],
    mode: SslVerifyMode,
) -> Result<(), openssl::error::ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        builder.add_client_ca(authority)?;
        store.add_cert(authority.clone())?;
    }
    builder.set_verify_cert_store(store.build())?;
    builder.set_verify(mode);
    builder.set_verify_depth(CLIENT_DEPTH);
    // Every connection shows its whole chain: a resumed one would bring back a client without it, and without its revocation.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_num_tickets(0)?;
    Ok(())
}

/// A secret file: no link, ours, for us alone; checked on the descriptor that is read.
fn private_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SettingsError> {
    let wrong = |what: String, help: String| SettingsError::new(what, help);
    let cannot =
        |e: std::io::Error| wrong(format!("cannot read `{}`: {e}", path.display()), "check the path".to_owned());
    if std::fs::symlink_metadata(path).map_err(cannot)?.file_type().is_symlink() {
        return Err(wrong(format!("`{}` is a link", path.display()), "name the file itself".to_owned()));
    }
    let mut file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if about.mode() & 0o077 != 0 {
        return Err(wrong(
            format!("others can read `{}` (mode {:o})", path.display(), about.mode() & 0o777),
            format!("chmod 600 {}", path.display()),
        ));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(16_384));
    file.by_ref().take(65_536).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}
