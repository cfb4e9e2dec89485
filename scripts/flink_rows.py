#!/usr/bin/env python3
"""Fills in the variables of a script, and compares rows of two engines: helper of scripts/flink.

    flink_rows.py fill SCRIPT               the script with ${NAME} and ${NAME:-default} filled in from the environment
    flink_rows.py compare NAME OURS THEIRS  two files of JSON lines; numbers may differ by 1e-9, relatively
"""

import json
import os
import re
import sys


def fill(path):
    def value(match):
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name) or default
        if found is None:
            sys.exit(f"{path}: {name} is not set")
        return found

    with open(path) as script:
        sys.stdout.write(re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, script.read()))


def rows(path):
    """Rows by what tells them apart, numbers left out."""
    found = {}
    with open(path) as lines:
        for line in lines:
            row = json.loads(line)
            key = tuple(sorted((k, v) for k, v in row.items() if not isinstance(v, float)))
            found.setdefault(key, []).append(row)
    return found


def same(a, b):
    if isinstance(a, float) or isinstance(b, float):
        return None not in (a, b) and abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
    return a == b


def compare(name, ours, theirs):
    ours, theirs = rows(ours), rows(theirs)
    count = sum(map(len, ours.values()))
    differences = []
    for key in sorted(ours.keys() | theirs.keys(), key=str):
        a, b = ours.get(key, []), theirs.get(key, [])
        if len(a) != len(b):
            differences.append(f"{len(a)} of ours, {len(b)} of Flink's: {dict(key)}")
        for x, y in zip(a, b):
            if any(not same(x[column], y.get(column)) for column in x):
                differences.append(f"ours {x}, Flink's {y}")
    for difference in differences[:10]:
        print(f"  {difference}")
    print(f"{name}: {count} rows, {len(differences)} differences")
    if count == 0:
        print(f"{name}: nothing to compare")
    return not differences and count > 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["fill"] and len(sys.argv) == 3:
        fill(sys.argv[2])
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 5:
        sys.exit(0 if compare(*sys.argv[2:]) else 1)
    else:
        sys.exit(__doc__)
