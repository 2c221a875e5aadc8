#!/usr/bin/env python3
"""Runs the test programs of one package as the build of the whole workspace made them.

`cargo test -p` would choose other features of the dependencies, and compile many of them again.
usage: test-package.py [--except] PACKAGE [[--without] TARGET…] [-- ARGUMENT…]
  --except                 of all packages but this one
  --without                all targets but these
  CFGSTORE_TEST_PROGRAMS   what the build said, as `cargo test --message-format=json` prints it; without it, it is asked, which
                           waits for every other cargo in the same target folder
"""
import json
import os
import subprocess
import sys
import tomllib

command = ["cargo", "test", "--locked", "--workspace", "--no-run", "--message-format=json"]


def name_of(manifest):
    with open(manifest, "rb") as file:
        return tomllib.load(file)["package"]["name"]


def messages():
    if listing := os.environ.get("CFGSTORE_TEST_PROGRAMS"):
        with open(listing) as file:
            return file.read()
    build = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if build.returncode != 0:
        sys.exit(build.returncode)
    return build.stdout


words = sys.argv[1:]
all_but = words[:1] == ["--except"]
words = words[1:] if all_but else words
arguments = words[words.index("--") + 1 :] if "--" in words else []
package, *targets = words[: words.index("--")] if "--" in words else words
without = targets[:1] == ["--without"]
targets = targets[1:] if without else targets
chosen = {}
for line in messages().splitlines():
    message = json.loads(line)
    is_program = message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]
    # Benchmarks are only compiled, and linted, with the tests.
    if is_program and message["target"]["kind"] != ["bench"]:
        if (name_of(message["manifest_path"]) == package) != all_but:
            chosen[message["manifest_path"], message["target"]["name"]] = message["executable"]
missing = [target for target in targets if target not in {target for _, target in chosen}]
if missing or not chosen:
    sys.exit(f"test-package: {package} has no test programs {missing or ''}".rstrip())
failed = []
for (manifest, target), program in sorted(chosen.items()):
    if targets and (target in targets) == without:
        continue
    print(f"     Running {target} of {name_of(manifest)}", flush=True)
    if subprocess.run([program, *arguments], cwd=os.path.dirname(manifest)).returncode != 0:
        failed.append(target)
if failed:
    sys.exit(f"test-package: failed: {', '.join(failed)}")
