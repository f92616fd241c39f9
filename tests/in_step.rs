//! Pages and code say the same: error codes, settings, the descriptions of both doors, the help of every command.
//!
//! `docs/errors.md`, `config/default.toml`, `docs/openapi.json`, `docs/openapi-admin.json`. `KEYGATE_WRITE_OPENAPI=1` writes the
//! descriptions anew.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use keygate::broker::Code;
use keygate::commands::Cli;
use keygate::doors::{admin, native, problem};
use keygate::settings::DEFAULTS;

fn page(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_code_stands_in_the_page_of_errors_with_its_status() {
    let text = std::fs::read_to_string(page("docs/errors.md")).unwrap();
    let mut wrong = Vec::new();
    for code in Code::ALL {
        let begin = format!("| `{}` |", code.as_str());
        let status = problem::status(*code).as_u16().to_string();
        match text.lines().filter(|line| line.starts_with(&begin)).collect::<Vec<_>>().as_slice() {
            // Some codes are of the command line too; what stands in the second column names the status all the same.
            [line] if line.split('|').nth(2).is_some_and(|cell| cell.contains(&status)) => {}
            [line] => wrong.push(format!("not {status}: {line}")),
            lines => wrong.push(format!("`{}` has {} lines", code.as_str(), lines.len())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_setting_has_its_comment() {
    let settings = DEFAULTS.lines().map(|line| line.trim_start_matches("# "));
    let settings = settings.filter(|line| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')));
    let mut count = 0;
    for line in settings.filter(|line| !line.starts_with("name = ") && !line.starts_with("file = \"anchors")) {
        count += 1;
        let commented = line.rsplit_once("# ").is_some_and(|(_, comment)| !comment.trim().is_empty());
        assert!(
            commented || line.starts_with("id = ") || line.starts_with("hosts = ") || line.starts_with("purpose = "),
            "{line}"
        );
    }
    assert!(count > 30, "{count} settings");
}

fn in_step(path: &str, document: &utoipa::openapi::OpenApi) {
    let text = document.to_pretty_json().unwrap() + "\n";
    let path = page(path);
    if std::env::var_os("KEYGATE_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is out of step: run this test with KEYGATE_WRITE_OPENAPI=1", path.display());
}

#[test]
fn the_descriptions_of_both_doors_are_checked_in() {
    in_step("docs/openapi.json", &native::document());
    in_step("docs/openapi-admin.json", &admin::document());
}

fn without_example(command: &clap::Command, path: &str, found: &mut Vec<String>) {
    let help = command.get_after_help().or(command.get_after_long_help()).map(ToString::to_string).unwrap_or_default();
    if !help.contains("Example") || !help.contains("keygate ") {
        found.push(path.to_owned());
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        without_example(inner, &format!("{path} {}", inner.get_name()), found);
    }
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let mut found = Vec::new();
    for command in Cli::command().get_subcommands() {
        without_example(command, command.get_name(), &mut found);
    }
    assert!(found.is_empty(), "no example: {found:#?}");
}
