//! Where flags come from: a file, or else the command line and, for what it leaves out, the environment. So does etcd.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use yaml_rust2::{Yaml, YamlLoader};

use super::{Flags, etcd_only};

/// Beginning of the names of environment variables: `ETCD_DATA_DIR` is `--data-dir`.
const ENVIRONMENT_PREFIX: &str = "ETCD_";
const CONFIG_FILE: &str = "config-file";
/// A file of settings is small; anything larger is another file.
const MAX_CONFIG_FILE_BYTES: u64 = 1 << 20;

impl Flags {
    /// The flags of this process. An error knows whether it is one, or the answer to `--help`.
    pub fn from_process() -> Result<Flags, clap::Error> {
        Flags::read(std::env::args_os().collect(), std::env::vars_os().collect())
    }

    /// The flags that this command line (program name first) and this environment give.
    pub(super) fn read(
        arguments: Vec<OsString>,
        environment: Vec<(OsString, OsString)>,
    ) -> Result<Flags, clap::Error> {
        let arguments = with_environment(with_two_dashes(arguments), &environment);
        let matches = command().try_get_matches_from(&arguments)?;
        let matches = match matches
            .get_one::<String>("config_file")
            .filter(|path| !path.is_empty())
        {
            None => matches,
            Some(path) => from_file(Path::new(path), arguments.first())?,
        };
        let mut flags = Flags::from_arg_matches(&matches)?;
        let unused = etcd_only::check(&matches)
            .map_err(|error| command().error(ErrorKind::ValueValidation, error.to_string()))?;
        flags.without_effect = unused.iter().map(|name| format!("--{name}")).collect();
        Ok(flags)
    }
}

fn command() -> clap::Command {
    etcd_only::add_to(Flags::command().args_override_self(true))
}

/// Go's flags may be written with one dash.
fn with_two_dashes(arguments: Vec<OsString>) -> Vec<OsString> {
    let longer = |argument: OsString| match argument.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => argument,
    };
    arguments.into_iter().map(longer).collect()
}

fn long_names() -> BTreeSet<String> {
    let command = command();
    let names = command
        .get_arguments()
        .flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default());
    names.map(str::to_owned).collect()
}

/// Puts what the environment says behind the command line, as far as that says nothing.
fn with_environment(mut arguments: Vec<OsString>, environment: &[(OsString, OsString)]) -> Vec<OsString> {
    let given: BTreeSet<String> = arguments
        .iter()
        .filter_map(|argument| argument.to_str()?.strip_prefix("--"))
        .map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name).to_owned())
        .collect();
    let known = long_names();
    let mut found: Vec<String> = Vec::new();
    for (variable, value) in environment {
        let (Some(variable), Some(value)) = (variable.to_str(), value.to_str()) else {
            continue;
        };
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        // Others read such variables too: ETCD_ENDPOINTS, ETCD_UNSUPPORTED_ARCH, those of containers' links.
        if name != "endpoints" && known.contains(&name) && !given.contains(&name) && !value.is_empty() {
            found.push(format!("--{name}={value}"));
        }
    }
    found.sort();
    arguments.extend(found.into_iter().map(OsString::from));
    arguments
}

/// The flags that a file in the form of etcd's configuration file gives; the command line counts no more then.
fn from_file(path: &Path, program: Option<&OsString>) -> Result<ArgMatches, clap::Error> {
    let refuse = |reason: String| {
        let text = format!("--{CONFIG_FILE} {}: {reason}", path.display());
        command().error(ErrorKind::ValueValidation, text)
    };
    let size_bytes = std::fs::metadata(path)
        .map_err(|error| refuse(error.to_string()))?
        .len();
    if size_bytes > MAX_CONFIG_FILE_BYTES {
        return Err(refuse(format!(
            "is {size_bytes} bytes long, at most {MAX_CONFIG_FILE_BYTES} are read"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let flags = parse(&text).map_err(refuse)?;
    let program = program.cloned().unwrap_or_default();
    let arguments = std::iter::once(program).chain(flags.into_iter().map(OsString::from));
    command()
        .try_get_matches_from(arguments)
        // What clap says of a flag is as true of the line in the file that it came from.
        .map_err(|error| refuse(error.to_string().trim_start_matches("error: ").to_owned()))
}

/// The lines of a file as flags. Those without a value say nothing.
fn parse(text: &str) -> Result<Vec<String>, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("is not YAML: {error}"))?;
    let map = match documents.as_slice() {
        [] => return Ok(Vec::new()),
        [Yaml::Hash(map)] => map,
        [Yaml::Null] => return Ok(Vec::new()),
        _ => return Err("must be one YAML map from flag names, without dashes, to values".to_owned()),
    };
    let mut flags = Vec::new();
    for (name, value) in map {
        let Some(name) = name.as_str() else {
            return Err(format!("has the name {name:?}, which is no flag"));
        };
        if let Yaml::Hash(section) = value {
            // etcd's sections of TLS files; names of the peers' flags begin with "peer-".
            let prefix = match name {
                "client-transport-security" => "",
                "peer-transport-security" => "peer-",
                _ => return Err(format!("has a map under {name:?}, where a value is expected")),
            };
            for (name, value) in section {
                let name = name.as_str().unwrap_or_default();
                flags.extend(flag(&format!("{prefix}{name}"), value)?);
            }
        } else {
            flags.extend(flag(name, value)?);
        }
    }
    Ok(flags)
}

fn flag(name: &str, value: &Yaml) -> Result<Option<String>, String> {
    let scalar = |value: &Yaml| match value {
        Yaml::String(text) | Yaml::Real(text) => Ok(text.clone()),
        Yaml::Integer(number) => Ok(number.to_string()),
        Yaml::Boolean(flag) => Ok(flag.to_string()),
        Yaml::Null => Ok(String::new()),
        _ => Err(format!("has under {name:?} neither a value nor a list of values")),
    };
    let value = match value {
        Yaml::Array(list) => list.iter().map(scalar).collect::<Result<Vec<_>, _>>()?.join(","),
        other => scalar(other)?,
    };
    if name == CONFIG_FILE {
        return Err(format!("names another file under {CONFIG_FILE:?}"));
    }
    Ok((!value.is_empty()).then(|| format!("--{name}={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_flags() {
        let text = "
name: 'a'
data-dir:
snapshot-count: 10000
strict-reconfig-check: false
log-outputs: [stderr]
cors:
client-transport-security:
  cert-file:
  client-cert-auth: false
peer-transport-security:
  key-file: /k
";
        let expected = [
            "--name=a",
            "--snapshot-count=10000",
            "--strict-reconfig-check=false",
            "--log-outputs=stderr",
            "--client-cert-auth=false",
            "--peer-key-file=/k",
        ];
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse("").unwrap(), [""; 0]);
    }

    #[test]
    fn other_files_are_refused() {
        for (text, reason) in [
            ("- a", "one YAML map"),
            ("a: {b: c}", "where a value is expected"),
            ("a: [[b]]", "neither a value"),
            ("a: 'b", "not YAML"),
            ("config-file: x", "another file"),
            ("{[a]: b}", "no flag"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let arguments = ["cfgstored", "--name", "line"].map(OsString::from).to_vec();
        let environment = [
            ("ETCD_NAME", "env"),
            ("ETCD_DATA_DIR", "/e"),
            ("ETCD_ENDPOINTS", "x"),
            ("ETCD_CORS", ""),
        ]
        .map(|(name, value)| (name.into(), value.into()));
        let all = with_environment(arguments, &environment);
        assert_eq!(
            all,
            ["cfgstored", "--name", "line", "--data-dir=/e"].map(OsString::from)
        );
    }
}
