"""results.json and results.md."""

import json

from lib import targets
from lib.head import head

# By the end of a metric's name.
UNITS = (("iops", "IOPS"), ("_us", "µs"), ("_mib_per_s", "MiB/s"),
         ("_per_s", "/s"), ("_s", "s"),
         ("_bytes", "bytes"), ("_kib", "KiB"), ("_percent", "%"),
         ("_per_million", "s per million pages"), ("_ratio", ""))


def unit_of(metric):
    for end, unit in UNITS:
        if metric.endswith(end):
            return unit
    return ""


def clear(out):
    """Nobody shall take an earlier run's results for this one's."""
    for pattern in ("results.json", "results.md", "*.png", "*.svg"):
        for path in out.glob(pattern):
            path.unlink()


def compose(options, titles, run, seconds):
    return {
        "suite": options.suite, "rounds": options.rounds,
        "seconds_each": options.seconds, "quick": options.quick,
        "smoke": options.smoke, "head": head(options), "took_s": round(seconds, 1),
        "machine": run.machine, "systems": titles, "verified": run.verified,
        **run.samples.dump(),
        "targets": [t.dump()
                    for t in targets.of_suite(options.suite, run.samples)]}


def figure(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(entry):
    if entry is None:
        return "-"
    text = figure(entry["median"])
    if entry["min"] != entry["max"]:
        text += f" ({figure(entry['min'])}..{figure(entry['max'])})"
    return text


def row(cells):
    return "| " + " | ".join(cells) + " |\n"


def table_of_results(results):
    entries, systems = {}, []
    for entry in results["results"]:
        key = entry["point"], entry["metric"]
        entries.setdefault(key, {})[entry["system"]] = entry
    used = {entry["system"] for entry in results["results"]}
    systems = [s for s in results["systems"] if s in used]
    text = row(["point", "metric", "unit", *systems])
    text += "|---" * (3 + len(systems)) + "|\n"
    for (point, metric), by_system in entries.items():
        text += row([point, metric, unit_of(metric),
                     *(spread(by_system.get(s)) for s in systems)])
    return text


def table_of_targets(results):
    text = row(["target", "measured", "at least", "aim", ""])
    text += "|---" * 5 + "|\n"
    for t in results["targets"]:
        limit = ("at most " if t["at_most"] else "") + figure(t["limit"])
        text += row([t["measure"], *(f"{f} {t['unit']}".strip() for f in
                                     (figure(t["measured"]), limit,
                                      figure(t["aim"]))),
                     t["verdict"]])
    return text


def markdown(results):
    machine = results["machine"]
    verified = "; ".join(
        f"{system}: " + ", ".join(f"{k} {v}" for k, v in what.items())
        for system, what in results["verified"].items())
    systems = "".join(f"- `{name}`: {title}\n"
                      for name, title in results["systems"].items())
    return f"""# bench/run {results['suite']}

{results['rounds']} rounds of {results['seconds_each']} seconds each; the \
systems take turns within a round. Median (lowest..highest).
{results['head'] and f"{chr(10)}Settings: {results['head']}.{chr(10)}"}
{machine['where']}: {machine['cpus']} x {machine['cpu']}, \
Linux {machine['kernel']}, \
{machine['fio']}, {machine['nbdkit']}; load {machine['load_before']:.1f} \
before the start.

Verified: {verified or 'nothing'}.

{systems}
{table_of_results(results)}
{table_of_targets(results)}"""


def write(out, results):
    """results.json last: where it is, all is."""
    (out / "results.md").write_text(markdown(results), encoding="utf-8")
    (out / "results.json").write_text(
        json.dumps(results, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8")
