"""Measures all points on all systems, in turn, several times, and tells how
far it is."""

import sys
import time

from lib import machine
from lib.errors import Failed
from lib.head import head
from lib.samples import Run, Samples


def duration(seconds):
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    return f"{seconds // 60}m{seconds % 60:02d}s"


def say(text):
    print(text, file=sys.stderr, flush=True)


def systems_of(point, systems):
    return [s for s in systems if not point.systems or s in point.systems]


def expected_s(points, systems, rounds):
    return rounds * sum(p.seconds * len(systems_of(p, systems))
                        for p in points)


def announce(suite, points, systems, options, setup_s):
    if not points:
        raise Failed(f"--only={options.only}: matches none of the points")
    seconds = expected_s(points, systems, options.rounds) + setup_s
    say(f"{suite}: {len(points)} points, systems {', '.join(systems)}, "
        f"{options.rounds} rounds: about {duration(seconds)}")
    if head(options):
        say(f"{suite}: {head(options)}")


def rotated(systems, round_number):
    """Another one is first in each round, so that none always is."""
    k = round_number % max(len(systems), 1)
    return systems[k:] + systems[:k]


def headline(outcome):
    metric, value = next(iter(outcome.metrics.items()))
    return f"{metric} " + (f"{value:,.0f}" if value >= 1000
                           else f"{value:.4g}")


def measure(points, systems, rounds):
    samples = Samples()
    start = time.monotonic()
    total = rounds * sum(len(systems_of(p, systems)) for p in points)
    expected = expected_s(points, systems, rounds)
    done = done_s = 0
    for number in range(rounds):
        for point in points:
            for system in rotated(systems_of(point, systems), number):
                outcome = point.run(system)
                samples.add(point, system, outcome)
                done += 1
                done_s += point.seconds
                elapsed = time.monotonic() - start
                # the guess corrects itself by what has been seen
                end = max(elapsed * expected / done_s, elapsed)
                say(f"[{done}/{total}, {duration(elapsed)} of "
                    f"{duration(end)}] round {number + 1}, {point.name}: "
                    f"{system}: {headline(outcome)}")
    return samples


def choose(options, systems):
    """Those that --systems names, in the suite's own order."""
    for name in options.systems:
        if name not in systems:
            raise Failed(f"--systems={','.join(options.systems)}: {name} is "
                         f"none of {', '.join(systems)}")
    return [s for s in systems if not options.systems or s in options.systems]


def measure_alone(suite, titles, points, options, checked):
    """A suite of one system, whose points bring up what they need and reject
    what is wrong: CHECKED tells what they looked at."""
    systems, where = choose(options, titles), machine.describe()
    announce(suite, points, systems, options, 0)
    samples = measure(points, systems, options.rounds)
    return Run(samples, {name: checked for name in systems}, where)
