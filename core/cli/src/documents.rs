//! `cfgctl apply` and `cfgctl export`: a folder of files, and the keys they stand for.

mod apply;
mod difference;
mod export;
mod folder;
mod names;
mod show;

use std::process::ExitCode;

use cfgstore_client::Client;

use crate::arguments::DocumentsCommand;
use crate::failure::Failure;
use crate::output::Output;
pub use difference::{JsonDifference, counts};
pub use show::{Style, shown};

pub async fn run(
    client: &Client,
    command: DocumentsCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    match command {
        DocumentsCommand::Apply(arguments) => apply::run(client, &arguments, output).await,
        DocumentsCommand::Export(arguments) => export::run(client, &arguments, output).await,
    }
}
