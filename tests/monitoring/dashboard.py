#!/usr/bin/python3
"""Looks at a Grafana dashboard: dashboard.py DASHBOARD.json PROMETHEUS-URL

Its panels have places of their own, and Prometheus has an answer to each of its
queries."""
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

# What Grafana puts in the place of its variables.
VARIABLES = {
    "$__rate_interval": "30s", "$__range": "5m", "$__all": ".*",
    "$job": ".*", "$instance": ".*",
}


def ask(url, query):
    """The results of a query; an error as a text."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?" + urllib.parse
                                    .urlencode({"query": query})) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        return error.read().decode()


def wrong_places(panels):
    taken = {}
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            yield f"{panel['title']}: wider than the dashboard"
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if (x, y) in taken:
                    yield f"{panel['title']} covers {taken[x, y]}"
                    return
                taken[x, y] = panel["title"]
    if len({panel["id"] for panel in panels}) < len(panels):
        yield "two panels have the same id"


def wrong_queries(panels, url):
    for panel in panels:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            if "$" in query:
                yield f"{panel['title']}: what variable is that: {query}"
            result = ask(url, query)
            if isinstance(result, str) or not result:
                yield f"{panel['title']}: {query}: {result or 'no data'}"
                continue
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                if label not in result[0]["metric"]:
                    yield f"{panel['title']}: its series have no {label}"


def wrong_variables(variables, url):
    """Those that are lists of the values of a label."""
    for variable in variables:
        if variable["type"] != "query":
            continue
        match = re.match(r"label_values\((.*), (\w+)\)$",
                         variable["query"]["query"])
        query = match[1].replace("$job", ".*")
        result = ask(url, query)
        if isinstance(result, str) or not all(match[2] in series["metric"]
                                              for series in result or [{}]):
            yield f"variable {variable['name']}: {result or 'no data'}"


def main():
    path, url = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    panels = dashboard["panels"]
    wrong = [*wrong_places(panels), *wrong_queries(panels, url),
             *wrong_variables(dashboard["templating"]["list"], url)]
    if len(panels) < 10:
        wrong.append("where are its panels?")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
