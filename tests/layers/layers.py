#!/usr/bin/python3
"""Holds the source tree to tests/layers/rooms: which room a file is in, and
that rooms and files use each other in one direction only.

Two graphs are looked at.  Includes are between files.  Symbols are between
objects: the linker's view finds what a forward declaration hides.  In both an
edge may lead only to the same room or to one further down, and no circle may
exist, inside a room either, but for those that the table still names.  Some
symbols may be used by one file of a room alone.
"""
import argparse
import fnmatch
import os
import re
import subprocess
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


class Rooms:
    """The table: programs, each a list of rooms from the top down."""

    def __init__(self, path):
        self.programs = {}  # name: [room, ...], top first
        self.patterns = []  # (pattern, program, room)
        self.doors = {}  # (room, room): patterns of what may be used
        self.shared = {"common"}  # programs that others may use
        self.circles = []  # sets of files that still stand in a circle
        self.only = []  # (file, pattern of files, symbols of that file alone)
        program = None
        with open(path, encoding="utf-8") as table:
            for number, line in enumerate(table, 1):
                words = line.split("#")[0].split()
                if not words:
                    continue
                if words[0] == "program" and len(words) == 2:
                    program = words[1]
                    self.programs[program] = []
                elif words[0] == "door" and len(words) >= 4:
                    self.doors[words[1], words[2]] = words[3:]
                elif words[0] == "shared" and len(words) == 2:
                    self.shared.add(words[1])
                elif words[0] == "only" and len(words) >= 4:
                    self.only.append((words[1], words[2], set(words[3:])))
                elif words[0] == "circle" and len(words) >= 3:
                    self.circles.append(set(words[1:]))
                elif words[0] == "room" and len(words) >= 3 and program:
                    self.programs[program].append(words[1])
                    for pattern in words[2:]:
                        self.patterns.append((pattern, program, words[1]))
                else:
                    raise SystemExit(f"{path}:{number}: not understood: "
                                     f"{line.strip()}")

    def of(self, file):
        """(program, room) of a file, or None."""
        for pattern, program, room in self.patterns:
            if fnmatch.fnmatchcase(file, pattern):
                return program, room
        return None

    def shared_places(self):
        """The directories with files that other programs may use."""
        return {"common"} | {pattern.split("/")[0]
                             for pattern, program, _ in self.patterns
                             if program in self.shared}

    def may_use(self, user, used):
        """Why the file USER may not use the file USED, or None."""
        program, room = self.of(user)
        other_program, other = self.of(used)
        order = self.programs[program]
        if room == other and program == other_program:
            return None
        if other_program == "common":
            return None
        if other_program in self.shared and program not in self.shared:
            return None
        if other_program != program:
            return f"{program} does not use {other_program}"
        if order.index(other) < order.index(room):
            return f"{other} is above {room}"
        door = self.doors.get((room, other))
        if door and not any(fnmatch.fnmatchcase(used, p) for p in door):
            return f"{room} uses of {other} only {' '.join(door)}"
        return None


def sources(root, rooms):
    """The C files of the programs, relative to ROOT."""
    tops = sorted({pattern.split("/")[0] for pattern, _, _ in rooms.patterns})
    found = []
    for top in tops:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    found.append(os.path.relpath(path, root))
    return sorted(found)


def include_graph(root, files, shared):
    """{file: {file that it includes}}."""
    known = set(files)
    graph = {}
    for file in files:
        with open(os.path.join(root, file), encoding="utf-8") as source:
            text = source.read()
        places = [os.path.dirname(file), file.split("/")[0], *sorted(shared)]
        graph[file] = set()
        for name in INCLUDE.findall(text):
            for place in places:
                path = os.path.normpath(os.path.join(place, name))
                if path in known:
                    graph[file].add(path)
                    break
            else:
                raise SystemExit(f'{file}: "{name}" is in none of '
                                 f"{', '.join(places)}")
    return graph


def objects(build, files):
    """{file.c: its object}, from the build directory."""
    found = {}
    for folder, _, names in os.walk(build):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), build)
            # plugin/CMakeFiles/TARGET.dir/io/read.c.o
            match = re.match(r"(\w+)/CMakeFiles/[^/]+\.dir/(.+\.c)\.o$", path)
            if match:
                file = os.path.join(match[1], match[2])
                if file in files:
                    found[file] = os.path.join(build, path)
    return found


def symbol_graph(build, files, shared):
    """{file.c: {file.c whose functions or variables it uses}}, and
    {file.c: {symbol that it uses and does not define}}."""
    found = objects(build, set(files))
    missing = [f for f in files if f.endswith(".c") and f not in found]
    if missing:
        raise SystemExit(f"{build}: no object of {', '.join(missing)}: "
                         "build first")
    defined, wanted = {}, {}
    for file, path in found.items():
        program = file.split("/")[0]
        text = subprocess.run(["nm", "-A", "-P", "-g", path], check=True,
                              capture_output=True, text=True).stdout
        wanted[file] = set()
        for line in text.splitlines():
            symbol, kind = line.split()[1:3]
            if kind in "Uw":
                wanted[file].add(symbol)
            else:
                defined[program, symbol] = file
    graph = {}
    for file, symbols in wanted.items():
        program = file.split("/")[0]
        # What is in common must find nothing elsewhere, so look there too.
        places = [program, *sorted(shared - {program})]
        if program == "common":
            places += sorted({place for place, _ in defined} - {"common"})
        uses = {next((defined[place, symbol] for place in places
                      if (place, symbol) in defined), None)
                for symbol in symbols}
        graph[file] = uses - {None, file}
    return graph, wanted


def circles(graph):
    """The strongly connected components of more than one file (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def judge(rooms, kind, graph):
    """One line for each edge that goes up, and for each circle."""
    for user in sorted(graph):
        for used in sorted(graph[user]):
            why = rooms.may_use(user, used)
            if why:
                yield f"{user} {kind} {used}: {why}"
    for circle in circles(graph):
        if not any(set(circle) <= known for known in rooms.circles):
            yield f"a circle, each {kind} the next: {' '.join(circle)}"


def judge_symbols(rooms, wanted):
    """One line for each file that uses what only another file may use, and for
    each rule that holds nothing back."""
    for owner, pattern, symbols in rooms.only:
        for file in sorted(wanted):
            if file != owner and fnmatch.fnmatchcase(file, pattern):
                for symbol in sorted(symbols & wanted[file]):
                    yield f"{file} uses {symbol}: only {owner} may"
        for symbol in sorted(symbols - wanted.get(owner, set())):
            yield f"{owner} does not use {symbol}: take it out of the table"


def stale_circles(rooms, graph):
    """One line for each known circle that is smaller now, or gone."""
    found = circles(graph)
    for known in rooms.circles:
        left = set().union(*(set(c) for c in found if set(c) <= known))
        if left != known:
            yield ("no circle any more, take out of the table: "
                   + " ".join(sorted(known - left)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--rooms", required=True)
    options = parser.parse_args()
    rooms = Rooms(options.rooms)
    files = sources(options.root, rooms)
    faults = [f"{file}: in no room of {options.rooms}"
              for file in files if not rooms.of(file)]
    shared = rooms.shared_places()
    if not faults:
        faults += judge(rooms, "includes", include_graph(options.root, files,
                                                       shared))
        symbols, wanted = symbol_graph(options.build, files, shared)
        faults += judge(rooms, "uses symbols of", symbols)
        faults += judge_symbols(rooms, wanted)
        faults += stale_circles(rooms, symbols)
    for fault in faults:
        print(fault)
    print(f"{len(files)} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    sys.exit(main())
