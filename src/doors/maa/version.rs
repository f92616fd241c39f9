//! `api-version`: which versions of the dialect are known, and how one is named.
//!
//! `maa-rest-api.md` section 1; `bad-inputs.md` HTTP-11. Every operation is served under every version.

/// A version that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ApiVersion(&'static str);

impl ApiVersion {
    /// The first one wants a credential for attest calls, and has a body of its own.
    const LEGACY: &'static str = "2018-09-01-preview";
    const ALL: [&'static str; 6] =
        [Self::LEGACY, "2020-10-01", "2022-08-01", "2022-09-01-preview", "2025-06-01", "2026-03-11-preview"];

    /// The version that a query names, if it names one. Other parameters are ignored.
    pub(super) fn of_query(query: &str) -> Result<Option<Self>, String> {
        let mut named = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name == "api-version").then_some(value)
        });
        match (named.next(), named.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Self::wrong("stands twice")),
            (Some(value), None) => match Self::ALL.into_iter().find(|known| *known == value) {
                Some(known) => Ok(Some(Self(known))),
                None => Err(Self::wrong("is not known")),
            },
        }
    }

    /// What is told where no good version is named.
    pub(super) fn wrong(how: &str) -> String {
        format!("the query parameter `api-version` {how}: name one of {}", Self::ALL.join(", "))
    }

    /// Whether it is the first one.
    pub(super) fn is_legacy(self) -> bool {
        self.0 == Self::LEGACY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_11_a_version_is_named_once_and_exactly() {
        let named = |query: &str| ApiVersion::of_query(query).map(|version| version.map(|version| version.0));
        for known in ApiVersion::ALL {
            assert_eq!(named(&format!("api-version={known}")), Ok(Some(known)));
        }
        assert_eq!(named("x=1&api-version=2020-10-01&y"), Ok(Some("2020-10-01")));
        for missing in ["", "x=1", "apiversion=2020-10-01", "API-VERSION=2020-10-01", "api%2dversion=2020-10-01"] {
            assert_eq!(named(missing), Ok(None), "{missing}");
        }
        for wrong in [
            "api-version",
            "api-version=",
            "api-version=2020-10-02",
            "api-version=2020-10-01%20",
            "api-version=2020-10-01&api-version=2020-10-01",
            "api-version=2020-10-01&api-version=2025-06-01",
        ] {
            let told = named(wrong).unwrap_err();
            assert!(ApiVersion::ALL.iter().all(|known| told.contains(known)), "{wrong}: {told}");
        }
    }
}
