//! demo
use super::exit::{Exit, Failure};
/// .
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}
/// .
pub async fn run(_: &DemoArgs) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
