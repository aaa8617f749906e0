"""bench/run: options, one suite, its results."""

import subprocess
import sys
import time

from lib import options, plot, report, rounds
from lib.errors import Failed, Rejected
from lib.paths import BUILD, SRC, require_built


def install_packages(suite):
    groups = ["build", "run", "test", "bench"]
    if suite in ("vm", "raw", "tuning"):
        groups.append("vm")
    done = subprocess.run(
        ["bash", "-c", '. scripts/packages.sh; install_packages packages.txt '
         '"$@" >&2', "bash", *groups], cwd=SRC, check=False)
    if done.returncode:
        raise Failed("the packages of packages.txt could not be installed")


def build():
    """What is not built is built; what is, is taken as it is."""
    if BUILD.exists():
        return
    rounds.say("building")
    for command in (["cmake", "-S", SRC, "-B", BUILD],
                    ["cmake", "--build", BUILD, "-j"]):
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Failed("the build failed")


def suite_of(name):
    if name == "host":
        from lib import host as suite
    elif name == "vm":
        from lib import vm as suite
    elif name == "raw":
        from lib import raw as suite
    elif name == "copies":
        from lib import copies as suite
    elif name == "faults":
        from lib import faults as suite
    elif name == "tuning":
        from lib import tuning as suite
    elif name == "instructions":
        from lib import instructions as suite
    elif name == "strangers":
        from lib import strangers as suite
    elif name == "pool":
        from lib import pool as suite
    else:
        from lib import scale as suite
    return suite


def run(chosen):
    suite = suite_of(chosen.suite)
    if chosen.inside:
        suite.inside(chosen)
        return
    install_packages(chosen.suite)
    build()
    require_built()
    chosen.out.mkdir(parents=True, exist_ok=True)
    report.clear(chosen.out)
    start = time.monotonic()
    run_of_it = suite.measure(chosen)
    titles = getattr(suite, "titles", lambda _: suite.TITLES)(chosen)
    results = report.compose(chosen, titles, run_of_it,
                             time.monotonic() - start)
    plot.write_all(chosen.out, results)
    report.write(chosen.out, results)
    print(report.markdown(results))
    rounds.say(f"all of it is in {chosen.out}")


def main():
    if "--help" in sys.argv[1:]:
        print(options.USAGE)
        return 0
    try:
        run(options.parse(sys.argv[1:]))
    except Rejected as error:
        rounds.say(f"bench/run: results rejected: {error}")
        return 1
    except (options.Wrong, Failed) as error:
        rounds.say(f"bench/run: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main())
