//! Compiles `proto/` with protox, so that no `protoc` needs to be installed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

/// Every file with messages or services of its own; imports are found through `ROOT`.
const FILES: [&str; 11] = [
    "kv.proto",
    "auth.proto",
    "rpc.proto",
    "v3lock.proto",
    "v3election.proto",
    "grpc/health/v1.proto",
    "cfgstore/v1/agent.proto",
    "cfgstore/v1/history.proto",
    "cfgstore/v1/schemas.proto",
    "cfgstore/v1/notifications.proto",
    "cfgstore/peer/v1.proto",
];

const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let files = FILES.map(|file| Path::new(ROOT).join(file));
    let descriptors = protox::compile(files, [ROOT])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Keys and values share the buffer they arrived in instead of being copied out of it.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
