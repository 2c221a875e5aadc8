//! `c/cfgstore_core.h`, by which C calls Rust, is generated from `src/abi/`, and never stale.

use std::path::Path;

use cbindgen::{Builder, Config, ExportConfig, Language, RenameRule, Style};

const UPDATE: &str = "CFGSTORE_UPDATE_HEADER";

/// What the header is made of, in its order.
const SOURCES: [&str; 14] = [
    "src/abi/blame.rs",
    "src/abi/difference.rs",
    "src/abi/history.rs",
    "src/abi/keyring.rs",
    "src/abi/lock.rs",
    "src/abi/notifications.rs",
    "src/abi/retention.rs",
    "src/abi/schema.rs",
    "src/abi/source.rs",
    "src/abi/transaction.rs",
    "src/abi/types.rs",
    "src/abi/watch.rs",
    "src/abi/write.rs",
    "../core/client/src/error.rs",
];

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config {
        language: Language::C,
        include_guard: Some("CFGSTORE_CORE_H".to_owned()),
        autogen_warning: Some(
            "/* Generated from src/abi/ by tests/core_header.rs: change it there. */".to_owned(),
        ),
        style: Style::Type,
        // Nothing of the ABI names it: its numbers go through as they are.
        export: ExportConfig {
            include: vec!["ErrorKind".to_owned()],
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    config.enumeration.rename_variants = RenameRule::QualifiedScreamingSnakeCase;
    let builder = SOURCES
        .iter()
        .fold(Builder::new().with_config(config), |builder, file| {
            builder.with_src(root.join(file))
        });
    let mut text = Vec::new();
    builder
        .generate()
        .expect("the sources are what cbindgen understands")
        .write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/cfgstore_core.h");
    let generated = generate();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == generated,
        "php-ext/c/cfgstore_core.h is stale; run {UPDATE}=1 cargo test -p cfgstore-php and commit it"
    );
}
