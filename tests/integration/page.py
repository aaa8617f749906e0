#!/usr/bin/python3
"""Looks at the pages of a plugin and of a memory server, which work meanwhile,
in a headless Chromium.

  page.py PLUGIN-URL SERVER-URL SERVER-PID TIMEOUT-S [FOLDER]

Kills the process SERVER-PID, another memory server of the plugin, to see what
the plugin's page says then.  Screenshots go into FOLDER."""
import os
import re
import signal
import sys

from browser import Browser


def must(condition, *what):
    if not condition:
        raise SystemExit(" ".join(map(str, what)))


def look_more(page, n=3):
    """Waits until the page has shown so many more looks."""
    looks = "return Number(document.body.dataset.looks || 0)"
    wanted = page.run(looks) + n
    page.wait(f"{wanted} looks", lambda: page.run(looks) >= wanted)


def must_move(page, selector, *what):
    """The text of SELECTOR changes."""
    before = page.text(selector)
    page.wait(f"{selector} moves", lambda: page.text(selector) != before)
    text = page.text(selector)
    for pattern in what:
        must(re.search(pattern, text), selector, "is", text, "not", pattern)


def must_fit(page):
    """Nothing is cut off or has to be scrolled for sideways; nothing is
    small."""
    wide, room, cut, small = page.run("""
        const all = [...document.body.querySelectorAll('*')]
            .filter(e => e.innerText && !e.children.length && e.checkVisibility()
                && !e.closest('script'));
        const right = document.documentElement.clientWidth;
        return [document.documentElement.scrollWidth, right,
            all.filter(e => e.getBoundingClientRect().right > right + 1
                    && !e.closest('thead')).map(e => e.innerText),
            all.filter(e => parseFloat(getComputedStyle(e).fontSize) < 13)
                .map(e => e.innerText)];""")
    must(wide <= room, "the page is", wide, "wide on a screen of", room)
    must(not cut, "cut off:", cut)
    must(not small, "small:", small)


def must_be_alone(page, url):
    """It loads nothing but itself and its figures."""
    loaded = page.run("return performance.getEntriesByType('resource')"
                      ".map(e => e.name)")
    must(set(loaded) <= {url + "metrics"}, "loaded:", set(loaded))
    must(not page.complaints(), "the console:", page.complaints())


def look_at_plugin(page, url, shoot):
    page.screen(1100, 800)
    page.go(url)
    look_more(page)
    must(url.split("/")[2] in page.text("h1"), page.text("h1"))
    for op in "read", "write":
        must_move(page, f"#bytes-{op} b", r"^[1-9][\d.,]* ([KMG]iB|B)/s$")
        must(re.match(r"^[\d.]+ (µs|ms|s)$", page.text(f"#time-{op} b")),
             page.text(f"#time-{op} b"))
    must_move(page, "#chart-bytes .legend")
    for chart in "#chart-bytes", "#chart-time":
        points = page.run("return document.querySelector(arguments[0])"
                          ".getAttribute('d')", chart + " path.one")
        must(points.count("L") >= 2 and "NaN" not in points, points)
    must("of 24.0 MiB swapped out" in page.text("#memory h2"),
         page.text("#memory h2"))
    servers = page.table("#servers")
    must([row[1:3] for row in servers] == [["up", "tcp"]] * 2, servers)
    must(all(re.match(r"^[1-9][\d.]* MiB$", row[3]) for row in servers), servers)
    # as far as this machine lets it: swap safety
    must(page.text("#state") in ("all is well", "needs a look"),
         page.text("#state"))
    must_be_alone(page, url)
    must_fit(page)
    page.wait("a chart with some lines", lambda: page.run(
        "return document.querySelector('#chart-time path').getAttribute('d')"
        ".split('L').length") > (40 if shoot else 3))
    shoot and page.shoot(f"{shoot}/page-plugin.png")
    page.screen(390, 844, phone=True)
    look_more(page, 1)
    must_fit(page)
    shoot and page.shoot(f"{shoot}/page-phone.png")
    page.dark(True)
    must_fit(page)
    shoot and page.shoot(f"{shoot}/page-dark.png")
    page.dark(False)
    page.screen(1100, 800)


def look_at_server(page, url, shoot):
    page.go(url)
    look_more(page)
    must(page.text("#state") == "all is well", page.text("#state"))
    must_move(page, "#bytes-write b", r"^[1-9].*/s$")
    must(re.match(r"^.* of 64.0 MiB granted$", page.text("#memory h2")),
         page.text("#memory h2"))
    (session,) = page.table("#sessions")
    must(re.match(r"^.*rswap.*@", session[0]) and session[1] == "connected",
         session)
    # a name is text, and never a part of the page
    must(session[2] == "<b>alpha</b>", session)
    must([row[0] for row in page.table("#tenants")] == ["<b>alpha</b>"],
         page.table("#tenants"))
    must(page.table("#tenants")[0][2] == "48.0 MiB", page.table("#tenants"))
    must(page.run("return document.querySelectorAll('td b').length") == 0,
         "a client's name is markup")
    must_be_alone(page, url)
    must_fit(page)
    shoot and page.shoot(f"{shoot}/page-memserver.png")
    page.screen(390, 844, phone=True)
    must_fit(page)
    page.screen(1100, 800)


def look_at_trouble(page, url, pid):
    page.go(url)
    look_more(page)
    os.kill(pid, signal.SIGKILL)
    page.wait("a server is not up", lambda: "is recovering."
              in page.text("#wrong") or "is down." in page.text("#wrong"))
    must(page.text("#state") == "needs a look", page.text("#state"))
    must([row[1] for row in page.table("#servers")].count("up") == 1,
         page.table("#servers"))


def main():
    plugin, server, pid, timeout_s = sys.argv[1:5]
    shoot = sys.argv[5] if len(sys.argv) > 5 else None
    with Browser(float(timeout_s)) as page:
        look_at_plugin(page, plugin, shoot)
        look_at_server(page, server, shoot)
        look_at_trouble(page, plugin, int(pid))
        print("ready", flush=True)
        sys.stdin.readline()
        page.wait("no answer", lambda: "no answer for"
                  in page.text("#state"))
    print("seen")


main()
