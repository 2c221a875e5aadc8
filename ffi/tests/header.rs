//! `include/cfgstore.h` is generated from this crate, and never stale.

use std::path::Path;

use cbindgen::{Config, DocumentationStyle, ExportConfig, Language, Style};

const UPDATE: &str = "CFGSTORE_UPDATE_HEADER";

/// What the header is made of, in its order.
const SOURCES: [&str; 10] = [
    "version.rs",
    "status.rs",
    "error.rs",
    "options.rs",
    "store.rs",
    "result.rs",
    "txn.rs",
    "watch.rs",
    "lock.rs",
    "info.rs",
];

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fill = |template: &str| {
        template
            .replace(
                "@VERSION_NUMBER@",
                &cfgstore::cfgstore_version_number().to_string(),
            )
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
            .trim_end()
            .to_owned()
    };
    let config = Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Type,
        include_guard: Some("CFGSTORE_H".to_owned()),
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(str::to_owned).to_vec(),
        usize_is_size_t: true,
        header: Some(fill(include_str!("../preamble.h"))),
        after_includes: Some(format!("\n{}\n", fill(include_str!("../macros.h")))),
        documentation_style: DocumentationStyle::Doxy,
        line_length: 110,
        // What comes in as an integer is in no signature.
        export: ExportConfig {
            include: ["cfgstore_autostart_t", "cfgstore_watch_scope_t"]
                .map(str::to_owned)
                .to_vec(),
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    let sources = SOURCES.iter().map(|file| root.join("src").join(file));
    let builder = sources.fold(cbindgen::Builder::new().with_config(config), |builder, file| {
        builder.with_src(file)
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/cfgstore.h");
    let generated = generate();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed != generated {
        let differing = committed
            .lines()
            .zip(generated.lines())
            .position(|(old, new)| old != new);
        panic!(
            "include/cfgstore.h is stale (first difference in line {}); run {UPDATE}=1 cargo test -p cfgstore-ffi \
             and commit it",
            differing.map_or_else(|| "last".to_owned(), |line| (line + 1).to_string())
        );
    }
}
