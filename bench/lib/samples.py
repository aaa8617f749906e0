"""What was measured: samples by point, metric and system."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Of one measurement."""
    metrics: dict
    percentiles: dict = field(default_factory=dict)  # of latency, in us


@dataclass
class Point:
    """Something that is measured on each system.  `fields` say what it is to
    plots and targets; `run` takes a system and returns an Outcome."""
    name: str
    fields: dict
    seconds: float
    run: object = None
    systems: tuple = ()  # empty: all


class Samples:
    def __init__(self):
        self.points = {}   # name: fields
        self.values = {}   # (point, metric, system): [value of each round]
        self.latency = {}  # (point, system): {percentile: [us]}

    def add(self, point, system, outcome):
        self.points[point.name] = point.fields
        for metric, value in outcome.metrics.items():
            self.values.setdefault((point.name, metric, system),
                                   []).append(value)
        found = self.latency.setdefault((point.name, system), {})
        for percentile, value in outcome.percentiles.items():
            found.setdefault(percentile, []).append(value)

    def find(self, metric, system, **fields):
        """Medians of the points that have these fields, by point's name."""
        return {point: statistics.median(self.values[point, metric, system])
                for point, has in self.points.items()
                if (point, metric, system) in self.values
                and all(has.get(k) == v for k, v in fields.items())}

    def median(self, metric, system, **fields):
        """Of the one point that has these fields, or None."""
        found = list(self.find(metric, system, **fields).values())
        return found[0] if len(found) == 1 else None

    def dump(self):
        return {
            "results": [
                {"point": point, **self.points[point], "metric": metric,
                 "system": system, "median": statistics.median(values),
                 "min": min(values), "max": max(values), "samples": values}
                for (point, metric, system), values in self.values.items()],
            "latency_us": [
                {"point": point, **self.points[point], "system": system,
                 "percentiles": {p: statistics.median(values)
                                 for p, values in percentiles.items()},
                 "samples": percentiles}
                for (point, system), percentiles in self.latency.items()
                if percentiles]}

    @classmethod
    def load(cls, dumped):
        """What dump() gave, in another process."""
        samples = cls()
        names = {"point", "metric", "system", "median", "min", "max",
                 "samples", "percentiles"}
        for entry in dumped["results"] + dumped["latency_us"]:
            samples.points[entry["point"]] = {
                k: v for k, v in entry.items() if k not in names}
        for entry in dumped["results"]:
            key = entry["point"], entry["metric"], entry["system"]
            samples.values[key] = entry["samples"]
        for entry in dumped["latency_us"]:
            samples.latency[entry["point"], entry["system"]] = entry["samples"]
        return samples


@dataclass
class Run:
    """What a suite gives."""
    samples: Samples
    verified: dict  # by system: what was found to be right
    machine: dict   # where
