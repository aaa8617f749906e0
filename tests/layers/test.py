#!/usr/bin/python3
"""See layers.py find each fault that it looks for, in trees made up here."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

ROOMS = """
program app
room top    app/main.c
room middle app/middle/*
room low    app/low/*
door middle low app/low/door.*
program common
room common common/*
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Layers(unittest.TestCase):
    def judge(self, files, table=ROOMS):
        """What layers.py says of FILES: its exit status, and its lines."""
        with tempfile.TemporaryDirectory() as root:
            write(f"{root}/rooms", table)
            for name, text in files.items():
                write(f"{root}/{name}", text)
            for name in files:
                if name.endswith(".c"):
                    program, rest = name.split("/", 1)
                    to = f"{root}/build/{program}/CMakeFiles/x.dir/{rest}.o"
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    subprocess.run(["cc", "-c", f"-I{root}/app",
                                    f"-I{root}/common", "-o", to,
                                    f"{root}/{name}"], check=True)
            done = subprocess.run(
                [sys.executable, f"{HERE}/layers.py", "--root", root,
                 "--build", f"{root}/build", "--rooms", f"{root}/rooms"],
                capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

    def expect(self, words, files, table=ROOMS):
        status, said = self.judge(files, table)
        self.assertEqual(status, 1, said)
        self.assertIn(words, said)

    GOOD = {
        "app/main.c": '#include "middle/m.h"\nint main(void){return m();}\n',
        "app/middle/m.h": "int m(void);\n",
        "app/middle/m.c": '#include "m.h"\nint door(void);\n'
                          "int m(void){return door();}\n",
        "app/low/door.c": "int door(void){return 0;}\n",
        "app/low/other.c": "int other(void){return 0;}\n",
        "common/c.h": "\n",
    }

    def test_what_goes_down_is_right(self):
        status, said = self.judge(self.GOOD)
        self.assertEqual(status, 0, said)

    def test_an_include_that_goes_up(self):
        self.expect("app/low/up.h includes app/middle/m.h: middle is above low",
                    {**self.GOOD, "app/low/up.h": '#include "middle/m.h"\n'})

    def test_a_symbol_that_goes_up(self):
        self.expect("app/low/up.c uses symbols of app/middle/m.c: "
                    "middle is above low",
                    {**self.GOOD, "app/low/up.c":
                     "int m(void);\nint up(void){return m();}\n"})

    def test_a_symbol_that_only_another_file_may_use(self):
        self.expect("app/middle/n.c uses door: only app/middle/m.c may",
                    {**self.GOOD, "app/middle/n.c":
                     "int door(void);\nint n(void){return door();}\n"},
                    ROOMS + "only app/middle/m.c app/middle/* door\n")

    def test_a_symbol_that_its_file_does_not_use(self):
        self.expect("app/middle/m.c does not use other",
                    self.GOOD,
                    ROOMS + "only app/middle/m.c app/middle/* other\n")

    def test_past_a_door(self):
        self.expect("middle uses of low only",
                    {**self.GOOD, "app/middle/n.c":
                     "int other(void);\nint n(void){return other();}\n"})

    def test_a_circle_of_includes(self):
        self.expect("a circle, each includes the next: app/low/a.h app/low/b.h",
                    {**self.GOOD, "app/low/a.h": '#include "b.h"\n',
                     "app/low/b.h": '#include "a.h"\n'})

    A = "int b(void);\nint a(void){return b();}\n"
    B = "int a(void);\nint b(void){return a();}\n"

    def test_a_circle_of_symbols(self):
        self.expect("a circle, each uses symbols of the next: "
                    "app/low/a.c app/low/b.c",
                    {**self.GOOD, "app/low/a.c": self.A,
                     "app/low/b.c": self.B})

    def test_a_known_circle_is_let_be_until_it_is_gone(self):
        table = ROOMS + "circle app/low/a.c app/low/b.c\n"
        files = {**self.GOOD, "app/low/a.c": self.A, "app/low/b.c": self.B}
        status, said = self.judge(files, table)
        self.assertEqual(status, 0, said)
        self.expect("no circle any more", self.GOOD, table)

    def test_common_uses_no_program(self):
        self.expect("common does not use app",
                    {**self.GOOD, "common/c.c":
                     "int m(void);\nint c(void){return m();}\n"})

    SHARED = ROOMS + "program pool\nroom pool pool/*\nshared pool\n"
    POOL = {"pool/p.c": "int p(void){return 0;}\n",
            "app/low/q.c": "int p(void);\nint q(void){return p();}\n"}

    def test_a_shared_program_is_used(self):
        files = {**self.GOOD, **self.POOL}
        status, said = self.judge(files, self.SHARED)
        self.assertEqual(status, 0, said)

    def test_a_shared_program_uses_no_other(self):
        self.expect("pool does not use app",
                    {**self.GOOD, "pool/p.h": "int p(void);\n", "pool/p.c":
                     '#include "../app/middle/m.h"\n'
                     "int p(void){return m();}\n"}, self.SHARED)

    def test_common_uses_no_shared_program(self):
        self.expect("common does not use pool",
                    {**self.GOOD, **self.POOL, "common/c.c":
                     "int p(void);\nint c(void){return p();}\n"},
                    self.SHARED)

    # Files of a program that others may use, in that program's directory.
    INSIDE = ("program rules\nroom rules app/low/rules.*\nshared rules\n" +
              ROOMS + "program tool\nroom tool tool/*\n")
    RULES = {"app/low/rules.c": "int rule(void){return 0;}\n",
             "app/low/rules.h": "int rule(void);\n"}

    def test_a_part_is_shared(self):
        files = {**self.GOOD, **self.RULES, "tool/t.c":
                 '#include "low/rules.h"\nint t(void){return rule();}\n'}
        status, said = self.judge(files, self.INSIDE)
        self.assertEqual(status, 0, said)

    def test_the_rest_is_not_shared(self):
        self.expect("tool/t.c uses symbols of app/low/other.c: "
                    "tool does not use app",
                    {**self.GOOD, **self.RULES, "tool/t.c":
                     "int other(void);\nint t(void){return other();}\n"},
                    self.INSIDE)

    def test_a_file_in_no_room(self):
        self.expect("app/lost.c: in no room",
                    {**self.GOOD, "app/lost.c": "int lost;\n"})


if __name__ == "__main__":
    unittest.main()
