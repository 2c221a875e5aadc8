//! `cfgctl notify`.

use cfgstore_client::ChangeKind;
use clap::{Args, Subcommand};

fn kind(text: &str) -> Result<ChangeKind, String> {
    match text {
        "put" => Ok(ChangeKind::Put),
        "delete" => Ok(ChangeKind::Delete),
        _ => Err("expected put or delete".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Set a rule, or replace it: who is told when keys change
    ///
    /// A new rule begins with the next change; a replaced one goes on where it was. Secrets are not written into a rule, but where
    /// each member finds them: env:NAME, a variable of cfgstored that begins with CFGSTORE_SECRET_, or file:PATH, a file in the
    /// folder of its --notify-secrets-dir.
    Set(Box<SetNotify>),
    /// Remove a rule; what was not sent never will be
    Remove {
        /// The rule
        name: String,
    },
    /// Print the rules, how far each has got, and what is wrong (which only the leader knows)
    List,
    /// Print what could not be delivered
    DeadLetters {
        /// The rule [default: all]
        #[arg(default_value = "", hide_default_value = true)]
        name: String,
    },
    /// Send dead letters once more, and forget those that were delivered
    Retry {
        /// The rule
        name: String,
        /// The dead letters' ids, as `notify dead-letters` prints them [default: all]
        ids: Vec<u64>,
        /// Do not send them, only forget them
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Debug, Args)]
#[group(id = "target", required = true, multiple = false)]
pub struct TargetArguments {
    /// POST JSON to this URL
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// POST in Slack's format to this URL, or to the one found there
    #[arg(long, value_name = "URL|env:NAME|file:PATH")]
    pub slack: Option<String>,
    /// Send an e-mail by this server: smtps://HOST, smtp+starttls://HOST or, not encrypted, smtp://HOST
    #[arg(long, value_name = "URL", requires = "from", requires = "to")]
    pub smtp: Option<String>,
}

#[derive(Debug, Args)]
pub struct SetNotify {
    /// Its name: letters, digits, '-', '_' and '.'
    pub name: String,
    /// The beginning of the keys it tells of; empty: every key
    #[arg(long, value_name = "PREFIX")]
    pub prefix: String,
    /// The kinds of change it tells of [default: all]
    #[arg(long, value_delimiter = ',', value_parser = kind, value_name = "put,delete")]
    pub kinds: Vec<ChangeKind>,
    /// Send the old and the new value along; sealed values never are
    #[arg(long)]
    pub values: bool,
    #[command(flatten)]
    pub target: TargetArguments,
    /// Where the secret is found that the webhook is signed with [default: it is not signed]
    #[arg(
        long,
        value_name = "env:NAME|file:PATH",
        conflicts_with_all = ["slack", "smtp"],
        default_value = ""
    )]
    #[arg(hide_default_value = true)]
    pub secret: String,
    /// The channel [default: the webhook's own]
    #[arg(long, conflicts_with_all = ["webhook", "smtp"], default_value = "", hide_default_value = true)]
    pub channel: String,
    /// The sender's address
    #[arg(long, conflicts_with_all = ["webhook", "slack"], value_name = "ADDRESS")]
    pub from: Option<String>,
    /// The recipients' addresses, separated by commas
    #[arg(long, conflicts_with_all = ["webhook", "slack"], value_delimiter = ',', value_name = "ADDRESSES")]
    pub to: Vec<String>,
    /// Name at the mail server [default: without]
    #[arg(long, conflicts_with_all = ["webhook", "slack"], default_value = "", hide_default_value = true)]
    pub user: String,
    /// Where its password is found
    #[arg(
        long,
        requires = "user",
        conflicts_with_all = ["webhook", "slack"],
        value_name = "env:NAME|file:PATH",
        default_value = ""
    )]
    #[arg(hide_default_value = true)]
    pub password: String,
}
