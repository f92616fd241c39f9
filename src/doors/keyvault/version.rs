//! The query: `api-version`, and where a page begins.
//!
//! `keyvault-api.md` sections 1 and 2 (*Paging*). Every operation is served under every version that is known, but those that came later.
//! Names are read without their escapes: the published client for JavaScript writes `api%2Dversion`.

use crate::broker::{Code, Fault};

/// A version that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(&'static str);

impl ApiVersion {
    /// In their order.
    const ALL: [&'static str; 15] = [
        "2016-10-01",
        "7.0-preview",
        "7.0",
        "7.1-preview",
        "7.1",
        "7.2-preview",
        "7.2",
        "7.3-preview",
        "7.3",
        "7.4-preview.1",
        "7.4",
        "7.5",
        "7.6-preview.2",
        "7.6",
        "2025-07-01",
    ];
    /// Previews beside them, judged as the version before.
    const PREVIEWS: [(&'static str, &'static str); 4] =
        [("7.5-preview.1", "7.4"), ("7.6-preview.1", "7.5"), ("2025-06-01-preview", "7.6"), ("7.4-preview", "7.3")];

    /// As it was named.
    pub(super) fn as_str(self) -> &'static str {
        self.0
    }

    fn rank(self) -> Option<usize> {
        let stands_for =
            Self::PREVIEWS.iter().find(|(preview, _)| *preview == self.0).map_or(self.0, |(_, known)| *known);
        Self::ALL.iter().position(|known| *known == stands_for)
    }

    /// Whether it is `other` or came later.
    pub(super) fn is_from(self, other: &'static str) -> bool {
        self.rank() >= Self(other).rank()
    }

    fn parse(text: &str) -> Option<Self> {
        let previews = Self::PREVIEWS.into_iter().map(|(preview, _)| preview);
        Self::ALL.into_iter().chain(previews).find(|known| *known == text).map(Self)
    }
}

/// What stands in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) version: ApiVersion,
    /// Most items of a page.
    pub(super) most: usize,
    /// Behind which name or version the page begins.
    pub(super) after: Option<String>,
}

/// Reads the query. Parameters that are not known are ignored, as the original does.
///
/// # Errors
/// `malformed`: no version, one that is not known, or a parameter that stands twice.
pub(super) fn read(query: &str) -> Result<Query, Fault> {
    let malformed = |part: &'static str| Fault::new(Code::Malformed, part);
    let one = |wanted: &str| {
        let mut values = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescaped(name)? == wanted).then_some(value)
        });
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => unescaped(value).map(Some).ok_or(malformed("a query parameter has a broken escape")),
            _ => Err(malformed("a query parameter stands twice")),
        }
    };
    let named = one("api-version")?.ok_or(malformed("the query parameter `api-version` is missing"))?;
    let version = ApiVersion::parse(&named).ok_or(malformed("the `api-version` is not known: take `2025-07-01`"))?;
    let most = match one("maxresults")? {
        None => 25,
        Some(text) => {
            let count = text.parse::<usize>().ok().filter(|count| (1..=25).contains(count));
            count.ok_or(malformed("the query parameter `maxresults` is 1 to 25"))?
        }
    };
    let after = one("$skiptoken")?;
    let plain =
        |text: &str| text.len() <= 127 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match after {
        Some(text) if !plain(&text) => Err(malformed("the query parameter `$skiptoken` is none of ours")),
        after => Ok(Query { version, most, after }),
    }
}

/// A name or value without its escapes; none where one is broken or they stand for no text.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (escape, rest) = part.split_at_checked(2)?;
        // Digits alone: a sign before them is read too otherwise.
        let digits = escape.bytes().all(|b| b.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(escape, 16).ok().filter(|_| digits)?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_11_a_version_is_named_once_and_exactly() {
        for known in ["7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "7.6-preview.2", "2025-06-01-preview"] {
            assert_eq!(read(&format!("api-version={known}")).unwrap().version.0, known);
        }
        for wrong in ["", "api-version=", "api-version=8.0", "api-version=7.3&api-version=7.3", "Api-Version=7.3"] {
            assert_eq!(read(wrong).map_err(|fault| fault.code).err(), Some(Code::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_name_may_be_escaped_and_stands_once_in_any_spelling() {
        let query = read("api%2Dversion=7.4&%24skiptoken=db%2dkey").unwrap();
        assert_eq!((query.version.0, query.after.as_deref()), ("7.4", Some("db-key")));
        for wrong in
            ["api%2Dversion=7.4&api-version=7.4", "api%2version=7.4", "api%+2version=7.4", "api-version=7.4%", "%ff=1"]
        {
            assert_eq!(read(wrong).map_err(|fault| fault.code).err(), Some(Code::Malformed), "{wrong}");
        }
    }

    #[test]
    fn later_versions_have_more() {
        let is_from = |version: &str| read(&format!("api-version={version}")).unwrap().version.is_from("7.3-preview");
        for (version, later) in [("7.2", false), ("7.3-preview", true), ("7.3", true), ("2025-06-01-preview", true)] {
            assert_eq!(is_from(version), later, "{version}");
        }
    }

    #[test]
    fn a_page_begins_where_it_says() {
        let query = read("$skiptoken=db-key&maxresults=2&api-version=7.4").unwrap();
        assert_eq!((query.most, query.after.as_deref()), (2, Some("db-key")));
        for wrong in ["maxresults=0", "maxresults=26", "maxresults=x", "$skiptoken=a%20b", "$skiptoken=../x"] {
            assert!(read(&format!("api-version=7.4&{wrong}")).is_err(), "{wrong}");
        }
    }
}
