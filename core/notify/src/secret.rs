//! Where secrets are found. A rule holds a reference; only the member that sends holds the secret, and only for as long as it does.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Environment variables that a rule may name begin with this. Whoever may set a rule can have what it names sent to a server
/// of his choice, as a password; so it must not be any variable of the process.
pub const ENV_PREFIX: &str = "CFGSTORE_SECRET_";

/// Longest secret, in bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// A reference to a secret: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable of the member; its name begins with `CFGSTORE_SECRET_`.
    Env(String),
    /// A file within the member's folder of secrets: a path relative to it. A newline at its end does not count.
    File(PathBuf),
}

impl SecretRef {
    /// Reads a reference. The error does not repeat the text, as it may be a secret that somebody wrote where a reference belongs.
    pub fn parse(text: &str) -> Result<SecretRef, String> {
        if let Some(name) = text.strip_prefix("env:") {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            return match name.strip_prefix(ENV_PREFIX) {
                Some(rest) if !rest.is_empty() && rest.chars().all(plain) && name.len() <= 128 => {
                    Ok(SecretRef::Env(name.to_owned()))
                }
                _ => Err(format!(
                    "the variable's name must begin with {ENV_PREFIX} and go on with letters, digits and '_', as in env:{ENV_PREFIX}HOOK"
                )),
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            let inside = !path.is_empty()
                && path.len() <= 1024
                && !path.contains('\0')
                && Path::new(path)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
            return if inside {
                Ok(SecretRef::File(path.into()))
            } else {
                Err(
                    "the file must be a path inside the members' folder of secrets, as in file:hook"
                        .to_owned(),
                )
            };
        }
        Err(
            "a secret is not written into a rule: say where members find it, as env:NAME or file:PATH"
                .to_owned(),
        )
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Where this member finds secrets.
#[derive(Clone, Debug)]
pub struct Secrets {
    dir: PathBuf,
}

impl Secrets {
    /// Files are looked for in `dir`, which need not exist until a rule names one.
    pub fn new(dir: impl Into<PathBuf>) -> Secrets {
        Secrets { dir: dir.into() }
    }

    /// The secret that `reference` names: text, not empty, at most 4,096 bytes. The error names the reference.
    pub fn resolve(&self, reference: &SecretRef) -> Result<String, String> {
        let fail = |what: String| format!("the secret {reference} {what}, on the member that sends");
        let secret = match reference {
            SecretRef::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => fail("is not set".to_owned()),
                std::env::VarError::NotUnicode(_) => fail("is not text".to_owned()),
            })?,
            SecretRef::File(path) => {
                let read = |path: &Path| -> Result<String, String> {
                    let size = path.metadata().map_err(|error| error.to_string())?.len();
                    if size > MAX_SECRET_BYTES {
                        return Err(format!("it has {size} bytes, {MAX_SECRET_BYTES} are allowed"));
                    }
                    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
                    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
                };
                let text = self
                    .locate(path)
                    .and_then(|path| read(&path))
                    .map_err(|why| fail(format!("can't be read: {why}")))?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        if secret.is_empty() {
            return Err(fail("is empty".to_owned()));
        }
        if secret.len() as u64 > MAX_SECRET_BYTES {
            return Err(fail(format!("is longer than {MAX_SECRET_BYTES} bytes")));
        }
        Ok(secret)
    }

    /// Follows links, which must not lead out of the folder.
    fn locate(&self, path: &Path) -> Result<PathBuf, String> {
        let dir = self
            .dir
            .canonicalize()
            .map_err(|error| format!("the folder of secrets {}: {error}", self.dir.display()))?;
        let found = dir.join(path).canonicalize().map_err(|error| error.to_string())?;
        if !found.starts_with(&dir) {
            return Err(format!("it is a link that leads out of {}", dir.display()));
        }
        Ok(found)
    }
}

/// `text` without any of `secrets`, should a server have repeated one; without control characters; and cut to `max_chars`.
pub(crate) fn scrub(text: &str, secrets: &[&str], max_chars: usize) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "…");
    }
    crate::text::one_line(&text, max_chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        assert_eq!(
            SecretRef::parse("env:CFGSTORE_SECRET_HOOK").unwrap(),
            SecretRef::Env("CFGSTORE_SECRET_HOOK".into())
        );
        assert_eq!(
            SecretRef::parse("file:slack/ops").unwrap(),
            SecretRef::File("slack/ops".into())
        );
        for text in [
            "",
            "hunter2",
            "env:",
            "env:PATH",
            "env:CFGSTORE_SECRET_",
            "env:CFGSTORE_SECRET_a b",
            "file:",
            "file:/etc/shadow",
            "file:../x",
            "file:a/../../x",
        ] {
            let error = SecretRef::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn files_are_read_from_the_folder_only() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(dir.path().join("secrets"));
        let at = |name: &str| SecretRef::parse(&format!("file:{name}")).unwrap();
        let error = secrets.resolve(&at("hook")).unwrap_err();
        assert!(error.contains("file:hook") && error.contains("folder"), "{error}");

        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        let path = |name: &str| dir.path().join("secrets").join(name);
        std::fs::write(path("hook"), "s3cret\r\n").unwrap();
        assert_eq!(secrets.resolve(&at("hook")).unwrap(), "s3cret");

        std::fs::write(dir.path().join("outside"), "s3cret").unwrap();
        std::os::unix::fs::symlink("../outside", path("link")).unwrap();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("binary"), [0xff]).unwrap();
        std::fs::write(path("long"), vec![b'x'; 4097]).unwrap();
        for (name, why) in [
            ("link", "leads out"),
            ("empty", "empty"),
            ("binary", "not text"),
            ("long", "4097"),
            ("absent", "No such file"),
        ] {
            let error = secrets.resolve(&at(name)).unwrap_err();
            assert!(error.contains(why) && error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn a_secret_that_a_server_repeats_is_taken_out() {
        assert_eq!(
            scrub("535 bad password hunter2\r\n", &["hunter2", ""], 100),
            "535 bad password …"
        );
    }
}
