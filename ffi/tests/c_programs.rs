//! Programs in C and C++ against the built libraries, over every kind of address. They are compiled as strictly as the
//! header promises.

use std::path::{Path, PathBuf};
use std::process::Command;

use cfgstore_server::{Config, ListenAddress, ServerThread};

/// Far above what a program here takes; one that hangs fails instead of blocking the suite.
const TIME_LIMIT_SECS: &str = "60";

const C: &[&str] = &["cc", "-std=c99"];
const CXX: &[&str] = &["c++", "-std=c++11"];
const STRICT: &[&str] = &["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

#[derive(Clone, Copy)]
enum Linking {
    Shared,
    Static,
}

/// A folder for one test; with it goes what the stores in it leave in shared memory for readers.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for store in ["store", "server"] {
            if let Ok(mirror) = std::fs::read_link(self.path().join(store).join("mirror")) {
                let _ = std::fs::remove_dir_all(mirror);
            }
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where cargo put the libraries it built for this test.
fn built() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    for library in ["libcfgstore.so", "libcfgstore.a"] {
        assert!(deps.join(library).exists(), "{} has no {library}", deps.display());
    }
    deps
}

fn compile(compiler: &[&str], source: &Path, linking: Linking, folder: &Path) -> PathBuf {
    let program = folder.join(source.file_stem().unwrap());
    let libraries = built();
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(STRICT);
    command
        .arg("-I")
        .arg(repository().join("include"))
        .arg("-o")
        .arg(&program)
        .arg(source);
    match linking {
        Linking::Shared => {
            command.arg("-L").arg(&libraries).arg("-lcfgstore");
            command.arg(format!("-Wl,-rpath,{}", libraries.display()));
        }
        Linking::Static => {
            command.arg(libraries.join("libcfgstore.a"));
        }
    }
    command.args(["-lpthread", "-ldl", "-lm"]);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", compiler[0]));
    assert!(
        output.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

/// Runs a program to its end and returns what it printed.
fn run(program: &Path, address: &str) -> String {
    let output = Command::new("timeout")
        .arg(TIME_LIMIT_SECS)
        .arg(program)
        .arg(address)
        // Cargo's own value goes before the program's, and may name a folder with a library of an earlier build.
        .env("LD_LIBRARY_PATH", built())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {address}: {}\n{stdout}{stderr}",
        program.display(),
        output.status
    );
    stdout
}

fn test_program(name: &str) -> PathBuf {
    repository().join("ffi/tests/c").join(name)
}

fn embedded(folder: &Path) -> String {
    format!("embedded:{}", folder.join("store").display())
}

/// A server in this process, on a port and on its socket.
fn server(folder: &Path) -> ServerThread {
    let mut config = Config::new(folder.join("server"));
    config
        .listen
        .push(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()));
    ServerThread::start(config).unwrap()
}

fn run_everywhere(compiler: &[&str], name: &str) {
    // Each in a folder of its own: a program may expect an empty store.
    let folder = Folder::new();
    let program = compile(compiler, &test_program(name), Linking::Shared, folder.path());
    run(&program, &embedded(folder.path()));
    let on_tcp = server(folder.path());
    run(&program, &on_tcp.urls()[0]);
    let folder = Folder::new();
    let on_socket = server(folder.path());
    run(&program, &format!("unix://{}", on_socket.socket().display()));
}

#[test]
fn every_function_does_what_the_header_says() {
    run_everywhere(C, "operations.c");
}

#[test]
fn bad_input_ends_in_a_status() {
    run_everywhere(C, "bad_input.c");
}

#[test]
fn threads_share_a_store_and_a_forked_child_goes_on() {
    run_everywhere(C, "threads_and_forks.c");
}

#[test]
fn the_header_is_cpp_too() {
    run_everywhere(CXX, "header.cpp");
}

#[test]
fn a_server_that_hangs_up_does_not_end_the_process() {
    let folder = Folder::new();
    run(
        &compile(C, &test_program("broken_pipe.c"), Linking::Shared, folder.path()),
        "",
    );
}

#[test]
fn stores_on_one_folder_share_one_member() {
    let folder = Folder::new();
    let program = compile(C, &test_program("embedded.c"), Linking::Shared, folder.path());
    run(&program, &embedded(folder.path()));
}

#[test]
fn the_example_runs_with_either_library() {
    for linking in [Linking::Shared, Linking::Static] {
        let folder = Folder::new();
        let program = compile(
            C,
            &repository().join("examples/c/quickstart.c"),
            linking,
            folder.path(),
        );
        let printed = run(&program, &embedded(folder.path()));
        for line in [
            "got database = {\"host\":\"db1\"}",
            "changed: database = {\"host\":\"db2\"}",
            "changed: database is gone",
            "token granted",
            "done",
        ] {
            assert!(printed.contains(line), "no {line:?} in {printed}");
        }
    }
}

/// What the shared library offers to a linker is what the header declares, no more and no less.
#[test]
fn the_library_exports_what_the_header_declares() {
    let output = Command::new("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(built().join("libcfgstore.so"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut exported: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    exported.sort_unstable();

    let header = std::fs::read_to_string(repository().join("include/cfgstore.h")).unwrap();
    let mut declared: Vec<&str> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '/', '#']))
        .filter_map(|line| line.split_once('(')?.0.split([' ', '*']).next_back())
        .collect();
    declared.sort_unstable();
    assert_eq!(exported, declared);
}
