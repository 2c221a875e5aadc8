//! The file that a key is exported to.

use std::collections::HashMap;

use cfgstore_documents::Format;

/// Longest name of a file, and longest path, in bytes.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 3000;

/// The names given, and whether a file or a folder has them; without regard to case, as some systems have none.
#[derive(Default)]
pub struct Names(HashMap<String, (String, bool)>);

impl Names {
    /// The path of a key's file, relative to the folder. `Err`: there is none that could be read back as this key.
    pub fn file_of(&mut self, key: &[u8], format: Format) -> Result<String, String> {
        let key = std::str::from_utf8(key)
            .map_err(|_| "the key is not UTF-8, as a file's name must be".to_owned())?;
        let path = format!("{key}.{}", format.extension());
        if path.len() > MAX_PATH {
            return Err(format!("the key would be a path of more than {MAX_PATH} bytes"));
        }
        for part in key.split('/') {
            if part.is_empty() {
                return Err("the key begins or ends with /, or has two in a row: export with a --prefix that ends there".to_owned());
            }
            if part.starts_with('.') {
                return Err(
                    "a part of the key begins with a dot, and hidden files are not read back".to_owned(),
                );
            }
            if part.contains(char::is_control) {
                return Err("the key has a control character, which no file's name should".to_owned());
            }
        }
        if path.split('/').any(|part| part.len() > MAX_NAME) {
            return Err(format!(
                "a part of the key would be a name of more than {MAX_NAME} bytes"
            ));
        }
        for (at, _) in path.match_indices('/') {
            self.claim(&path[..at], true)?;
        }
        self.claim(&path, false)?;
        Ok(path)
    }

    fn claim(&mut self, path: &str, is_folder: bool) -> Result<(), String> {
        let claim = (path.to_owned(), is_folder);
        let known = self.0.entry(path.to_lowercase()).or_insert_with(|| claim.clone());
        if *known == claim {
            Ok(())
        } else {
            Err(format!(
                "its file {path:?} and {:?} of another key would clash, on this system or another",
                known.0
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_in_the_folder_and_apart() {
        let file_of = |key: &[u8]| Names::default().file_of(key, Format::Json);
        assert_eq!(file_of(b"a/b.c").unwrap(), "a/b.c.json");
        for bad in [
            &b""[..],
            b"/a",
            b"a/",
            b"a//b",
            b"..",
            b"../a",
            b"a/../b",
            b"a/./b",
            b".git/x",
            b"a\0b",
            b"a\nb",
            b"\xff",
            &[b'a'; 251],
        ] {
            assert!(file_of(bad).is_err(), "{bad:?}");
        }
        assert!(file_of(&[b'a'; 250]).is_ok());
        assert!(file_of("a/".repeat(1500).as_bytes()).is_err());
        let clashes = |keys: [&str; 2]| {
            let mut names = Names::default();
            keys.iter()
                .any(|key| names.file_of(key.as_bytes(), Format::Json).is_err())
        };
        assert!(!clashes(["a", "a/b"]) && !clashes(["a/b", "a/c"]));
        assert!(clashes(["a", "A"]) && clashes(["a/b", "A/c"]) && clashes(["a", "a.json/b"]));
    }
}
