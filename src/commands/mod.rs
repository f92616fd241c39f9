//! The command line: one file a command. Keygate's contract, section 2.

pub mod exit;
pub mod output;

mod admin;
mod apply;
mod audit;
mod connect;
mod credential;
mod demo;
mod demo_tpm;
mod deny;
mod document;
mod enrolment;
mod identity;
mod init;
mod inspect;
mod key;
mod local;
mod places;
mod policies;
mod policy;
mod policy_against;
mod policy_trace;
mod policy_try;
mod progress;
mod reference;
mod reference_learn;
mod reference_sign;
mod references;
mod rule;
mod rules;
mod serve;
mod signing_key;
mod store;
mod time;
mod tpm;
mod verify;
mod workload;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use exit::{Exit, Failure, finish};
use output::Format;

/// A key-release broker gated on attestation.
#[derive(Debug, Parser)]
#[command(name = "keygate", version, arg_required_else_help = true)]
pub struct Cli {
    /// How results are printed: table on a terminal, json in a pipe, unless given.
    #[arg(long, global = true, value_enum)]
    format: Option<Format>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The main job in one command, on a machine that has nothing.
    Demo(demo::DemoArgs),
    /// Make a folder with everything that a service needs.
    Init(init::InitArgs),
    /// Serve.
    Serve(serve::ServeArgs),
    /// Judge evidence offline.
    Verify(verify::VerifyArgs),
    /// Show what evidence, a token or a vault's release answer says, unverified.
    Inspect(inspect::InspectArgs),
    /// Workload: attest and get a token.
    Attest(workload::AttestArgs),
    /// Workload: have a key released.
    Release(workload::ReleaseArgs),
    /// Workload: have something unwrapped.
    Unwrap(workload::UnwrapArgs),
    /// Keys: create, import, list, show, rotate, disable, enable, delete, recover, purge.
    Key(key::KeyArgs),
    /// Release rules: check and try offline, history, diff and restore in a service.
    Rule(rule::RuleArgs),
    /// Reference values that rules and policies name: learn, sign, import, review, approve, retire.
    Reference(reference::ReferenceArgs),
    /// Attestation policies: check and try offline; set, get, reset, history, diff and restore in a service.
    Policy(policy::PolicyArgs),
    /// Set policies, and rules and options of keys, from files; prints the difference first.
    Apply(apply::ApplyArgs),
    /// Machines, measurements and issuers' keys that open nothing.
    Deny(deny::DenyArgs),
    /// Machines with a TPM whose attestation keys count: list, show, remove; endorsement keys that are vouched for.
    Enrolment(enrolment::EnrolmentArgs),
    /// Bearer tokens with roles.
    Credential(credential::CredentialArgs),
    /// The audit journal: list, show, verify, export.
    Audit(audit::AuditArgs),
    /// The keys that sign tokens: list, rotate.
    SigningKey(signing_key::SigningKeyArgs),
    /// Copies and checks of the store.
    Store(store::StoreArgs),
    /// This machine's TPM: enrol its attestation key, show what it has.
    Tpm(tpm::TpmCommandArgs),
    /// Make an identity for the software attester, for machines without hardware.
    SoftwareIdentity(identity::IdentityArgs),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return ended(&told),
    };
    let format = Format::chosen(cli.format);
    finish(run(&cli.command, format))
}

/// What the reader of arguments has to say: help, the version, or what is wrong, which has its code like every error.
fn ended(told: &clap::Error) -> ExitCode {
    // A reader that went away ends the output, not the command.
    let _ = told.print();
    if told.use_stderr() && told.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        exit::complain("  code: usage");
    }
    ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2))
}

fn run(command: &Command, format: Format) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(args, format),
        Command::Verify(args) => verify::verify(args, format),
        Command::Inspect(args) => inspect::run(args, format),
        Command::SoftwareIdentity(args) => identity::run(args, format),
        Command::Serve(args) => wait(serve::run(args)),
        Command::Demo(args) => wait(demo::run(args)),
        Command::Attest(args) => wait(workload::attest(args, format)),
        Command::Key(args) => wait(key::run(args, format)),
        Command::Rule(args) => wait(rule::run(args, format)),
        Command::Reference(args) => wait(reference::run(args, format)),
        Command::Policy(args) => wait(policy::run(args, format)),
        Command::SigningKey(args) => wait(signing_key::run(args, format)),
        Command::Apply(args) => wait(apply::run(args, format)),
        Command::Deny(args) => wait(deny::run(args, format)),
        Command::Enrolment(args) => wait(enrolment::run(args, format)),
        Command::Credential(args) => wait(credential::run(args, format)),
        Command::Audit(args) => wait(audit::run(args, format)),
        Command::Tpm(args) => wait(tpm::run(args, format)),
        Command::Store(args) => wait(store::run(args, format)),
        Command::Release(args) => wait(workload::release(args, format)),
        Command::Unwrap(args) => wait(workload::unwrap(args, format)),
    }
}

/// Runs a command that waits for the network.
fn wait(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| Failure::unavailable("overloaded", format!("no threads: {e}"), "free some memory"))?;
    runtime.block_on(command)
}
