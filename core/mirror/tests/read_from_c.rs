//! The format document is enough to read a mirror: `reader.c` was written from it and uses nothing else.

mod support;

use std::path::Path;
use std::process::Command;

use cfgstore_mirror::Publisher;
use support::*;

fn run(program: &Path, dir: &Path, args: &[&str]) -> String {
    let output = Command::new(program).arg(dir).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_c_program_reads_base_and_delta() {
    let build = tempfile::tempdir().unwrap();
    let program = build.path().join("reader");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.c");
    // The compiler driver that Rust links with.
    let mut compile = Command::new("cc");
    compile
        .args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-O1", "-o"])
        .arg(&program)
        .arg(&source);
    assert!(
        compile
            .status()
            .expect("cc is installed, as for every Rust build")
            .success()
    );

    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    let names: Vec<String> = (0..300)
        .map(|i| format!("app/{i:04}/{}", "n".repeat(i % 20)))
        .collect();
    let entries = names
        .iter()
        .zip(10..)
        .map(|(name, revision)| entry(name.as_bytes(), b"v", revision));
    publisher.publish_full(origin(400), entries).unwrap();
    let mut expected = String::from("generation 1 on 1, revision 400, 300 keys\n");
    for (name, revision) in names.iter().zip(10..) {
        expected += &format!("{name} = v @{revision}\n");
    }
    assert_eq!(run(&program, publisher.dir(), &["list"]), expected);
    let keys: Vec<&str> = std::iter::once("get")
        .chain(names.iter().map(String::as_str))
        .collect();
    assert_eq!(run(&program, publisher.dir(), &keys), expected);

    publisher
        .publish_changes(
            403,
            [
                put("aaa", "first", 401),
                delete(&names[0], 402),
                put(&names[1], "changed", 403),
            ],
        )
        .unwrap();
    let listed = run(&program, publisher.dir(), &["list"]);
    let lines: Vec<&str> = listed.lines().take(4).collect();
    let second = format!("{} = changed @403", names[1]);
    let third = format!("{} = v @12", names[2]);
    assert_eq!(
        lines,
        [
            "generation 2 on 1, revision 403, 300 keys",
            "aaa = first @401",
            &second,
            &third
        ]
    );
    assert_eq!(listed.lines().count(), 301);
    let got = run(
        &program,
        publisher.dir(),
        &["get", &names[0], "aaa", "zzz", &names[1]],
    );
    assert_eq!(
        got.lines().skip(1).collect::<Vec<_>>(),
        ["(absent)", "aaa = first @401", "(absent)", &second]
    );
}
