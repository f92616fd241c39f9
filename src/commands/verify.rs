//! `keygate verify`: evidence judged offline. Keygate's contract, section 7.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use keygate_verifier::{
    AnchorPurpose, Anchors, Binding, Endorsements, Evidence, EvidenceKind, Genuine, Options, Outcome, TcbStatus,
    UnixTime, Verifier, VerifyError,
};
use serde_json::{Map, Value, json};

use super::document::with_files;
use super::exit::{Exit, Failure, complain};
use super::output::{Format, Output};
use crate::app::anchors;
use crate::clock::{Clock, SystemClock};
use crate::collateral::read_path;

/// The most bytes of evidence that are read; a kind may allow less.
pub(super) const MAX_EVIDENCE: u64 = 8 << 20;

/// Arguments of `keygate verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  keygate verify --kind tdx --endorsements collateral.json --at 2025-07-04T10:16:31Z quote.bin"
)]
pub struct VerifyArgs {
    #[command(flatten)]
    judging: JudgingArgs,
    /// Accept debug evidence.
    #[arg(long)]
    allow_debug: bool,
    /// Accept this TCB status beside UpToDate. May be given more than once.
    #[arg(long, value_name = "STATUS")]
    accept_tcb: Vec<String>,
    /// The evidence, or `-` for standard input.
    file: PathBuf,
}

/// What evidence is judged with.
#[derive(Debug, Clone, Args)]
pub struct JudgingArgs {
    /// Kind of evidence: sgx, tdx, snp, nitro, tpm, azure-vtpm, software, or auto.
    #[arg(long, default_value = "auto")]
    kind: String,
    /// Endorsements: a file or a folder, recognised by content. May be given more than once.
    #[arg(long, value_name = "PATH")]
    endorsements: Vec<PathBuf>,
    /// Judge at this time (RFC 3339) instead of now.
    #[arg(long, value_name = "RFC3339")]
    at: Option<String>,
    /// A trust anchor beside the vendors': KIND=FILE, a CA certificate or, for tpm, a public key. May be given more than once.
    #[arg(long, value_name = "KIND=FILE")]
    trust_anchor: Vec<String>,
}

/// Runs `keygate verify`.
pub fn verify(args: &VerifyArgs, format: Format) -> Result<Exit, Failure> {
    let bytes = read_evidence(&args.file)?;
    let mut options = Options::strict();
    options.allow_debug = args.allow_debug;
    // Which bank and hash a quote is of, the claims show; keys are opened by the service alone.
    options.allow_sha1 = true;
    for status in &args.accept_tcb {
        let status = TcbStatus::parse(status).filter(|s| *s != TcbStatus::Revoked).ok_or_else(|| {
            let known: Vec<_> =
                TcbStatus::ALL.iter().filter(|s| **s != TcbStatus::Revoked).map(|s| s.as_str()).collect();
            Failure::usage(
                format!("`{status}` is no TCB status that can be accepted"),
                format!("one of {}", known.join(", ")),
            )
        })?;
        options.accept_tcb.insert(status);
    }
    let report = args.judging.judge(&bytes, &Binding::Unbound, &options)?;
    let good = report.verdict == "verified";
    Output::new(format).object(&report.to_json());
    Ok(if good { Exit::Done } else { Exit::Refused })
}

/// What genuine evidence says, whatever its patch level and debug bit: those are for a policy to judge. Else why it is not genuine, or
/// does not hold these run-time data.
///
/// # Errors
/// Usage: a file that cannot be read.
pub(super) fn genuine(
    file: &Path,
    judging: &JudgingArgs,
    runtime_sha256: Option<[u8; 32]>,
) -> Result<Result<Genuine, VerifyError>, Failure> {
    let binding = match runtime_sha256 {
        Some(_) => Binding::HeldData { runtime_sha256 },
        None => Binding::Unbound,
    };
    let report = judging.judge(&read_evidence(file)?, &binding, &Options::show_all())?;
    let missing = || VerifyError::new(keygate_verifier::Code::Malformed, "evidence", "nothing was concluded");
    Ok(match (report.refusal, report.shown) {
        (None, Some(shown)) => Ok(shown),
        (why, _) => Err(why.unwrap_or_else(missing)),
    })
}

impl JudgingArgs {
    fn judge(&self, bytes: &[u8], binding: &Binding, options: &Options) -> Result<Report, Failure> {
        let now = match &self.at {
            Some(text) => UnixTime::from_rfc3339(text).ok_or_else(|| {
                Failure::usage(format!("`{text}` is no RFC 3339 time"), "write it like 2025-07-04T10:28:44Z")
            })?,
            None => SystemClock::new(0)
                .now()
                .map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "give the time with --at"))?,
        };
        let mut anchors = Anchors::vendor().map_err(|e| Failure::refused(&e.full_code(), e.to_string()))?;
        for (index, anchor) in self.trust_anchor.iter().enumerate() {
            add_anchor(&mut anchors, anchor, index)?;
        }
        let mut held = Endorsements::default();
        for path in &self.endorsements {
            let (found, strange) = read_path(path).map_err(|e| {
                Failure::usage(format!("cannot read `{}`: {e}", path.display()), "check --endorsements")
            })?;
            for file in strange {
                complain(&format!("keygate: not an endorsement, left out: {file}"));
            }
            held.extend(&found);
        }
        Ok(match kind_of(&self.kind, bytes) {
            Ok(kind) => judge(&Verifier::new(anchors), &Evidence { kind, bytes }, binding, &held, options, now),
            Err(refused) => Report::refused(None, &refused),
        })
    }
}

fn add_anchor(added: &mut Anchors, text: &str, index: usize) -> Result<(), Failure> {
    let usage = |what: String| Failure::usage(what, "write it like --trust-anchor snp=lab-ark.pem");
    let (kind, file) = text.split_once('=').ok_or_else(|| usage(format!("`{text}` names no kind")))?;
    let kind = EvidenceKind::parse(kind).ok_or_else(|| usage(format!("`{kind}` is no kind of evidence")))?;
    let bytes = std::fs::read(file).map_err(|e| usage(format!("cannot read `{file}`: {e}")))?;
    let name = format!("command-line-{}", index.saturating_add(1));
    anchors::add_file(added, &name, kind, AnchorPurpose::Attestation, &bytes)
        .map_err(|e| usage(format!("`{file}`: {e}")))
}

pub(super) fn read_evidence(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_EVIDENCE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(MAX_EVIDENCE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", file.display()), "name a file of evidence"))?;
    if bytes.len() as u64 > MAX_EVIDENCE {
        return Err(Failure::refused(
            "too-large.evidence",
            format!("the evidence is larger than {MAX_EVIDENCE} bytes"),
        ));
    }
    with_files(bytes, file.parent().unwrap_or(Path::new("")))
}

pub(super) fn kind_of(word: &str, bytes: &[u8]) -> Result<EvidenceKind, VerifyError> {
    if word == "auto" {
        return EvidenceKind::guess(bytes).ok_or_else(|| {
            VerifyError::new(
                keygate_verifier::Code::Malformed,
                "evidence",
                "the bytes look like no kind of evidence; name one with --kind",
            )
        });
    }
    EvidenceKind::parse(word).ok_or_else(|| {
        VerifyError::new(
            keygate_verifier::Code::Unsupported,
            "kind",
            format!("`{word}` is no kind of evidence that is verified here"),
        )
    })
}

struct Report {
    verdict: &'static str,
    kind: Option<EvidenceKind>,
    refusal: Option<VerifyError>,
    shown: Option<Genuine>,
}

fn judge(
    verifier: &Verifier,
    evidence: &Evidence<'_>,
    binding: &Binding,
    held: &Endorsements,
    options: &Options,
    now: UnixTime,
) -> Report {
    let kind = evidence.kind;
    match verifier.verify(evidence, binding, held, options, now) {
        Ok(Outcome::Verified(verified)) => {
            Report { verdict: "verified", kind: Some(kind), refusal: None, shown: Some((*verified).clone()) }
        }
        Ok(Outcome::NotAccepted { why, shown }) => {
            Report { verdict: "refused", kind: Some(kind), refusal: Some(why), shown: Some(*shown) }
        }
        Ok(Outcome::Wants(ids)) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let what = format!("missing or not in force at {now}: {}; give them with --endorsements", ids.join(", "));
            Report::refused(
                Some(kind),
                &VerifyError::new(keygate_verifier::Code::CollateralUnavailable, "missing", what),
            )
        }
        Err(why) => Report::refused(Some(kind), &why),
    }
}

impl Report {
    fn refused(kind: Option<EvidenceKind>, why: &VerifyError) -> Self {
        Self { verdict: "refused", kind, refusal: Some(why.clone()), shown: None }
    }

    /// The shape of the contract, section 7.
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("verdict".into(), json!(self.verdict));
        out.insert("kind".into(), json!(self.kind.map(EvidenceKind::as_str)));
        if let Some(why) = &self.refusal {
            out.insert("code".into(), json!(why.code()));
            out.insert("detail".into(), json!(why.to_string()));
        }
        if let Some(shown) = &self.shown {
            out.insert("claims".into(), Value::Object(shown.claims()));
            if let Some(tcb) = shown.tcb() {
                out.insert(
                    "tcb".into(),
                    json!({
                        "status": tcb.status.as_str(),
                        "qe_status": tcb.qe_status.as_str(),
                        "module_status": tcb.module_status.map(TcbStatus::as_str),
                        "date": tcb.date,
                        "evaluation_number": tcb.evaluation_number,
                        "advisories": tcb.advisories,
                    }),
                );
            }
            if shown.not_after() != UnixTime::FOREVER {
                out.insert("not_after".into(), json!(shown.not_after().to_string()));
            }
        }
        Value::Object(out)
    }
}
