//! How the shared library is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The name programs remember, whatever path they were linked with.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcfgstore.so");
    // Background threads run this code: a dlclose must not take it from under them.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
