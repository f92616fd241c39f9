//! Where a claim stands: a dotted path, or a JSON pointer.
//! Secure key release, section 1 (Paths); RFC 6901; bad inputs, row JWT-49.

use serde_json::{Map, Value};

use crate::limits::PATH_NAMES;

/// The place of a claim. The two spellings never stand in for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPath {
    /// `claim`: names parted by dots; walks into objects only.
    Dotted(Written),
    /// `claimPointer`: reaches names with dots, and list elements by index.
    Pointer(Written),
}

/// A path as written and the names it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    text: String,
    names: Vec<String>,
}

impl ClaimPath {
    pub(crate) fn dotted(text: &str) -> Result<Self, &'static str> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err("a dotted path has no empty names");
        }
        Ok(Self::Dotted(Written::new(text, names)?))
    }

    pub(crate) fn pointer(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a pointer begins with `/`");
        };
        let names = rest.split('/').map(unescape).collect::<Option<Vec<_>>>();
        let names = names.ok_or("in a pointer `~` is followed by 0 or 1")?;
        Ok(Self::Pointer(Written::new(text, names)?))
    }

    /// A dotted path, or where it begins with `/` a pointer.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
        if text.starts_with('/') { Self::pointer(text) } else { Self::dotted(text) }
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dotted(written) | Self::Pointer(written) => &written.text,
        }
    }

    /// The names on the way.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Dotted(written) | Self::Pointer(written) => &written.names,
        }
    }

    /// The claim, if it is there.
    #[must_use]
    pub fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, rest) = self.names().split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| match (value, self) {
            (Value::Object(members), _) => members.get(name),
            (Value::Array(elements), Self::Pointer(_)) => elements.get(index(name)?),
            _ => None,
        })
    }
}

impl Written {
    fn new(text: &str, names: Vec<String>) -> Result<Self, &'static str> {
        if names.len() > PATH_NAMES {
            return Err("a path has at most 32 names");
        }
        Ok(Self { text: text.to_owned(), names })
    }
}

/// RFC 6901, section 4: `~1` is a slash, `~0` a tilde, in this order; any other tilde is an error.
fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

/// RFC 6901, section 4: digits without leading zeros.
fn index(name: &str) -> Option<usize> {
    let canonical = name == "0" || !name.starts_with('0');
    if !canonical || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &ClaimPath) -> Option<Value> {
        let claims = json!({"a.b": 1, "a": {"b": 2, "0": 3}, "list": ["x", {"y": 4}], "m~n": 5, "o/p": 6, "": 7});
        path.find(claims.as_object().unwrap()).cloned()
    }

    #[test]
    fn jwt_49_a_dotted_path_navigates_and_a_pointer_reaches_dotted_names() {
        assert_eq!(find(&ClaimPath::dotted("a.b").unwrap()), Some(json!(2)));
        assert_eq!(find(&ClaimPath::pointer("/a.b").unwrap()), Some(json!(1)));
        assert_eq!(find(&ClaimPath::pointer("/a/b").unwrap()), Some(json!(2)));
    }

    #[test]
    fn jwt_49_only_a_pointer_walks_into_lists() {
        assert_eq!(find(&ClaimPath::dotted("list.0").unwrap()), None);
        assert_eq!(find(&ClaimPath::pointer("/list/0").unwrap()), Some(json!("x")));
        assert_eq!(find(&ClaimPath::pointer("/list/1/y").unwrap()), Some(json!(4)));
        for other in ["/list/00", "/list/+1", "/list/-", "/list/2", "/list/ 0", "/list/"] {
            assert_eq!(find(&ClaimPath::pointer(other).unwrap()), None, "{other}");
        }
        assert_eq!(find(&ClaimPath::dotted("a.0").unwrap()), Some(json!(3)));
    }

    #[test]
    fn rfc_6901_escapes() {
        assert_eq!(find(&ClaimPath::pointer("/m~0n").unwrap()), Some(json!(5)));
        assert_eq!(find(&ClaimPath::pointer("/o~1p").unwrap()), Some(json!(6)));
        assert_eq!(find(&ClaimPath::pointer("/").unwrap()), Some(json!(7)));
        for bad in ["", "a", "/~", "/~2", "#/a"] {
            assert!(ClaimPath::pointer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn empty_names_and_endless_paths_are_refused() {
        for bad in ["", ".", "a.", ".a", "a..b", &"a.".repeat(40), &"a.b".repeat(40)] {
            assert!(ClaimPath::dotted(bad).is_err(), "{bad}");
        }
    }
}
