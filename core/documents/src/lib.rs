//! Documents of configuration as files: bytes in, bytes out.
//!
//! A [`Value`] is what JSON can say, with its order and its digits kept. [`Format`] reads and writes it as JSON, YAML, INI, a
//! `.env` file or a PHP file that returns an array of literals; nothing in a file is executed or replaced. What a format can't
//! hold without loss is an error. [`diff()`] says what differs between two documents, path by path.
//!
//! Reading is bounded by [`MAX_DOCUMENT_BYTES`] and [`MAX_DEPTH`], also where a file repeats a part of itself (YAML's aliases).

mod diff;
mod env;
mod error;
mod format;
mod ini;
mod json;
mod leaves;
mod number;
mod php;
mod php_print;
mod scanner;
mod value;
mod yaml;
mod yaml_print;

pub use diff::{Difference, diff};
pub use error::{ParseError, PrintError};
pub use format::Format;
pub use leaves::leaves;
pub use number::Number;
pub use value::{MAX_DEPTH, MAX_DOCUMENT_BYTES, Value};
