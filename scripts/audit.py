#!/usr/bin/env python3
"""Audits the dependencies in Cargo.lock: where they come from, under which licence, and which known weak ones are there.

Runs without a network, so it cannot know of an advisory published since this file was last edited: `cargo audit`
does, where its database can be reached. What this holds is policy, and it fails when the policy is broken:
every crate comes from crates.io with a checksum, under a licence on the list, and no crate stands on BANNED.
"""

import json
import re
import subprocess
import sys

LICENCES = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unlicense",
    "0BSD", "CC0-1.0", "Unicode-3.0", "MPL-2.0", "BSL-1.0", "MIT-0", "CDLA-Permissive-2.0",
}

# name -> (version prefixes refused, reason); an empty prefix refuses every version
BANNED = {
    "openssl-sys": ([""], "rustls is our TLS"),
    "im": ([""], "unmaintained: imbl is its successor"),
    "imbl": (["1.", "2.", "3.", "4.", "5.", "6.", "7.0.0", "7.0.1"], "RUSTSEC-2026-0292, and map errors fixed in 7.0.2"),
    "openraft": (["0.9."], "waits for each fsync inside its core task: no group commit"),
    "serde_yaml": ([""], "unmaintained"),
}

# Known and accepted, each with its reason; an entry that is no longer in the lock file must go.
ACCEPTED = {
    "fxhash": "unmaintained (RUSTSEC-2025-0057); only sled uses it, for a cache that is rebuilt when damaged",
    "instant": "unmaintained (RUSTSEC-2024-0384); only sled's parking_lot uses it",
}


def licence_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be satisfied from LICENCES: any branch of an OR, every part of an AND."""
    expression = expression.replace("/", " OR ")
    tokens = re.findall(r"\(|\)|\bOR\b|\bAND\b|[^\s()]+(?: WITH [^\s()]+)?", expression)

    def parse_or(position):
        value, position = parse_and(position)
        while position < len(tokens) and tokens[position] == "OR":
            right, position = parse_and(position + 1)
            value = value or right
        return value, position

    def parse_and(position):
        value, position = parse_atom(position)
        while position < len(tokens) and tokens[position] == "AND":
            right, position = parse_atom(position + 1)
            value = value and right
        return value, position

    def parse_atom(position):
        if tokens[position] == "(":
            value, position = parse_or(position + 1)
            return value, position + 1
        return tokens[position].removesuffix("+") in LICENCES, position + 1

    return parse_or(0)[0]


def main() -> int:
    metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--locked"]))
    members = set(metadata["workspace_members"])
    with open("Cargo.lock", encoding="utf-8") as lock:
        checksummed = set(re.findall(r'name = "([^"]+)"\nversion = "[^"]+"\nsource = "registry[^"]*"\nchecksum', lock.read()))
    faults, present = [], set()
    for package in metadata["packages"]:
        if package["id"] in members:
            continue
        name, version = package["name"], package["version"]
        present.add(name)
        if not (package["source"] or "").startswith("registry+") or name not in checksummed:
            faults.append(f"{name} {version}: not a checksummed crate of the registry: {package['source']}")
        if not licence_allowed(package["license"] or "none stated"):
            faults.append(f"{name} {version}: licence {package['license']!r} is not on the list")
        prefixes, reason = BANNED.get(name, ([], ""))
        if any(version == prefix or version.startswith(prefix) and (not prefix or prefix.endswith(".")) for prefix in prefixes):
            faults.append(f"{name} {version}: refused: {reason}")
    for name in sorted(set(ACCEPTED) - present):
        faults.append(f"{name}: accepted here but no longer used: remove it from the list")
    for fault in faults:
        print(f"audit: {fault}", file=sys.stderr)
    print(f"audit: {len(present)} crates, {len(faults)} faults, {len(ACCEPTED)} accepted with a reason")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
