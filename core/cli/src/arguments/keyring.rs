//! What there is to do with a keyring.

use clap::Subcommand;

/// Commands on the keyring of --keyring.
#[derive(Debug, Subcommand)]
pub enum KeyringCommand {
    /// Make a keyring with one new key
    ///
    /// It is written to the file of --keyring, with mode 0600, or printed if that is not given. A file that is there is left alone.
    New {
        /// The key's id: letters, digits, - and _ [default: today's date]
        #[arg(long)]
        id: Option<String>,
        /// Values to seal: a key, or the beginning of keys and a *; may be given several times
        #[arg(long = "pattern", value_name = "PATTERN")]
        patterns: Vec<String>,
    },
    /// Add a new key that opens values and seals none yet
    ///
    /// For several hosts: add the key, bring the file to all of them, then rotate to it.
    Add {
        /// The key's id [default: today's date]
        #[arg(long)]
        id: Option<String>,
    },
    /// Seal with a new key from now on, or with one that is there
    ///
    /// Values that are sealed already stay as they are, and readable, until they are sealed anew: by --reseal, or by
    /// `cfgctl keys reseal` once every host has the new file.
    Rotate {
        /// The key's id; a key that is not there is made [default: a new one with today's date]
        #[arg(long)]
        id: Option<String>,
        /// Then seal all values anew
        #[arg(long)]
        reseal: bool,
    },
    /// Seal with the primary key what is sealed with another one, or not yet
    ///
    /// Each value is replaced only if nobody has changed it meanwhile, and is its key's next version. It can be ended and run again at
    /// any time.
    Reseal,
    /// Remove a key, unless a value is sealed with it
    ///
    /// What the history holds that is sealed with it can't be read any more.
    Drop {
        /// The key's id
        id: String,
    },
    /// Print ids, patterns and how many values each key seals; never a secret
    List,
}
