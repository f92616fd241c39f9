//! The policy of a type for which none was set, and the digest by which a token names its policy.
//! Policy language, section 6; claims page, section 3.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const SGX: &str = r#"version= 1.1;
configurationrules{
  => issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault");
};
authorizationrules{
  => permit();
};
issuancerules{
  c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);
  c:[type=="x-ms-sgx-mrsigner"]      => issue(type="sgx-mrsigner", value=c.value);
  c:[type=="x-ms-sgx-mrenclave"]     => issue(type="sgx-mrenclave", value=c.value);
  c:[type=="x-ms-sgx-product-id"]    => issue(type="product-id", value=c.value);
  c:[type=="x-ms-sgx-svn"]           => issue(type="svn", value=c.value);
  c:[type=="x-ms-attestation-type"]  => issue(type="tee", value=c.value);
};
"#;

const PLAIN: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";

/// The text in force where none was set. It permits whatever is genuine: relying parties look at the claims. `None` for
/// types without a default, such as `Tpm`.
#[must_use]
pub fn default_text(attestation_type: &str) -> Option<&'static str> {
    const TYPES: [(&str, &str); 8] = [
        ("SgxEnclave", SGX),
        ("OpenEnclave", SGX),
        ("SevSnpVm", PLAIN),
        ("TdxVm", PLAIN),
        ("AzureGuest", PLAIN),
        ("Nitro", PLAIN),
        ("TpmMachine", PLAIN),
        ("Software", PLAIN),
    ];
    TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(attestation_type)).map(|(_, text)| *text)
}

/// `x-ms-policy-hash`: base64url of SHA-256 over the base64url of the text.
///
/// ```
/// use keygate_policies::attestation::policy_hash;
///
/// let text = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
/// assert_eq!(policy_hash(text), "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU");
/// ```
#[must_use]
pub fn policy_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(URL_SAFE_NO_PAD.encode(text).as_bytes()))
}
