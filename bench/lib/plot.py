"""The plots, by gnuplot, as PNG and as SVG."""

import subprocess

from lib.errors import Failed

TERMINALS = {"png": "pngcairo size 900,560 font 'sans,11'",
             "svg": "svg size 900,560 font 'sans,13' background 'white'"}


class Plot:
    def __init__(self, name, title, x, y, *settings):
        self.name, self.title, self.x, self.y = name, title, x, y
        self.settings = settings
        self.lines = []  # (title, [(x, y)])

    def add(self, title, points):
        if points:
            self.lines.append((title, points))

    def script(self, path, terminal):
        """Each line's data goes into the script itself."""
        text = "".join(
            f"$d{i} << END\n" + "".join(f"{x:g} {y:g}\n" for x, y in points)
            + "END\n" for i, (_, points) in enumerate(self.lines))
        text += f"set terminal {terminal}\nset output '{path}'\n"
        text += f"set title '{self.title}'\nset xlabel '{self.x}'\n"
        text += f"set ylabel '{self.y}'\nset grid\nset key outside below\n"
        text += "".join(f"{s}\n" for s in self.settings)
        text += "plot " + ", ".join(
            f"$d{i} using 1:2 with linespoints lw 2 title '{title}'"
            for i, (title, _) in enumerate(self.lines))
        return text + "\n"

    def write(self, out):
        for suffix, terminal in TERMINALS.items():
            path = out / f"{self.name}.{suffix}"
            done = subprocess.run(
                ["gnuplot"], input=self.script(path, terminal), text=True,
                capture_output=True, check=False)
            if done.returncode or not path.exists():
                raise Failed(f"gnuplot, {self.name}: {done.stderr.strip()}")


def text(name):
    """gnuplot sees subscripts in underscores."""
    return name.replace("_", " ").replace("'", "")


def latency_plots(results):
    """x is 1 / (1 - p), so that each nine takes as much room."""
    points = dict.fromkeys(e["point"] for e in results["latency_us"])
    chosen = [p for p in points if wants_latency(results, p)]
    for number, point in enumerate(chosen):
        tics = ", ".join(f"'{p}' {100 / (100 - float(p)):g}" for p in
                         ("50", "90", "99", "99.9", "99.99"))
        plot = Plot(f"latency-{number + 1}", f"Latency: {text(point)}",
                    "percentile", "µs", "set logscale xy",
                    f"set xtics ({tics})", "set xrange [1:11000]")
        for entry in results["latency_us"]:
            if entry["point"] == point:
                plot.add(entry["system"],
                         [(100 / (100 - float(p)), us)
                          for p, us in entry["percentiles"].items()
                          if float(p) < 100 and us > 0])
        yield plot


def wants_latency(results, point):
    """A plot for each would be many: depth 1 and 32 of 4 KiB reads on one
    connection; all of those that are no fio."""
    fields = next(e for e in results["latency_us"] if e["point"] == point)
    if "depth" not in fields:
        return fields.get("limit_percent", 33) in (33, 50)
    return (fields["mode"] == "randread" and fields["block_bytes"] == 4096
            and fields["depth"] in (1, 32) and fields["connections"] == 1)


def line_plots(results, metrics, x_field, same, make):
    """One plot for each combination of the fields in `same`; a line for each
    system."""
    groups = {}
    for entry in results["results"]:
        if entry["metric"] in metrics and x_field in entry:
            key = (entry["metric"], *(entry.get(f) for f in same))
            groups.setdefault(key, []).append(entry)
    for key, entries in groups.items():
        plot = make(*key)
        for system in results["systems"]:
            plot.add(system, sorted((e[x_field], e["median"]) for e in entries
                                    if e["system"] == system))
        yield plot


def depth_plots(results):
    def make(_, mode, block_bytes, connections):
        block = f"{block_bytes // 1024}k"
        return Plot(f"iops-{mode}-{block}-c{connections}",
                    f"{mode}, {block}, connections: {connections}",
                    "depth of each connection", "IOPS", "set logscale x 2",
                    "set yrange [0:]")
    return line_plots(results, {"iops"}, "depth",
                      ("mode", "block_bytes", "connections"), make)


def instruction_plots(results):
    def make(_, mode):
        return Plot(f"instructions-{mode}", f"{mode}, 4k: instructions",
                    "depth", "instructions a request", "set logscale x 2",
                    "set yrange [0:]")
    return line_plots(results, {"instructions"}, "depth", ("mode",), make)


def limit_plots(results):
    def make(metric, workload):
        return Plot(f"limit-{workload}-{metric}".replace("_", "-"),
                    f"{workload}: {text(metric)} against the memory limit",
                    "memory limit, % of the working set", text(metric),
                    "set yrange [0:]", "set xrange [*:*] reverse")
    return line_plots(results, {"swap_pages_per_s", "requests_per_s",
                                "random_touches_per_s", "queries_per_s"},
                      "limit_percent", ("workload",), make)


def scale_plots(results):
    for x in ("sessions", "servers", "size_bytes"):
        def make(metric, x=x):
            return Plot(f"{x}-{metric}".replace("_", "-"),
                        f"{text(metric)} against {text(x)}", text(x),
                        text(metric), "set logscale x 2", "set yrange [0:]")
        yield from line_plots(results, {
            "start_s", "iops", "plugin_cpu_s_per_million",
            "server_cpu_s_per_million", "locked_bytes"}, x, (), make)


def write_all(out, results):
    for plots in (latency_plots, depth_plots, instruction_plots, limit_plots,
                  scale_plots):
        for plot in plots(results):
            plot.write(out)
