//! Where the `cfgstored` binary is.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sys;

const NAME: &str = "cfgstored";

/// php-fpm clears its workers' environment, PATH included.
const PATH_WITHOUT_ENVIRONMENT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the `cfgstored` to start: `explicit`; else `$CFGSTORE_CFGSTORED`; else beside the file this code was
/// loaded from (shared object or program), or in the folder above it, or in `bin` there; else in `$PATH`.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if there is none; the message says where it was looked for.
pub fn find_binary(explicit: Option<&Path>) -> Result<PathBuf> {
    let environment = env::var_os("CFGSTORE_CFGSTORED").filter(|path| !path.is_empty());
    if let Some((path, source)) = explicit
        .map(|path| (path.to_owned(), "as set"))
        .or(environment.map(|path| (path.into(), "from $CFGSTORE_CFGSTORED")))
    {
        return if is_program(&path) {
            Ok(std::path::absolute(&path).unwrap_or(path))
        } else {
            Err(missing(&format!(
                "{} ({source}) is not a program that can be run",
                path.display()
            )))
        };
    }
    let mut tried = beside_this_code();
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from(PATH_WITHOUT_ENVIRONMENT));
    tried.extend(
        env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(NAME)),
    );
    match tried.iter().find(|path| is_program(path)) {
        Some(found) => Ok(found.clone()),
        None => {
            let mut folders: Vec<String> = tried
                .iter()
                .filter_map(|path| path.parent())
                .map(|dir| dir.display().to_string())
                .collect();
            folders.dedup();
            Err(missing(&format!("there is none in {}", folders.join(", "))))
        }
    }
}

fn missing(why: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "cannot start the embedded store: no cfgstored: {why}; install it, or name it in $CFGSTORE_CFGSTORED \
             or in the setting for it"
        ),
    )
}

fn beside_this_code() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for file in [sys::current_object_path(), env::current_exe().ok()]
        .into_iter()
        .flatten()
    {
        let file = file.canonicalize().unwrap_or(file);
        let Some(dir) = file.parent() else { continue };
        folders.push(dir.to_owned());
        if let Some(above) = dir.parent() {
            folders.push(above.to_owned());
            folders.push(above.join("bin"));
        }
    }
    let mut seen = std::collections::HashSet::new();
    folders.retain(|dir| seen.insert(dir.clone()));
    folders.into_iter().map(|dir| dir.join(NAME)).collect()
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_binary_must_be_a_program() {
        let shell = Path::new("/bin/sh");
        assert_eq!(find_binary(Some(shell)).unwrap(), shell);
        for bad in ["/nonexistent/cfgstored", "/etc/passwd", "/"] {
            let error = find_binary(Some(Path::new(bad))).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains(bad), "{error}");
        }
    }

    #[test]
    fn the_folders_of_this_program_are_searched() {
        let dir = env::current_exe()
            .unwrap()
            .canonicalize()
            .unwrap()
            .parent()
            .unwrap()
            .to_owned();
        let tried = beside_this_code();
        assert!(tried.contains(&dir.join(NAME)), "{tried:?}");
        assert!(tried.contains(&dir.parent().unwrap().join(NAME)), "{tried:?}");
    }
}
