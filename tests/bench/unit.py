"""What bench/run computes, and what it rejects."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from inside import workloads  # noqa: E402
from lib import control, guest, options, plot, report  # noqa: E402
from lib import rounds, targets  # noqa: E402
from lib.errors import Failed, Rejected  # noqa: E402
from lib.samples import Outcome, Point, Samples  # noqa: E402

GOOD = {"errors": "0", "pages_lost_ever": "0", "server.0.transport": "tcp"}


class NoCgroup:
    """In its place where there is no root and no cgroup2."""

    def __init__(self, name):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def limit(self, limit_bytes):
        pass

    def command(self, *command):
        return list(map(str, command))


def samples_of(values):
    """{(mode, depth, system): [iops of each round]}"""
    samples = Samples()
    for (mode, depth, system), iops in values.items():
        point = Point(f"{mode} {depth}", {"mode": mode, "depth": depth,
                                          "block_bytes": 4096,
                                          "connections": 1}, 1)
        for value in iops:
            samples.add(point, system, Outcome({"iops": value},
                                               {"50": 1e6 / value}))
    return samples


class Rejects(unittest.TestCase):
    def rejected(self, **changes):
        with self.assertRaises(Rejected) as caught:
            control.check_errors("rswap-tcp", {**GOOD, **changes}, "tcp")
        return str(caught.exception)

    def test_good(self):
        control.check_errors("rswap-tcp", GOOD, "tcp")

    def test_errors(self):
        self.assertEqual(self.rejected(errors="3"),
                         "rswap-tcp: 3 requests failed")

    def test_lost(self):
        self.assertIn("1 pages were lost", self.rejected(pages_lost_ever="1"))

    def test_another_transport(self):
        self.assertIn("over rdma", self.rejected(**{
            "server.0.transport": "rdma"}))


class RejectsInGuests(unittest.TestCase):
    """Programs that swap, with somebody in their place who found errors."""

    def run_pagecheck(self, script):
        with tempfile.TemporaryDirectory() as d, \
                mock.patch.object(workloads, "Cgroup", NoCgroup), \
                mock.patch.object(workloads, "PAGECHECK", f"{d}/pagecheck"):
            program = Path(d, "pagecheck")
            program.write_text("#!/bin/sh\n" + script)
            program.chmod(0o755)
            return workloads.pagecheck("rswap-rdma", 1 << 20, 50)

    def test_good(self):
        self.assertEqual(self.run_pagecheck("echo faults=7; "
                                            "echo mismatches=0")["faults"], 7)

    def test_wrong_page(self):
        with self.assertRaisesRegex(Rejected, "rswap-rdma: .*page 3 gen"):
            self.run_pagecheck("echo mismatches=1; "
                               "echo pagecheck: page 3 generation 1 >&2; "
                               "exit 1")

    def test_killed(self):
        with self.assertRaises(Rejected):
            self.run_pagecheck("kill -9 $$")

    def test_rejected_in_the_guest_is_rejected_here(self):
        with tempfile.TemporaryDirectory() as d:
            def reject():
                raise Rejected("wrong page")
            with mock.patch.object(guest, "SHARE", Path(d)), \
                    self.assertRaises(Rejected):
                guest.inside(reject)
            with self.assertRaisesRegex(Rejected, "wrong page"):
                guest.result_of(Path(d), 1)

    def test_a_guest_that_died(self):
        with tempfile.TemporaryDirectory() as d, \
                self.assertRaisesRegex(Failed, "status 125"):
            guest.result_of(Path(d), 125)


class Computes(unittest.TestCase):
    def test_median_and_spread(self):
        entry = samples_of({("randread", 1, "a"): [3, 1, 2]}).dump()[
            "results"][0]
        self.assertEqual((entry["median"], entry["min"], entry["max"]),
                         (2, 1, 3))

    def test_dump_and_load(self):
        dumped = samples_of({("mix", 4, "a"): [3, 1], ("mix", 4, "b"): [2]})
        self.assertEqual(Samples.load(dumped.dump()).dump(), dumped.dump())

    def test_targets(self):
        found = {t.measure: t for t in targets.host(samples_of({
            ("randread", 1, "rswap-tcp"): [150, 100, 1000],
            ("randread", 1, "two-hop"): [100],
            ("randread", 32, "rswap-tcp"): [210],
            ("randread", 32, "two-hop"): [100]}))}
        title = "randread, TCP, 4 KiB, depth {}: rswap-tcp / two-hop nbdkit, IOPS"
        self.assertEqual(found[title.format(1)].value, 1.5)
        self.assertEqual(found[title.format(1)].verdict(), "reached")
        self.assertEqual(found[title.format(32)].verdict(), "not reached")
        title = title.replace("randread", "randwrite")
        self.assertEqual(found[title.format(1)].verdict(), "not measured")

    def test_what_sealing_costs(self):
        samples = samples_of({
            ("randread", 32, "rswap-tcp"): [300],
            ("randread", 32, "rswap-sealed-tcp"): [240],
            ("randread", 32, "two-hop"): [100]})
        cost, _, rest = targets.sealed(samples)[:3]
        self.assertEqual((cost.value, cost.verdict()), (0.8, "not reached"))
        self.assertEqual((rest.value, rest.verdict()), (2.4, "reached"))

    def test_at_most(self):
        self.assertEqual(targets.Target("m", 2, 1.3, 1.2, True).verdict(),
                         "aim reached")
        self.assertEqual(targets.Target("m", 2, 1.3, 2.1, True).verdict(),
                         "not reached")

    def test_another_first_each_round(self):
        self.assertEqual([rounds.rotated(["a", "b", "c"], n)
                          for n in range(3)],
                         [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]])

    def test_a_line_for_each_system(self):
        results = {"systems": {"a": "", "b": ""}, **samples_of({
            ("mix", 32, "b"): [5], ("mix", 4, "a"): [3],
            ("mix", 32, "a"): [4]}).dump()}
        (found,) = plot.depth_plots(results)
        self.assertEqual(found.lines, [("a", [(4, 3), (32, 4)]),
                                       ("b", [(32, 5)])])

    def test_figures(self):
        self.assertEqual([report.figure(v) for v in (None, 1234.5, 0.1234)],
                         ["-", "1,234", "0.123"])


class Options(unittest.TestCase):
    def wrong(self, *arguments):
        with self.assertRaises(options.Wrong) as caught:
            options.parse(arguments)
        return str(caught.exception)

    def test_wrong_ones(self):
        for text, arguments in {
                "--rounds=0": ["host", "--rounds=0"],
                "--seconds=x": ["host", "--seconds=x"],
                "--bogus": ["host", "--bogus"],
                "--out=": ["host", "--out="],
                "disk": ["disk"],
                "no suite": [],
                "--two-guests": ["host", "--two-guests"],
                "--only=(": ["host", "--only=("]}.items():
            said = self.wrong(*arguments)
            self.assertIn(text, said)
            self.assertNotIn("\n", said)

    def test_smoke_is_one_round(self):
        self.assertEqual(options.parse(["raw", "--smoke"]).rounds, 1)


unittest.main()
