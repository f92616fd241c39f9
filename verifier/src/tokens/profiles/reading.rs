//! What a profile reads from the claims of a token that was checked, and the normalised claims made from it.
//! Relying party tokens, section 8; threat model, P20.

use serde_json::{Map, Value, json};

use super::tee_key::TeeKey;

/// Texts that a workload filled in one token: Google's tokens hold six.
const MOST_NONCES: usize = 8;
/// Bytes of one such text; what is longer is the nonce of no request.
const LONGEST_NONCE: usize = 512;

/// What one family's token says, in common words.
#[derive(Default)]
pub(super) struct Reading {
    /// The technology; `none` where no TEE was attested.
    pub kind: &'static str,
    /// Whether the workload can be looked into, as far as the token does not deny it.
    pub debug: bool,
    /// The workload's key.
    pub key: Option<TeeKey>,
    /// Texts in places that the workload fills and the issuer verified.
    pub nonces: Vec<String>,
    /// Whether it is about a device beside the workload's processor, and never enough alone.
    pub companion: bool,
    /// `tee.measurement`.
    pub measurement: Map<String, Value>,
    /// `tee.svn`.
    pub svn: Map<String, Value>,
    /// `workload`.
    pub workload: Map<String, Value>,
    /// `platform`.
    pub platform: Map<String, Value>,
    /// `tcb`, where the issuer tells advisories too.
    pub tcb: Option<Value>,
    /// `gpu`.
    pub gpu: Vec<Value>,
    /// `instance.id`.
    pub instance: Option<String>,
    /// Identities for deny lists.
    pub platforms: Vec<String>,
    /// Measurements for deny lists, lower-case hex.
    pub measurements: Vec<String>,
    /// Members of `keygate` that an issuer which is a Keygate concluded.
    pub told: Map<String, Value>,
    /// Names for deny lists that such an issuer blinded.
    pub blinded: Vec<[u8; 32]>,
}

impl Reading {
    pub fn of(kind: &'static str) -> Self {
        Self { kind, debug: true, ..Self::default() }
    }

    /// Notes measurements of code by their common names, those that are there. Whose it is and what is below it is told by the raw
    /// claims alone: a rule that pins `tee.measurement` pins a workload.
    pub fn measure<'c>(&mut self, from: &Map<String, Value>, names: impl IntoIterator<Item = (&'c str, &'c str)>) {
        for (name, claim) in names {
            if let Some(Value::String(value)) = from.get(claim) {
                self.measurement.insert(name.into(), json!(value));
                self.deny_by(value);
            }
        }
    }

    /// Notes security versions by their common names, those that are there.
    pub fn version<'c>(&mut self, from: &Map<String, Value>, names: impl IntoIterator<Item = (&'c str, &'c str)>) {
        for (name, claim) in names {
            if let Some(value @ Value::Number(_)) = from.get(claim) {
                self.svn.insert(name.into(), value.clone());
            }
        }
    }

    /// Notes for deny lists who signed the code.
    pub fn signed_by(&mut self, signer: Option<&Value>) {
        if let Some(Value::String(signer)) = signer {
            self.deny_by(signer);
        }
    }

    /// Notes a measurement for deny lists, where it is hex; a digest's name in front is left out.
    pub fn deny_by(&mut self, measurement: &str) {
        let hex = measurement.strip_prefix("sha256:").unwrap_or(measurement).to_ascii_lowercase();
        if hex.len() >= 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) && !self.measurements.contains(&hex) {
            self.measurements.push(hex);
        }
    }

    /// Notes an identity for deny lists.
    pub fn identity(&mut self, prefix: &str, id: Option<&Value>) {
        if let Some(Value::String(id)) = id
            && !id.is_empty()
        {
            self.platforms.push(format!("{prefix}:{id}"));
        }
    }

    /// Notes a text that a workload may have filled.
    pub fn nonce(&mut self, value: Option<&Value>) {
        if let Some(Value::String(nonce)) = value {
            self.nonce_text(nonce.clone());
        }
    }

    /// The same of a text that stood there in another form.
    pub fn nonce_text(&mut self, nonce: String) {
        if nonce.len() <= LONGEST_NONCE && self.nonces.len() < MOST_NONCES {
            self.nonces.push(nonce);
        }
    }

    /// Notes the status of the platform, whatever stands there: what is no status is accepted by no key.
    pub fn tcb_status(&mut self, status: Option<&Value>) {
        if let Some(status) = status {
            self.platform.insert("tcb_status".into(), status.clone());
        }
    }

    /// The same of an issuer that tells advisories too. Where it told none, none are noted, and no status that needs them is accepted.
    pub fn tcb_level(&mut self, status: Option<&Value>, advisories: Option<&Value>, date: Option<&Value>) {
        self.tcb_status(status);
        let Some(status) = status else { return };
        let mut tcb = Map::from_iter([("status".to_owned(), status.clone())]);
        for (name, value) in [("advisories", advisories), ("date", date)] {
            if let Some(value) = value {
                tcb.insert(name.to_owned(), value.clone());
            }
        }
        self.tcb = Some(Value::Object(tcb));
    }

    /// The members of `keygate` that come from this reading.
    pub fn normalised(&self) -> Map<String, Value> {
        let mut keygate = self.told.clone();
        keygate.insert("debug".into(), json!(self.debug));
        let mut tee = Map::new();
        tee.insert("kind".into(), json!(self.kind));
        tee.insert("debug".into(), json!(self.debug));
        let nested = [("measurement", &self.measurement), ("svn", &self.svn)];
        put(&mut tee, nested);
        keygate.insert("tee".into(), Value::Object(tee));
        put(&mut keygate, [("workload", &self.workload), ("platform", &self.platform)]);
        if let Some(tcb) = &self.tcb {
            keygate.insert("tcb".into(), tcb.clone());
        }
        if !self.gpu.is_empty() {
            keygate.insert("gpu".into(), json!(self.gpu));
        }
        if let Some(id) = &self.instance {
            keygate.insert("instance".into(), json!({ "id": id }));
        }
        keygate
    }
}

fn put(into: &mut Map<String, Value>, members: [(&str, &Map<String, Value>); 2]) {
    for (name, member) in members {
        if !member.is_empty() {
            into.insert(name.to_owned(), Value::Object(member.clone()));
        }
    }
}

/// The claim at the end of these names, through objects only.
pub(super) fn at<'c>(claims: &'c Map<String, Value>, path: &[&str]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(*first)?, |value, name| value.as_object()?.get(*name))
}

/// What a claim `is-debuggable` or its like says: only a plain no is one.
pub(super) fn debuggable(claim: Option<&Value>) -> Option<bool> {
    claim.map(|claim| *claim != false && *claim != "false")
}

/// What `dbgstat` says: only these words are a no.
pub(super) fn dbgstat(claim: Option<&Value>, off: &[&str]) -> Option<bool> {
    claim.map(|claim| !claim.as_str().is_some_and(|word| off.contains(&word)))
}

/// Debug unless somebody denies it and nobody affirms it: missing information is debug.
pub(super) fn debug(said: &[Option<bool>]) -> bool {
    said.contains(&Some(true)) || !said.contains(&Some(false))
}
