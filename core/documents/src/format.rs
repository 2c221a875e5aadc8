//! The formats, and the names of their files.

use crate::error::{ParseError, PrintError};
use crate::value::{MAX_DOCUMENT_BYTES, Value};
use crate::{env, ini, json, php, php_print, yaml, yaml_print};

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// YAML 1.2 with its core schema.
    Yaml,
    /// INI as PHP's `parse_ini_file` reads it with sections and `INI_SCANNER_TYPED`, without constants and operators.
    Ini,
    /// `NAME=value` lines; every value is a string.
    Env,
    /// A PHP file that returns a literal.
    Php,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] = [Format::Json, Format::Yaml, Format::Ini, Format::Env, Format::Php];

    /// The format of files with this extension (without the dot).
    pub fn of_extension(extension: &str) -> Option<Format> {
        match extension {
            "json" => Some(Format::Json),
            "yaml" | "yml" => Some(Format::Yaml),
            "ini" => Some(Format::Ini),
            "env" => Some(Format::Env),
            "php" => Some(Format::Php),
            _ => None,
        }
    }

    /// The extension of its files, and its name.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Yaml => "yaml",
            Format::Ini => "ini",
            Format::Env => "env",
            Format::Php => "php",
        }
    }

    /// Reads a file.
    pub fn parse(self, bytes: &[u8]) -> Result<Value, ParseError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(ParseError::new(
                0,
                format!(
                    "{} bytes; a document has at most {MAX_DOCUMENT_BYTES}",
                    bytes.len()
                ),
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            ParseError::new(line, "not UTF-8")
        })?;
        // Some editors of Windows begin a file with it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self {
            Format::Json => json::parse(text),
            Format::Yaml => yaml::parse(text),
            Format::Ini => ini::parse(text),
            Format::Env => env::parse(text),
            Format::Php => php::parse(text),
        }
    }

    /// Writes a file that [`Format::parse`] reads as the same value.
    pub fn print(self, value: &Value) -> Result<String, PrintError> {
        match self {
            Format::Json => Ok(json::print(value)),
            Format::Yaml => Ok(yaml_print::print(value)),
            Format::Ini => ini::print(value),
            Format::Env => env::print(value),
            Format::Php => Ok(php_print::print(value)),
        }
    }
}
