//! Compiles the C part against the PHP that `php-config` names.
//!
//! `PHP_CONFIG` chooses another PHP than the first `php-config` in PATH.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

const C_FILES: [&str; 24] = [
    "client.c",
    "client_array.c",
    "client_calls.c",
    "client_compare.c",
    "client_history.c",
    "client_notifications.c",
    "client_retention.c",
    "client_schema.c",
    "client_typed.c",
    "decode.c",
    "encode.c",
    "errors.c",
    "info.c",
    "keyring.c",
    "lock.c",
    "module.c",
    "objects.c",
    "path.c",
    "scope.c",
    "settings.c",
    "stream.c",
    "transaction.c",
    "value.c",
    "watch.c",
];

fn main() -> Result<(), Box<dyn Error>> {
    compile_c()?;
    if env::var("CARGO_CFG_TARGET_OS")? == "linux" {
        // PHP unloads modules when it shuts down; code with thread-locals and atfork handlers must stay mapped.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    } else {
        // The engine's symbols are found when PHP loads the module.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup");
    }
    Ok(())
}

fn compile_c() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=PHP_CONFIG");
    println!("cargo:rerun-if-changed=c");
    let php_config = env::var("PHP_CONFIG").unwrap_or_else(|_| "php-config".into());
    let includes = php_config_says(&php_config, "--includes")?;
    let mut build = cc::Build::new();
    build
        .define("COMPILE_DL_CFGSTORE", "1")
        .define("ZEND_ENABLE_STATIC_TSRMLS_CACHE", "1")
        .define(
            "CFGSTORE_VERSION",
            &*format!("\"{}\"", env::var("CARGO_PKG_VERSION")?),
        )
        .std("gnu11")
        .warnings(true)
        .extra_warnings(true)
        // The engine's own headers and callback types do not pass this one.
        .flag_if_supported("-Wno-unused-parameter")
        .flag_if_supported("-Werror=implicit-function-declaration")
        // errors.c names a class for each kind of error.
        .flag_if_supported("-Werror=switch");
    for folder in includes
        .split_whitespace()
        .filter_map(|flag| flag.strip_prefix("-I"))
    {
        build.flag("-isystem").flag(folder);
    }
    for file in C_FILES {
        build.file(Path::new("c").join(file));
    }
    build.try_compile("cfgstore_php_c")?;
    Ok(())
}

fn php_config_says(php_config: &str, what: &str) -> Result<String, Box<dyn Error>> {
    let output = Command::new(php_config).arg(what).output().map_err(|error| {
        format!(
            "cannot run {php_config}: {error}; install PHP's development files (php8.2-dev) or set PHP_CONFIG"
        )
    })?;
    if !output.status.success() {
        return Err(format!(
            "{php_config} {what} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
