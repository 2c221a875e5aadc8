#!/usr/bin/env python3
"""Runs the test programs of one package as the build of the whole workspace made them.

`cargo test -p` would choose other features of the dependencies, and compile many of them again.
usage: test-package.py PACKAGE [TARGET…] [-- ARGUMENT…]
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


words = sys.argv[1:]
arguments = words[words.index("--") + 1 :] if "--" in words else []
package, *targets = words[: words.index("--")] if "--" in words else words
build = subprocess.run(command, stdout=subprocess.PIPE, text=True)
if build.returncode != 0:
    sys.exit(build.returncode)
programs = {}
for line in build.stdout.splitlines():
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
        programs[message["manifest_path"], message["target"]["name"]] = message["executable"]
chosen = {key: program for key, program in sorted(programs.items()) if name_of(key[0]) == package}
missing = [target for target in targets if target not in {target for _, target in chosen}]
if missing or not chosen:
    sys.exit(f"test-package: {package} has no test programs {missing or ''}".rstrip())
failed = []
for (manifest, target), program in chosen.items():
    if targets and target not in targets:
        continue
    print(f"     Running {target} of {package}", flush=True)
    if subprocess.run([program, *arguments], cwd=os.path.dirname(manifest)).returncode != 0:
        failed.append(target)
if failed:
    sys.exit(f"test-package: failed: {', '.join(failed)}")
