//! Arguments of the commands that bring a folder of files into the store, and back.

use std::path::PathBuf;

use cfgstore_documents::Format;
use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum DocumentsCommand {
    /// Make keys what the files of a folder say, as one revision
    ///
    /// Each .json, .yaml, .yml, .ini, .env or .php file below the folder is the value of one key: payment/limits.json is
    /// that of payment/limits. Other files are named and skipped; hidden ones are ignored, except .env, which is the key
    /// `env`. Only what differs is written.
    Apply(Apply),
    /// Write keys to a folder, one file each, for `apply` to read
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Apply {
    /// The folder
    #[arg(short = 'f', long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Put before each key, for example /shop/
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PREFIX")]
    pub prefix: String,
    /// Delete the keys with the prefix that no file names
    #[arg(long, requires = "prefix")]
    pub prune: bool,
    /// Only show what would be changed; ends with 1 if that is anything, and with 0 if not
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the history of the keys
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub comment: String,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The folder; made if it is not there
    #[arg(short = 'o', long = "output", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The keys with this prefix, which the names of the files leave out
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PREFIX")]
    pub prefix: String,
    /// What to write
    #[arg(long, value_enum, default_value = "json")]
    pub format: FormatName,
    /// As it was at this revision [default: now]
    #[arg(long, visible_alias = "rev", value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
    pub revision: Option<i64>,
    /// Also into a folder that holds something: files of the same names are replaced, others stay
    #[arg(long)]
    pub force: bool,
}

/// A format, as it is named on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatName {
    Json,
    Yaml,
    Ini,
    Env,
    Php,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::Json => Format::Json,
            FormatName::Yaml => Format::Yaml,
            FormatName::Ini => Format::Ini,
            FormatName::Env => Format::Env,
            FormatName::Php => Format::Php,
        }
    }
}
