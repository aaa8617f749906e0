"""What bench/run computes, and what it rejects."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from inside import devices, settings, workloads  # noqa: E402
from lib import control, cost, guest, head, local, options  # noqa: E402
from lib import instructions, plot, report  # noqa: E402
from lib import rounds, targets  # noqa: E402
from lib.errors import Failed, Rejected  # noqa: E402
from lib.samples import Outcome, Point, Samples  # noqa: E402

GOOD = {"errors": 0, "pages_lost_ever": 0, "servers": [{"transport": "tcp"}]}


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
        self.assertEqual(self.rejected(errors=3),
                         "rswap-tcp: 3 requests failed")

    def test_lost(self):
        self.assertIn("1 pages were lost", self.rejected(pages_lost_ever=1))

    def test_another_transport(self):
        self.assertIn("over rdma", self.rejected(
            servers=[{"transport": "rdma"}]))


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

    def test_the_best_front_end_counts(self):
        found = targets.vm(samples_of({
            ("randread", 1, "rswap-rdma"): [80],
            ("randread", 1, "rswap-sealed-nbd-rdma"): [110],
            ("randread", 1, "rswap-nbd-tcp"): [500],
            ("randread", 1, "nvme-rdma"): [100]}))
        self.assertEqual((found[0].value, found[0].verdict()),
                         (1.1, "reached"))
        self.assertIsNone(found[1].value)

    def test_cpu_of_every_process_and_of_the_kernel(self):
        meter = cost.Meter({"front": [mock.Mock(cpu_s=lambda: 2)]})
        meter.before = {"front": 1, "program": 1, "kernel": 1, "machine": 1}
        with mock.patch.object(cost, "processors_s", lambda: (9, 5)), \
                mock.patch.object(cost, "children_s", lambda: 3):
            found = meter.per_million(500000)
        self.assertEqual(found, {
            "front_cpu_s_per_million": 2, "program_cpu_s_per_million": 4,
            "kernel_cpu_s_per_million": 8, "machine_cpu_s_per_million": 16})

    def test_a_better_setting_is_noticed(self):
        samples = Samples()
        for system, value in (("attach", 100), ("page-cluster-4", 140)):
            samples.add(Point("pages", {"workload": "pages"}, 1), system,
                        Outcome({"read_pages_per_s": value}))
        found = {t.measure: t.verdict() for t in targets.tuning(samples)}
        self.assertEqual(found, {
            "fill: attach / page-cluster-4": "not measured",
            "read in order: attach / page-cluster-4": "not reached",
            "random touches: attach / page-cluster-4": "not measured"})

    def test_a_setting_goes_back(self):
        with tempfile.TemporaryDirectory() as d:
            path = Path(d, "scheduler")
            path.write_text("[none] mq-deadline\n")
            with settings.changed(path, "mq-deadline"):
                self.assertEqual(settings.read(path), "mq-deadline")
            self.assertEqual(settings.read(path), "none")

    def test_attach_makes_each_front_end(self):
        self.assertEqual(
            [devices.front_of(system)[0] for system in
             ("rswap-sealed-ublk-rdma", "rswap-nbd-tcp", "rswap-rdma")],
            ["--front=ublk", "--front=nbd", "--front=nbdkit"])

    def test_what_was_there_before_attach(self):
        with tempfile.TemporaryDirectory() as d:
            record = Path(d, ".settings")
            record.write_text("/proc/sys/vm/min_free_kbytes 2048 13107\n")
            with mock.patch.object(settings, "RECORD", record):
                self.assertEqual(settings.before_attach("min_free_kbytes"),
                                 "2048")

    def test_instructions_of_a_request(self):
        """A client that comes and goes costs 7,000, a request 30."""
        counted = iter([0, 7000 + 30 * instructions.FEW,
                        0, 7000 + 30 * instructions.MANY])
        counter = mock.Mock(take=lambda: next(counted))
        with mock.patch.object(instructions.fio, "run"):
            self.assertEqual(instructions.per_request(
                counter, [], "randread", 1), 30)

    def test_what_callgrind_writes(self):
        text = "events: Ir\nfn=(1) main\n5 17\nsummary: 99\ntotals: 42\n"
        self.assertEqual(instructions.total_of(text), 42)
        with self.assertRaises(Failed):
            instructions.total_of("events: Ir\n")

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
                "--kernel=trixie": ["host", "--kernel=trixie"],
                "--kernel=6.12": ["vm", "--kernel=6.12"],
                "--cpu=i386": ["vm", "--cpu=i386"],
                "--cpu=full": ["host", "--cpu=full"],
                "--threads=0": ["host", "--threads=0"],
                "--threads=32": ["vm", "--threads=32"],
                "--keys=lanes": ["host", "--keys=lanes"],
                "--only=(": ["host", "--only=("]}.items():
            said = self.wrong(*arguments)
            self.assertIn(text, said)
            self.assertNotIn("\n", said)

    def test_defaults_are_told_from_tuned(self):
        defaults = options.parse(["host"])
        self.assertIn("without -t", head.head(defaults))
        self.assertEqual(local.words(defaults.threads), [])
        tuned = options.parse(["host", "--threads=32", "--keys=lanes=44,a=b"])
        self.assertRegex(head.head(tuned), "TUNED.*-t 32.*, lanes=44, a=b")
        self.assertEqual(local.words(tuned.threads), ["-t", 32])

    def test_the_processor_is_told(self):
        self.assertRegex(head.head(options.parse(["vm", "--cpu=plain"])),
                         "defaults.*max.*-aes.*without AES")

    def test_smoke_is_one_round(self):
        self.assertEqual(options.parse(["raw", "--smoke"]).rounds, 1)


unittest.main()
