#!/usr/bin/env python3
"""Prints a cargo configuration in which the release profile has assertions and overflow checks on in our own packages only.

What they depend on stays as the release has it, so that cargo compiles it once for both. A `[profile.release]` with an exception
for `package."*"` would say the same in fewer words, but that exception also holds for build scripts, and all would be compiled again.
usage: checked-profile.py >FILE; cargo build --release --config FILE
"""
import json
import subprocess

metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]))
for package in metadata["packages"]:
    print(f"[profile.release.package.{package['name']}]")
    # Quick to compile; what the tests spend their time in is compiled as released.
    print("opt-level = 0\ncodegen-units = 16")
    print("debug-assertions = true\noverflow-checks = true\n")
# The tests of generated headers parse Rust, some files, and take far longer to compile than to run.
for package in ["cbindgen", "syn", "toml"]:
    print(f"[profile.release.package.{package}]\nopt-level = 0\n")
