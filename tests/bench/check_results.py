"""Are the results of bench/run whole?  check_results.py DIR SUITE"""

import json
import sys
from pathlib import Path


def fail(text):
    print(f"check_results: {text}", file=sys.stderr)
    sys.exit(1)


def check_entry(entry):
    samples = entry["samples"]
    if not samples or any(not isinstance(s, (int, float)) for s in samples):
        fail(f"no samples: {entry}")
    if not min(samples) <= entry["median"] <= max(samples):
        fail(f"not a median: {entry}")
    if (entry["min"], entry["max"]) != (min(samples), max(samples)):
        fail(f"not the spread: {entry}")


def check_results(results, suite):
    if results["suite"] != suite:
        fail(f"of {results['suite']}, not of {suite}")
    for entry in results["results"]:
        check_entry(entry)
    seen = {entry["system"] for entry in results["results"]}
    missing = set(results["systems"]) - seen
    if missing:
        fail(f"no results of {', '.join(sorted(missing))}")
    if not any(t["measured"] is not None for t in results["targets"]):
        fail("no target was measured")
    if not results["verified"]:
        fail("nothing was verified")


def check_plots(out):
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        plots = list(out.glob(f"*.{suffix}"))
        if not plots:
            fail(f"no plot in {suffix}")
        for plot in plots:
            if not plot.read_bytes().startswith(start):
                fail(f"{plot.name} is none")


def check_markdown(out, results):
    text = (out / "results.md").read_text(encoding="utf-8")
    rows = text.strip().splitlines()[-len(results["targets"]):]
    for row, target in zip(rows, results["targets"]):
        if target["measure"] not in row or target["verdict"] not in row:
            fail("results.md does not end with the targets")


def main():
    out = Path(sys.argv[1])
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    check_results(results, sys.argv[2])
    check_plots(out)
    check_markdown(out, results)


main()
