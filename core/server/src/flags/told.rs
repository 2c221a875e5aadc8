//! The flags that say who is told of changes, beyond the rules of the cluster: commands of this host, and what its part in
//! notifications takes.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, DEFAULT_SECRETS_DIR};
use crate::duration;
use crate::hooks::{Hook, MAX_HOOKS};
use crate::start_error::StartError;

#[derive(Debug, Args)]
pub(super) struct Told {
    /// Run a command of this host when keys change that begin with PREFIX; may be given several times. It finds the changes as
    /// JSON on its standard input
    #[arg(long, value_name = "PREFIX=COMMAND ARG…", action = clap::ArgAction::Append)]
    on_change: Vec<String>,
    /// How long such a command may run before it is killed
    #[arg(long, default_value = "60s", value_name = "TIME")]
    on_change_timeout: String,
    /// Folder in which notification rules find secrets, as file:PATH
    #[arg(long, default_value = DEFAULT_SECRETS_DIR, value_name = "DIR")]
    notify_secrets_dir: PathBuf,
    /// How long a notification is tried before it becomes a dead letter
    #[arg(long, default_value = "24h", value_name = "TIME")]
    notify_give_up_after: String,
}

fn refuse(setting: &'static str) -> impl Fn(String) -> StartError {
    move |reason| StartError::Config { setting, reason }
}

impl Told {
    /// The commands to run when keys change.
    pub fn hooks(&self) -> Result<Vec<Hook>, StartError> {
        let timeout = duration::parse(&self.on_change_timeout).map_err(refuse("--on-change-timeout"))?;
        let given = self.on_change.iter().filter(|text| !text.is_empty());
        let hooks: Result<Vec<Hook>, String> = given.map(|text| Hook::parse(text, timeout)).collect();
        let hooks = hooks.map_err(refuse("--on-change"))?;
        if hooks.len() > MAX_HOOKS {
            let reason = format!("is given {} times, {MAX_HOOKS} are allowed", hooks.len());
            return Err(refuse("--on-change")(reason));
        }
        Ok(hooks)
    }

    /// Sets what concerns a member.
    pub fn set(self, config: &mut Config) -> Result<(), StartError> {
        config.notify_secrets_dir = self.notify_secrets_dir;
        config.notify_give_up_after =
            duration::parse(&self.notify_give_up_after).map_err(refuse("--notify-give-up-after"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        told: Told,
    }

    fn told(arguments: &[&str]) -> Told {
        Only::parse_from([&["cfgstored"], arguments].concat()).told
    }

    #[test]
    fn commands_and_their_bound() {
        let flags = told(&[
            "--on-change",
            "a/=x y",
            "--on-change",
            "b=z",
            "--on-change-timeout",
            "5s",
        ]);
        let hooks = flags.hooks().unwrap();
        assert_eq!(hooks.len(), 2);
        assert_eq!(
            (hooks[0].prefix.as_str(), hooks[0].timeout),
            ("a/", Duration::from_secs(5))
        );
        let many = vec!["--on-change=a=b"; MAX_HOOKS + 1];
        for (arguments, flag) in [
            (&["--on-change", "a"][..], "--on-change:"),
            (&["--on-change-timeout", "x"][..], "--on-change-timeout"),
            (&many[..], "--on-change"),
        ] {
            let error = told(arguments).hooks().unwrap_err().to_string();
            assert!(error.contains(flag.trim_end_matches(':')), "{error}");
        }
    }

    #[test]
    fn what_concerns_a_member() {
        let mut config = Config::new("/d");
        told(&["--notify-give-up-after", "1h", "--notify-secrets-dir", "/s"])
            .set(&mut config)
            .unwrap();
        assert_eq!(config.notify_give_up_after, Duration::from_secs(3600));
        assert_eq!(config.notify_secrets_dir, PathBuf::from("/s"));
        told(&["--notify-give-up-after", "soon"])
            .set(&mut config)
            .unwrap_err();
    }
}
