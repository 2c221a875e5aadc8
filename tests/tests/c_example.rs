//! The example in C, built by its own Makefile against the libraries of `make build`: over three members, also when one of
//! them has ended, and over an etcd.

use std::path::{Path, PathBuf};
use std::process::Command;

use cfgstore_tests::{Cluster, Kind, build_folder};

fn run(command: &mut Command) -> String {
    let output = command.output().expect("start");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {printed}{errors}");
    printed
}

fn build(folder: &Path, linking: &[&str]) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in ["Makefile", "quickstart.c"] {
        std::fs::copy(repository.join("examples/c").join(file), folder.join(file)).expect("copy");
    }
    run(Command::new("make")
        .arg("-C")
        .arg(folder)
        .arg(format!("ROOT={}", repository.display()))
        .arg(format!("BUILD={}", build_folder().display()))
        .args(linking));
    folder.join("quickstart")
}

#[test]
fn the_example_in_c_runs_over_three_members_and_over_an_etcd() {
    let (shared, fixed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let programs = [build(shared.path(), &[]), build(fixed.path(), &["STATIC=1"])];
    let example = |cluster: &Cluster| {
        for program in &programs {
            let printed = run(Command::new(program).arg(cluster.endpoints().join(",")));
            assert!(
                printed.ends_with("holding the lock, token granted\ndone\n"),
                "{printed}"
            );
        }
    };
    let mut members = Cluster::start(3, Kind::Cfgstored);
    example(&members);
    members.kill(members.leader());
    example(&members);
    example(&Cluster::start(1, Kind::Etcd));
}
