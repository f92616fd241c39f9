//! Whether an answer may leave in the clear, and to whom: what this door asks beyond the rule.
//!
//! `keyvault-api.md` section 5 (*Key options*), `native-api.md` section 5 (option `clear`). Clients of Key Vault know no sealed form
//! of a plaintext or a signature. A key with a rule answers them only where its option `clear` says so, and only to evidence that
//! carries a nonce made for this very request; a key without any rule that was made at this door is governed by roles alone.

use keygate_policies::KeyRules;
use keygate_policies::release::{Clear, Freshness};

use super::words::RawInput;
use crate::broker::caller::Caller;
use crate::broker::error::{Code, Fault};
use crate::broker::request::KeySelector;

/// Told where the option stands in the way.
pub(super) const CLEAR: &str =
    "the option `clear` of this key does not let this door answer; a rule officer can set it";

/// What stands in the way of a use that the rule permits.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// Evidence with a nonce for this request is needed.
    Nonce,
    /// Something else; whether whoever met the rule may be told.
    Refused(Fault),
}

/// What a caller shows.
pub(super) struct Bearing<'a> {
    /// By credential or certificate.
    pub(super) caller: &'a Caller,
    /// Whether good evidence was shown, and met the rule.
    pub(super) attested: bool,
    /// Whether that carries a nonce for this request.
    pub(super) fresh: bool,
}

/// Looks for an obstacle.
pub(super) fn stands(
    input: &RawInput,
    rules: &KeyRules,
    key: &KeySelector,
    bearing: &Bearing<'_>,
) -> Result<(), Obstacle> {
    let refused = |part| Err(Obstacle::Refused(Fault::new(Code::OperationNotAllowed, part)));
    let governed = rules.rules().next().is_some();
    let is_user = bearing.caller.has_for(&["key-user"], &key.name);
    if !input.is_secret() {
        let stale = bearing.attested && !bearing.fresh && governed && rules.options().freshness < Freshness::Issuer;
        return if stale { Err(Obstacle::Nonce) } else { Ok(()) };
    }
    match (rules.options().clear, governed, bearing.attested) {
        (Clear::Never, _, _) => refused(CLEAR),
        // A key that this door made, and for which no rule was given.
        (_, false, _) if is_user => Ok(()),
        (_, false, _) | (_, true, false) => refused("this use of the key needs an attestation token as the bearer"),
        (Clear::Credential, true, true) if !is_user => {
            refused("this key asks for a client certificate with the role `key-user` beside the attestation token")
        }
        (_, true, true) if !bearing.fresh => Err(Obstacle::Nonce),
        (_, true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use keygate_keystore::Operation;
    use keygate_keystore::operations::raw::Rsa15;
    use zeroize::Zeroizing;

    use super::*;
    use crate::broker::caller::Origin;

    const RULE: &str = r#"{"version":"1.0.0","anyOf":[{"authority":"self","allOf":[{"claim":"a","equals":"b"}]}]}"#;

    fn rules(rule: bool, options: &str) -> KeyRules {
        let rules = if rule { format!(r#"{{"default":{RULE}}}"#) } else { "{}".to_owned() };
        KeyRules::parse(format!(r#"{{"rules":{rules},"options":{options}}}"#).as_bytes()).unwrap()
    }

    fn outcome(
        operation: Operation,
        alg: &str,
        rules: &KeyRules,
        user: bool,
        attested: bool,
        fresh: bool,
    ) -> &'static str {
        let input = RawInput {
            operation,
            alg: alg.to_owned(),
            value: Zeroizing::new(vec![0; 32]),
            iv: None,
            tag: None,
            aad: Vec::new(),
            digest: Vec::new(),
            rsa1_5: Rsa15::Refused,
        };
        let caller = match user {
            false => Caller::Anonymous,
            true => Caller::Known {
                name: "u".into(),
                origin: Origin::Credential,
                roles: vec!["key-user".into()],
                key_pattern: None,
            },
        };
        let key = KeySelector::parse("k", None).unwrap();
        match stands(&input, rules, &key, &Bearing { caller: &caller, attested, fresh }) {
            Ok(()) => "served",
            Err(Obstacle::Nonce) => "nonce",
            Err(Obstacle::Refused(fault)) => fault.part.split('`').nth(1).unwrap_or("attestation"),
        }
    }

    #[test]
    fn what_leaves_in_the_clear_needs_the_option_the_evidence_and_the_nonce() {
        use Operation::{Sign, Unwrap};
        let never = rules(true, "{}");
        let (credential, token) = (rules(true, r#"{"clear":"credential"}"#), rules(true, r#"{"clear":"token"}"#));
        for operation in [Unwrap, Operation::Decrypt, Sign] {
            let of =
                |rules: &KeyRules, user, attested, fresh| outcome(operation, "RSA-OAEP", rules, user, attested, fresh);
            assert_eq!(of(&never, true, true, true), "clear");
            assert_eq!(of(&credential, true, true, true), "served");
            assert_eq!(of(&credential, false, true, true), "key-user");
            assert_eq!(of(&credential, true, true, false), "nonce");
            assert_eq!(of(&credential, true, false, false), "attestation");
            assert_eq!(of(&token, false, true, true), "served");
            assert_eq!(of(&token, false, true, false), "nonce");
            assert_eq!(of(&token, true, false, true), "attestation");
        }
    }

    #[test]
    fn a_key_without_a_rule_is_governed_by_roles_where_this_door_made_it() {
        let ours = rules(false, r#"{"clear":"credential","freshness":"issuer"}"#);
        let of =
            |rules: &KeyRules, user, attested| outcome(Operation::Unwrap, "RSA-OAEP", rules, user, attested, false);
        assert_eq!(of(&ours, true, false), "served");
        assert_eq!(of(&ours, false, true), "attestation");
        assert_eq!(of(&KeyRules::none(), true, false), "clear", "made at the native door: nobody may use it");
    }

    #[test]
    fn what_is_no_secret_needs_no_option_and_what_opens_more_does() {
        let never = rules(true, "{}");
        assert_eq!(outcome(Operation::Wrap, "RSA-OAEP", &never, true, false, false), "served");
        assert_eq!(outcome(Operation::Verify, "RS256", &never, true, false, false), "served");
        assert_eq!(outcome(Operation::Encrypt, "A256CBC", &never, true, false, false), "clear");
        assert_eq!(outcome(Operation::Wrap, "RSA-OAEP", &never, false, true, false), "nonce", "`freshness` is `once`");
        let issuer = rules(true, r#"{"freshness":"issuer"}"#);
        assert_eq!(outcome(Operation::Wrap, "RSA-OAEP", &issuer, false, true, false), "served");
    }
}
