//! Names of issuers, compared in one canonical form.
//! Secure key release, section 2 item 2; bad inputs, row KEY-04.

use super::decision::Authority;

/// The authority a list of conditions belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAuthority {
    /// `self`: this provider's own appraisal of raw evidence.
    Own,
    /// An issuer, in canonical form.
    Issuer(String),
}

impl RuleAuthority {
    /// Reads `self` or an http(s) URL without user, query, fragment, blanks or brackets.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        if written == "self" {
            return Some(Self::Own);
        }
        canonical(written).map(Self::Issuer)
    }

    /// As a decision shows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own => "self",
            Self::Issuer(url) => url,
        }
    }

    /// Whether the claims of `authority` count here. `canonical_issuer` is [`canonical`] of its issuer.
    pub(crate) fn vouches(&self, authority: &Authority<'_>, canonical_issuer: Option<&str>) -> bool {
        match self {
            Self::Own => authority.own,
            Self::Issuer(url) => canonical_issuer == Some(url),
        }
    }
}

/// Scheme and host in lower case, the scheme's own port dropped, one trailing slash removed, the rest exact.
/// `None` for what is no issuer URL; nothing compares equal to that.
pub(crate) fn canonical(written: &str) -> Option<String> {
    let (scheme, rest) = written.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (host_port, path) = match rest.find('/') {
        Some(slash) => rest.split_at_checked(slash)?,
        None => (rest, ""),
    };
    let path_fits = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`?#".contains(&byte);
    if !path.bytes().all(path_fits) {
        return None;
    }
    let host_port = host_port.to_ascii_lowercase();
    let host_port = host_port.strip_suffix(default_port).unwrap_or(&host_port);
    if !is_host_and_port(host_port) {
        return None;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    Some(format!("{scheme}://{host_port}{path}"))
}

fn is_host_and_port(host_port: &str) -> bool {
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (host_port, None),
    };
    let port_fits =
        port.is_none_or(|port| !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    port_fits && host_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_04_one_slash_case_and_default_port_do_not_matter() {
        for written in [
            "https://attest.example",
            "https://attest.example/",
            "HTTPS://Attest.Example",
            "https://attest.example:443",
            "https://ATTEST.example:443/",
        ] {
            assert_eq!(canonical(written).as_deref(), Some("https://attest.example"), "{written}");
        }
    }

    #[test]
    fn key_04_everything_else_matters() {
        let one = canonical("https://attest.example/Tenant");
        for other in [
            "http://attest.example/Tenant",
            "https://attest.example/tenant",
            "https://attest.example",
            "https://attest.example/Tenant//",
            "https://attest.example:8443/Tenant",
            "https://attest.example./Tenant",
            "https://attest.example:80/Tenant",
        ] {
            assert_ne!(canonical(other), one, "{other}");
        }
    }

    #[test]
    fn key_04_no_issuer_url_is_equal_to_nothing() {
        for written in [
            "",
            "attest.example",
            "https://",
            "https:///path",
            "ftp://attest.example",
            "https://user@attest.example",
            "https://attest.example?x",
            "https://attest.example/#f",
            "https://<name>.attest.example",
            "https://attest.example/a b",
            "https://attest.example:",
            "https://attest.example:443443",
            "https://[::g]",
            "https://\u{430}ttest.example",
            " https://attest.example",
        ] {
            assert_eq!(canonical(written), None, "{written}");
        }
        assert!(canonical("https://[::1]:8443/x").is_some());
    }
}
