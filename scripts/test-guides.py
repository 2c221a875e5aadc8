#!/usr/bin/python3
"""Runs the commands of the deployment guide, and holds what they print against what the guide says.

In deploy/guide.md every ```sh block is run, one after the other in one shell, and a ```text block says what the block before it
prints: line by line, … for anything. Members get loopback addresses of their own and a fresh folder, and end with the
run. What else stands in deploy/ is held against the programs: settings, units, the compose file.

CFGSTORE_BUILD_DIR names the folder of the programs (default: build). Arguments, if any, name the parts to run: guide, units, compose.
"""

import os
import pathlib
import random
import re
import signal
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
BUILD = pathlib.Path(os.environ.get("CFGSTORE_BUILD_DIR", ROOT / "build")).resolve()
LIMIT_SECONDS = 240


class Failed(Exception):
    """What was found, and where."""


def blocks(text):
    """(line number, language, text) of each fenced block."""
    found, fence = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if fence is None and (match := re.fullmatch(r"```(\w+)", line)):
            fence = (number, match[1], [])
        elif fence is not None and line == "```":
            found.append((fence[0], fence[1], "\n".join(fence[2])))
            fence = None
        elif fence is not None:
            fence[2].append(line)
    if fence is not None:
        raise Failed(f"the block of line {fence[0]} never ends")
    return found


def matches(expected, printed):
    pattern = "\n".join(".*".join(map(re.escape, line.split("…"))) for line in expected.strip().splitlines())
    return re.fullmatch(pattern, printed.strip()) is not None


def run_guide():
    guide = DEPLOY / "guide.md"
    steps = []  # line, commands, what they print or None
    for line, language, text in blocks(guide.read_text()):
        if language == "sh":
            steps.append([line, text, None])
        elif language == "text" and steps and steps[-1][2] is None:
            steps[-1][2] = text
        else:
            raise Failed(f"guide.md:{line}: a {language} block that follows no sh block")
    if not steps:
        raise Failed("guide.md has no commands")

    folder = pathlib.Path(tempfile.mkdtemp(prefix="cfgstore-guide-"))
    script = ["set -eu"]
    for number, (_, commands, _) in enumerate(steps):
        # Not in a subshell: functions and variables live on.
        script += [f"echo {number} >'{folder}/step'", "{", commands, f"}} >'{folder}/{number}.out' 2>&1"]
    # Any /24 of 127/8 is this machine's: another run, or a server on 127.0.0.1, is not in the way.
    net = f"127.{random.randint(10, 250)}.{random.randint(0, 250)}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ETCD", "CFGSTORE_"))}
    environment |= {member: f"{net}.{host}" for host, member in enumerate("ABCDE", 1)}
    environment |= {"DATA": str(folder / "data"), "PATH": f"{BUILD}:{environment['PATH']}"}
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(script)], env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        try:
            status = shell.wait(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            status = f"no end within {LIMIT_SECONDS} s"
        last = int((folder / "step").read_text())
        for number, (line, commands, expected) in enumerate(steps[: last + 1]):
            printed = (folder / f"{number}.out").read_text()
            ended_here = number == last and status != 0
            if ended_here or (expected is not None and not matches(expected, printed)):
                logs = "\n".join(
                    f"{log.name}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                    for log in sorted((folder / "data").glob("*.log"))
                )
                what = f"ended with {status}" if ended_here else "prints something else"
                raise Failed(
                    f"guide.md:{line} {what}\n{commands}\n--- expected\n{expected}\n--- printed\n{printed}\n--- logs\n{logs}"
                )
    finally:
        # Everything of the run is in the shell's session.
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()
        for mirror in folder.glob("data/*/mirror"):
            if mirror.is_symlink():
                shutil.rmtree(os.readlink(mirror), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    return f"guide.md: {len(steps)} blocks"


def known_flags():
    text = subprocess.run([BUILD / "cfgstored", "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s+(?:-\w, )?--([a-z0-9-]+)", text, re.MULTILINE))


def check_command(words, where, flags):
    if words[0] != "/usr/bin/cfgstored":
        raise Failed(f"{where}: {words[0]} is not the program")
    for word in words[1:]:
        if word.startswith("--") and word[2:].split("=")[0] not in flags:
            raise Failed(f"{where}: cfgstored has no {word}")


def check_variables(names, where, flags):
    for name in names:
        if name.startswith("ETCD_") and name[5:].lower().replace("_", "-") not in flags:
            raise Failed(f"{where}: no flag of cfgstored for {name}")


def check_units():
    flags, units = known_flags(), sorted((DEPLOY / "systemd").glob("*.service"))
    for unit in units:
        (command,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
        check_command(command.split(), unit.name, flags)
        # systemd looks for the program where the unit says: here it is in the build folder.
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / unit.name
            copy.write_text(unit.read_text().replace("/usr/bin/cfgstored", str(BUILD / "cfgstored")))
            verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
        if verified.returncode != 0 or unit.name in verified.stderr:
            raise Failed(f"{unit.name}: {verified.stderr}")
    for file in sorted((DEPLOY / "systemd").glob("*.env")):
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        check_variables([line.split("=", 1)[0] for line in lines], file.name, flags)
    return f"{len(units)} units"


def check_compose():
    import yaml  # Debian's python3-yaml

    flags, compose = known_flags(), yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    if sorted(compose["services"]) != ["a", "b", "c"]:
        raise Failed("compose.yaml does not have three members")
    for name, service in compose["services"].items():
        where = f"compose.yaml, {name}"
        check_command(service["command"], where, flags)
        check_variables(service["environment"], where, flags)
        if service["healthcheck"]["test"][1] != "curl" or "http://127.0.0.1:2379/readyz" not in service["healthcheck"]["test"]:
            raise Failed(f"{where}: its health is not what /readyz says")
        for volume in service["volumes"]:
            if volume.split(":")[0] not in compose["volumes"]:
                raise Failed(f"{where}: no volume {volume}")
    return f"{len(compose['services'])} services"


def main():
    parts = {"units": check_units, "compose": check_compose, "guide": run_guide}
    passed = failed = 0
    for name in sys.argv[1:] or parts:
        try:
            print(f"PASS {name}: {parts[name]()}")
            passed += 1
        except Failed as failure:
            print(f"FAIL {name}: {failure}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
