"""Runs the Autobahn WebSocket suite against an echo of our own socket, and fails unless every case passes or is
explained below. For Python 2.7, like the suite; called by `make autobahn`.

    PYTHONPATH=<where autobahntestsuite is> python2.7 autobahn.py <natter-echo> <folder for the report>
"""

from __future__ import print_function

import json
import os
import shutil
import subprocess
import sys
import tempfile

# What the RFC has servers do: framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, and automatic
# fragmentation. Left out: 9 (megabytes, which our limit of 64 KiB refuses), 12 and 13 (compression, which we do not
# offer), and 11, which the suite does not have.
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
COUNT = 247

# INFORMATIONAL is the suite's word for where the RFC leaves the choice to us.
PASSED = ("OK", "INFORMATIONAL")

# Case: why it is as it should be all the same.
EXPLAINED = {
    "6.4.3": "invalid UTF-8 in the second part of a frame is refused when the frame is whole, not at its first byte",
    "6.4.4": "the same, with the parts sent a second apart",
}


def serve(binary, data):
    """Starts the echo on a free port. Returns the process and its address."""
    args = [binary, "--listen", "127.0.0.1:0", "--data", data, "--limits", "off"]
    process = subprocess.Popen(args, stdout=subprocess.PIPE)
    line = process.stdout.readline().strip()
    return process, line.rpartition("http://")[2]


def run(address, folder):
    """Runs all cases. Returns the outcome of each: how the frames went, and how the close did."""
    report = os.path.join(folder, "report")
    shutil.rmtree(report, ignore_errors=True)
    servers = [{"agent": "natter", "url": "ws://%s/echo" % address}]
    spec = {"outdir": report, "servers": servers, "cases": CASES, "exclude-cases": [], "exclude-agent-cases": {}}
    path = os.path.join(folder, "spec.json")
    with open(path, "w") as out:
        json.dump(spec, out)
    wstest = "import sys; sys.argv[0] = 'wstest'; from autobahntestsuite import wstest; wstest.run()"
    with open(os.path.join(folder, "log"), "w") as log:
        subprocess.check_call([sys.executable, "-c", wstest, "-m", "fuzzingclient", "-s", path], stdout=log, stderr=log)
    with open(os.path.join(report, "index.json")) as index:
        return json.load(index)["natter"], report


def judge(outcomes, report):
    """Prints what came of it. Returns whether all is well."""
    numbers = lambda case: [int(part) for part in case.split(".")]
    bad, explained = [], []
    for case in sorted(outcomes, key=numbers):
        outcome = outcomes[case]
        said = (outcome["behavior"], outcome["behaviorClose"])
        if not all(part in PASSED for part in said):
            (explained if case in EXPLAINED else bad).append((case, said))
    for case, said in explained:
        print("%s: %s, close %s: %s" % (case, said[0], said[1], EXPLAINED[case]))
    for case, said in bad:
        print("%s: %s, close %s: see %s" % (case, said[0], said[1], report), file=sys.stderr)
    passed = len(outcomes) - len(bad) - len(explained)
    print("autobahn: %d of %d pass, %d explained, %d failed" % (passed, len(outcomes), len(explained), len(bad)))
    if len(outcomes) != COUNT:
        print("autobahn: there should have been %d cases" % COUNT, file=sys.stderr)
    return not bad and len(outcomes) == COUNT


def main(binary, folder):
    data = tempfile.mkdtemp(prefix="natter-autobahn-")
    process, address = serve(binary, data)
    try:
        return judge(*run(address, folder))
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
