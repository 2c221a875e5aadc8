#!/usr/bin/env python3
"""Filters the transcript of scenario.sh: sorts the keys of each JSON document, and replaces what differs between two runs."""

import json
import re
import sys

# Fields that stand for a run, a version or a machine, not for what was asked.
REPLACED = {
    "cluster_id", "member_id", "raft_term", "raftTerm", "raftIndex", "raftAppliedIndex", "dbSize", "dbSizeInUse", "leader",
    "version", "storageVersion", "dbSizeQuota", "downgradeInfo", "name", "peerURLs", "clientURLs",
}
ADDED_LATER = {"storageVersion", "dbSizeQuota", "downgradeInfo"}


def clean(value, inside=""):
    if isinstance(value, list):
        return [clean(each, inside) for each in value]
    if not isinstance(value, dict):
        return value
    if "grantedTTL" in value:
        value = {**value, "TTL": "<any>"}
    if "raftIndex" in value:
        value = {name: "<any>" if name in REPLACED else each for name, each in value.items() if name not in ADDED_LATER}
    if inside == "members":
        value = {name: "<any>" if name in REPLACED | {"ID"} else each for name, each in value.items()}
    if inside == "header":
        return {name: "<any>" if name in REPLACED else each for name, each in value.items()}
    return {name: clean(each, name) for name, each in value.items()}


def line(text):
    if not text or text.startswith(("$ ", "== ")):
        return text
    # Version 1 of the gateway says 412 of a failed precondition, version 2 says 400.
    if re.match(r"\d{3} ", text):
        return text.replace("412 ", "400 ", 1)
    try:
        body = json.loads(text)
    except ValueError:
        return text
    if isinstance(body, dict) and "code" in body:
        body = {"code": body["code"], "message": body["message"]}
        # The words in which two JSON libraries refuse a document are their own.
        if body["code"] == 3 and not body["message"].startswith("etcdserver:"):
            body["message"] = "<not JSON>"
    return json.dumps(clean(body), sort_keys=True)


for text in sys.stdin:
    if text.strip():
        print(line(text.rstrip("\n")), flush=True)
