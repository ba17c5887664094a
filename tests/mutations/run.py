#!/usr/bin/env python3
"""Seeds one mistake after another into a copy of the sources and says what noticed it: `ichor audit`, or a test.

    tests/mutations/run.py                        all of table.py: a quarter of an hour on two idle cores
    tests/mutations/run.py --only race LSTM       those whose name holds one of the words
    tests/mutations/run.py --write                … and their rows of docs/mutations.md, if all are noticed
    tests/mutations/run.py --check                is the table still about these sources? (ctest does this)

The copy and its build go to --work (default: a temporary folder); with ccache a second run is much quicker.
Status 1 if a mutation goes unnoticed, does not build, or no longer applies.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from table import MUTATIONS

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs/mutations.md"
LEAST = 30
LONGEST = 900  # seconds: a mutation that hangs is noticed, too


def source_of(test):
    """tests/layers/test_exec.c of layers.exec"""
    room, what = test.split(".")
    return next((PROJECT / "tests" / room).glob(f"test_{what}.*"), None)


def faults():
    """What is wrong with the table itself."""
    names = [m[0] for m in MUTATIONS]
    if len(names) < LEAST or len(set(names)) < len(names):
        yield f"{len(names)} mutations, {len(set(names))} names: at least {LEAST} are wanted, each of its own"
    for name, file, old, new, ops, tests in MUTATIONS:
        count = (PROJECT / file).read_text().count(old) if (PROJECT / file).exists() else 0
        if count != 1:
            yield f"'{name}': its text occurs {count} times in {file}, not once: adapt table.py to the sources"
        if old == new or not (ops or tests):
            yield f"'{name}': changes nothing, or asks nobody"
        for test in tests:
            if not source_of(test):
                yield f"'{name}': there is no test {test}"
        if not PAGE.exists() or f"| {name} |" not in PAGE.read_text():
            yield f"'{name}': is not in docs/mutations.md: run.py --write measures it"


class Copy:
    """A copy of the sources that mistakes may be made in, and its build."""

    def __init__(self, work):
        self.source, self.build = work / "source", work / "build"
        files = subprocess.run(["git", "-C", PROJECT, "ls-files", "-z"], capture_output=True, check=True).stdout
        for file in filter(None, files.decode().split("\0")):
            to = self.source / file
            to.parent.mkdir(parents=True, exist_ok=True)
            text = (PROJECT / file).read_bytes()
            if file == "cmake/rooms.cmake":
                text = text.replace(b" -Werror ", b" ")
            if not to.exists() or to.read_bytes() != text:
                to.write_bytes(text)
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        command = ["cmake", "-S", self.source, "-B", self.build, "-DICHOR_TESTS=ON", *launcher]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def make(self, tests):
        """None, or the compiler's complaint."""
        targets = ["ichor"] + [f"test_{t.split('.')[1]}" for t in tests if source_of(t).suffix == ".c"]
        command = ["cmake", "--build", self.build, "-j", "--target", *targets]
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["?"])[0]

    def audit(self, op):
        """None, or what audit says is broken."""
        try:
            done = subprocess.run(
                [self.build / "ichor", "audit", "--op", op], capture_output=True, text=True, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            return "hangs"
        if done.returncode == 0:
            return None
        if done.returncode < 0:
            return f"ends with signal {-done.returncode}"
        return done.stderr.strip().removeprefix("ichor: ").split("the first: ")[-1]

    def test(self, name):
        """None, or which behaviour fails: cmocka and tests/cli/lib.sh both print FAILED and its name."""
        command = ["ctest", "--test-dir", self.build, "-R", f"^{name}$", "--no-tests=error", "--output-on-failure"]
        done = subprocess.run([*command, "--timeout", str(LONGEST)], capture_output=True, text=True, errors="replace")
        if done.returncode == 0:
            return None
        names = re.findall(r"FAILED +(?:\] )?([a-z]\w+)", done.stdout)
        return names[0].replace("_", " ") if names else "ends early"

    def notice(self, ops, tests):
        """Who notices, and what they say; None if nobody does."""
        for op in ops:
            said = self.audit(op)
            if said:
                return f"`audit --op {op}`", said
        for test in tests:
            said = self.test(test)
            if said:
                return f"`{test}`", said
        return None


def try_one(copy, mutation):
    name, file, old, new, ops, tests = mutation
    path = copy.source / file
    text = path.read_text()
    path.write_text(text.replace(old, new))
    try:
        complaint = copy.make(tests)
        if complaint:
            return "", f"does not build: {complaint}"
        return copy.notice(ops, tests) or ("", "NOT NOTICED")
    finally:
        path.write_text(text)


def try_none(copy, chosen):
    """Nobody may complain about the sources as they are."""
    ops = sorted({op for m in chosen for op in m[4]})
    tests = sorted({test for m in chosen for test in m[5]})
    complaint = copy.make(tests) or copy.notice(ops, tests)
    if complaint:
        sys.exit(f"the sources without any mutation: {complaint}")
    print(f"without mutation: {len(ops)} ops and {len(tests)} tests are content", flush=True)


def write(rows):
    """The page, with these rows in place of their older selves; in the table's order."""
    told = dict(re.findall(r"^\| (.+?) (\| `.+\|)$", PAGE.read_text() if PAGE.exists() else "", re.MULTILINE))
    told.update({name: f"| `{file}` | {who} | {said.replace('|', '/')} |" for name, file, who, said in rows})
    lines = [
        "# Mistakes on purpose",
        "",
        "Mutations, one at a time, in layers, kernels, plan and optimizer, and who noticed each: `ichor audit` where it did,",
        "else a test. Written by `tests/mutations/run.py --write`, which fails if one goes unnoticed. The mutations",
        "themselves: `tests/mutations/table.py`.",
        "",
        "| mutation | file | noticed by | what it says |",
        "|---|---|---|---|",
        *(f"| {mutation[0]} {told[mutation[0]]}" for mutation in MUTATIONS if mutation[0] in told),
        "",
    ]
    PAGE.write_text("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only hold the table against the sources")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="mutations whose name holds a WORD")
    parser.add_argument("--work", type=pathlib.Path, help="folder of the copy; kept for the next time")
    parser.add_argument("--write", action="store_true", help="write docs/mutations.md, too")
    options = parser.parse_args()
    if options.check:
        found = list(faults())
        print("\n".join(found) or f"{len(MUTATIONS)} mutations apply")
        sys.exit(1 if found else 0)
    began = time.monotonic()
    chosen = [m for m in MUTATIONS if any(word in m[0] for word in options.only)]
    with tempfile.TemporaryDirectory(prefix="ichor-mutations-") as temporary:
        copy = Copy(options.work or pathlib.Path(temporary))
        try_none(copy, chosen)
        rows = []
        for mutation in chosen:
            who, said = try_one(copy, mutation)
            rows.append((mutation[0], mutation[1], who, said))
            print(f"{mutation[0]}\n    {who or '---'}: {said}", flush=True)
    missed = [row[0] for row in rows if not row[2]]
    print(f"{len(rows) - len(missed)} of {len(rows)} noticed in {(time.monotonic() - began) / 60:.0f} minutes")
    if options.write and not missed:
        write(rows)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
