#!/usr/bin/env python3
"""Lets every allocation, open, read, write, close, sync, rename, ... of Ichor fail once, and looks what becomes of it.

    faults.py ICHOR INTERPOSER                      every place of every verb
    faults.py ICHOR INTERPOSER --quick              a sample, the same each time (ctest: faults.sample)
    faults.py ICHOR INTERPOSER --document FILE      ... and its tables into FILE (docs/faults.md)
    faults.py ICHOR INTERPOSER --only VERB --place HEX --show    one fault again, to look at

A place is a verb, a call and the chain of return addresses that led to it (interpose.c). A first run counts the
places, then each fails once in a run of its own. What a run must do is in `judge`.
"""
import argparse
import collections
import concurrent.futures
import errno
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time

import world
from world import must

PLACE = struct.Struct("<QIII20s32s4Q")  # struct place of interpose.c
PLACES = 1 << 16
QUICK = 5  # places of each verb
TIME_LIMIT = 120  # seconds; what takes longer hangs

# How each call fails, by its kind; 0: it comes back short.
KINDS = {
    "memory": ("malloc calloc realloc aligned_alloc memalign posix_memalign mmap mmap64", [errno.ENOMEM]),
    "open": ("open open64 openat openat64 fopen fopen64 fdopen opendir fdopendir socketpair", [errno.EMFILE]),
    "read": ("read pread pread64", [errno.EIO, 0]),
    "read a stream": ("fread fgets getline readdir readdir64", [errno.EIO]),
    "write": ("write pwrite pwrite64", [errno.ENOSPC, 0]),
    "write a stream": ("fwrite fputs fputc putc puts putchar vfprintf fprintf printf fflush", [errno.ENOSPC]),
    "size": ("ftruncate ftruncate64 posix_fallocate posix_fallocate64", [errno.ENOSPC]),
    "close": ("close fclose closedir munmap", [errno.EIO]),
    "fsync": ("fsync fdatasync", [errno.EIO]),
    "rename": ("rename", [errno.ENOSPC]),
    "names": ("mkdir unlink rmdir remove symlink link fchmod", [errno.EIO]),
    "status": ("stat stat64 lstat fstat fstat64 fstatat", [errno.EIO]),
    "start": ("pthread_create fork", [errno.EAGAIN]),
}
KIND_OF = {call: kind for kind, (calls, _) in KINDS.items() for call in calls.split()}
ON_DISK = {call for call, kind in KIND_OF.items() if kind in ("open", "read", "read a stream", "status")}
REMOVING = {"unlink", "rmdir", "remove"}  # where these fail, a temporary file may stay

# Libraries that end the program by themselves, in their own words: not ours to change, and told in the table.
OUTSIDE = {"libgomp.so.1": "libgomp: ", "libopenblas.so.0": "OpenBLAS : "}
CRASHING = {"libdcmdata.so.17"}  # in its dictionary
ASSERTING = {"lex_scan_string: Assertion": "libjansson.so.4"}  # where a string that it reads cannot grow

# What may be told where it does not matter: a disk that does not give the last checkpoint costs the steps since the
# one before.
NO_MATTER = "; going on from the checkpoint before"


class Scenario:
    """A verb on tiny inputs. `before` is run once, in what every run's folder is then a copy of: the results of an
    earlier run, made otherwise. `between`: files that may be neither old nor new after a failure, since the run
    went on for a while; they must be whole, and a run without faults (`again`) must then lead to the same end.
    `prints`: what it prints is its result. `names`: what it leaves out it names in skipped.csv."""

    def __init__(self, name, words, before=(), between=(), again=None, status=0, prints=False, names=True):
        self.name, self.words, self.before = name, words, before
        self.between, self.again, self.status = tuple(between), again or words, status
        self.prints, self.names = prints, names


IN = "../../in"
TRAINED = ("checkpoint/", "last.safetensors", "model.safetensors", "log.csv", "model_card.md", "cache/")
TINY = "--size 32 --epochs 1 --threads 2"
SCENARIOS = [
    Scenario("synth", "synth out --studies 2 --size 32 --masks --threads 2",
             ["synth out --studies 2 --size 32 --seed 2 --quiet"]),
    Scenario("import dicom", f"import dicom {IN}/dicom out --threads 2", between=["out/.import/"]),
    Scenario("import nifti", f"import nifti {IN}/nifti out --labels {IN}/d/studies.csv --threads 2",
             between=["out/.import/"]),
    Scenario("split", "split d --fractions 0.4,0.3,0.3 --seed 5", [f"COPY {IN}/d d"]),
    Scenario("label-reports", f"label-reports {IN}/reports.csv out.csv", [f"label-reports {IN}/other.csv out.csv"]),
    Scenario("preview", f"preview {IN}/d sheet.png --threads 2", [f"preview {IN}/d sheet.png --size 32 --quiet"],
             names=False),
    Scenario("pretrain", f"pretrain {IN}/d --out r {TINY}", between=["r/" + t for t in TRAINED],
             again="pretrain --resume r --threads 2"),
    Scenario("pretrain onto a run", f"pretrain {IN}/d --out r {TINY}", [f"COPY {IN}/p r"], status=1),
    Scenario("pretrain --resume", "pretrain --resume r --threads 2", [f"COPY {IN}/half r"],
             between=["r/" + t for t in TRAINED]),
    Scenario("finetune", f"finetune {IN}/d --out r --init {IN}/p --epochs 1 --threads 2",
             between=["r/" + t for t in TRAINED], again="finetune --resume r --threads 2"),
    Scenario("predict", f"predict {IN}/f {IN}/d --out a --heatmaps --threads 2",
             [f"predict {IN}/p {IN}/d --out a --quiet"]),
    Scenario("predict a folder of DICOM", f"predict {IN}/f {IN}/dicom --out a --threads 2",
             between=["a/scans/"]),
    Scenario("evaluate", f"evaluate {IN}/answers {IN}/d --out e", [f"evaluate {IN}/others {IN}/d --out e --quiet"]),
    Scenario("calibrate", f"calibrate {IN}/f {IN}/answers {IN}/d --split all --confidence 0 --max-missed 0.5 --out c",
             [f"calibrate {IN}/p {IN}/others {IN}/d --split all --confidence 0 --max-missed 0.5 --out c --quiet"]),
    Scenario("compare", f"compare {IN}/answers {IN}/others {IN}/d/studies.csv", prints=True),
    Scenario("report", f"report a --evaluation {IN}/e", [f"COPY {IN}/answers a", "report a --threshold 0.9 --quiet"]),
    Scenario("inspect", f"inspect {IN}/f --csv", prints=True),
    Scenario("inspect --card", f"inspect {IN}/f --card", prints=True),
    Scenario("audit", f"audit {IN}/f {IN}/d --dump t --backward --threads 2", [f"audit {IN}/p {IN}/d --dump t --quiet"]),
    Scenario("export", f"export {IN}/f out.onnx", [f"export {IN}/p out.onnx --quiet"]),
]


# -- the world --------------------------------------------------------------------------------------------------

def half_a_run(ichor, at):
    """Stopped once there is a checkpoint, and before the end."""
    for epochs in (2, 3, 5, 9):
        world.remove(f"{at}/half")
        run = subprocess.Popen([ichor, "pretrain", "d", "--out", "half", "--size", "32", "--epochs", str(epochs),
                                "--batch", "16", "--quiet", "--checkpoint-minutes", "0.00001"],
                               cwd=at, env=world.environment(), stderr=subprocess.PIPE)
        while run.poll() is None and not os.path.exists(f"{at}/half/checkpoint/state.safetensors"):
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        run.communicate()
        if run.returncode == 128 + signal.SIGTERM:
            return
    raise SystemExit("pretrain could not be stopped half-way")


def build_world(ichor, root):
    at = f"{root}/in"
    os.mkdir(at)
    world.phantoms(ichor, f"{at}/d")
    shutil.copytree(f"{at}/d/volumes", f"{at}/nifti")
    world.dicom_folder(f"{at}/dicom", 2, 3)
    for name, text in (("reports.csv", world.REPORTS), ("other.csv", "study_id,report\nz,Normal.\n")):
        with open(f"{at}/{name}", "w") as f:
            f.write(text)
    half_a_run(ichor, at)
    for line in ("pretrain d --out p --size 32 --epochs 1", "finetune d --out f --init p --epochs 1",
                 "predict f d --out answers --heatmaps", "predict p d --out others", "evaluate answers d --out e"):
        must(ichor, *line.split(), "--quiet", cwd=at)


def build_start(ichor, root, scenario):
    """The folder that each run of the scenario begins with."""
    start = f"{root}/start/{scenario.name.replace(' ', '_')}"
    os.makedirs(start)
    for line in scenario.before:
        words = line.split()
        if words[0] == "COPY":
            shutil.copytree(f"{start}/{words[1]}", f"{start}/{words[2]}")
        else:
            must(ichor, *words, cwd=start, status=(0, 3))
    return start


# -- one run ------------------------------------------------------------------------------------------------------

Run = collections.namedtuple("Run", "status out err files here places")


class Bench:
    """What runs share: the program, the interposer, and the fault-free end of each scenario."""

    def __init__(self, ichor, interposer, root):
        self.ichor, self.interposer, self.root = ichor, interposer, root

    def run(self, scenario, start, number, fail=None, again=False):
        """In a fresh copy of `start`, or once more in the folder of an earlier run."""
        here = f"{self.root}/cases/{number}"
        table = f"{self.root}/tables/{number}"
        if not again:
            world.remove(here)
            world.copy(start, here)
        with open(table, "wb") as f:
            f.truncate(PLACES * PLACE.size)
        more = {"LD_PRELOAD": self.interposer, "ICHOR_FAULTS_TABLE": table} if not again else {}
        if fail:
            more["ICHOR_FAULTS_FAIL"] = fail
        words = world.words_for(scenario.words, scenario.again, here) if again else scenario.words
        command = [self.ichor, *shlex.split(words)]
        process = subprocess.Popen(command, cwd=here, env=world.environment(**more), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=TIME_LIMIT)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            status = "hangs"
        return Run(status, out, err.decode("utf-8", "replace"), world.files_below(here), here, read_places(table))


Place = collections.namedtuple("Place", "name count failed apart call owner ours")


def read_places(table):
    found = []
    with open(table, "rb") as f:
        data = f.read()
    for at in range(0, len(data), PLACE.size):
        if data[at:at + 8] != bytes(8):
            name, count, failed, apart, call, owner, *ours = PLACE.unpack_from(data, at)
            found.append(Place(name, count, failed, bool(apart), call.rstrip(b"\0").decode(),
                               owner.rstrip(b"\0").decode(), ours))
    return found


# -- what it must have done -----------------------------------------------------------------------------------------

def settle_all(files):
    return {path: file.key for path, file in files.items()}


def judge_files(scenario, run, before, after):
    """Each file is whole and, by name, as it was or as it would have been; nothing else lies there."""
    now = settle_all(run.files)
    for path in sorted(set(now) | set(before)):
        if world.is_temporary(path):
            return f"{path} is left"
        between = path.startswith(scenario.between) if scenario.between else False
        if path in now and run.files[path].torn:
            return f"{path} is torn: {run.files[path].torn}"
        if path not in now:
            if path in after and not between:
                return f"{path} is gone"
        elif not between and now[path] not in (before.get(path), after.get(path)):
            if not (run.status == 3 or (path.endswith("skipped.csv") and run.status == 1)):
                return f"{path} is neither as it was nor as it would have been"
    return None


def asserting(err):
    """The library that stopped at an assertion of its own, or None."""
    return next((library for words, library in ASSERTING.items() if words in err), None)


def judge(scenario, run, place, before, clean):
    """(what became of it, None or what is wrong). Outcomes: told, left out, no matter, outside."""
    lines = run.err.split("\n")[:-1]
    after = settle_all(clean.files)
    if run.status == "hangs":
        return "hangs", f"no end after {TIME_LIMIT} s"
    words = OUTSIDE.get(place.owner)
    crash = isinstance(run.status, int) and run.status < 0
    if (place.apart and run.status != clean.status) or (words and any(words in line for line in lines)) or (
            crash and (place.owner in CRASHING or asserting(run.err))):
        wrong = judge_files(scenario, run, before, after)
        return "outside", None if wrong and wrong.endswith("is left") else wrong
    if crash:
        return "crash", f"signal {-run.status}: {run.err.strip()[-200:]}"
    if run.status not in (0, 1, 3):
        return "status", f"status {run.status}: {run.err.strip()[-200:]}"
    if run.status and (len(lines) != 1 or not lines[0].startswith("ichor: ")):
        return "words", f"status {run.status}, stderr: {run.err.strip()[-300:]!r}"
    if run.status and len(lines[0].split(": ", 1)[1].strip()) < 12:
        return "words", f"tells nothing: {run.err.strip()!r}"
    wrong = judge_files(scenario, run, before, after)
    if wrong and place.call in REMOVING and wrong.endswith("is left"):
        wrong = None
    if run.status == 0 and not wrong:
        if lines and not (place.call in ON_DISK and all(line.endswith(NO_MATTER) for line in lines)):
            wrong = f"status 0, but it says {run.err.strip()[-200:]!r}"
        elif scenario.prints and run.out != clean.out:
            wrong = "status 0, but it prints something else"
        now = settle_all(run.files)
        for path in sorted(set(now) | set(after)):
            if not wrong and now.get(path) != after.get(path) and not (place.call in REMOVING and path not in after):
                wrong = f"status 0, but {path} is not as without the fault"
    if run.status == 0 and scenario.status != 0:
        wrong = "status 0, though it must refuse"
    if run.status == 3 and not wrong and scenario.names and not any(p.endswith("skipped.csv") for p in run.files):
        wrong = "status 3 without a skipped.csv"
    return {0: "no matter", 1: "told", 3: "left out"}[run.status], wrong


def judge_again(scenario, run, clean):
    """After the failure the same command, undisturbed, must reach the same end."""
    if run.status != scenario.status:
        return f"run again: status {run.status}: {run.err.strip()[-200:]}"
    now, after = settle_all(run.files), settle_all(clean.files)
    for path in sorted(set(now) | set(after)):
        if now.get(path) != after.get(path) and "/cache/" not in path:
            return f"run again: {path} differs"
    return None


# -- all of them --------------------------------------------------------------------------------------------------

Result = collections.namedtuple("Result", "scenario place call owner error nth apart outcome wrong err ours")


Piece = collections.namedtuple("Piece", "scenario places missed seconds results")


def sample(places, most):
    """Spread over calls, the same each time for the same program."""
    by_call = collections.defaultdict(list)
    for p in sorted(places, key=lambda p: p.name):
        by_call[p.call].append(p)
    taken = []
    while len(taken) < most and any(by_call.values()):
        for call in sorted(by_call):
            if by_call[call] and len(taken) < most:
                taken.append(by_call[call].pop(0))
    return taken


def make_it_fail(bench, scenario, start, before, clean, place, error, number, recover):
    for nth in sorted({(place.count + 1) // 2, 1}, reverse=True):
        run = bench.run(scenario, start, number, f"{place.call},{place.name:x},{nth},{error}")
        if any(p.failed for p in run.places):
            break
    else:
        return None, run  # threads took other ways this time
    outcome, wrong = judge(scenario, run, place, before, clean)
    if recover and not wrong and scenario.between and run.status == 1:
        wrong = judge_again(scenario, bench.run(scenario, start, number, again=True), clean)
    ours = [f"{x:x}" for x in place.ours if x]
    return Result(scenario.name, f"{place.name:x}", place.call, place.owner, error, nth, place.apart, outcome, wrong,
                  run.err, ours), run


def cases_of(scenario, places, options, seen_apart):
    """(place, errno) for each run to make."""
    apart = [p for p in places if p.apart]
    wanted = [p for p in places if not p.apart] + (apart if not seen_apart else [])
    if options.place:
        wanted = [p for p in wanted if f"{p.name:x}" in options.place]
    elif options.most:
        wanted = sample(wanted, options.most)
    cases = [(p, error) for p in wanted for error in KINDS[KIND_OF[p.call]][1]]
    return cases


def run_scenario(bench, scenario, options, pool, numbers, seen_apart):
    began = time.time()
    start = build_start(bench.ichor, bench.root, scenario)
    clean = bench.run(scenario, start, "clean")
    second = bench.run(scenario, start, "clean2")
    if clean.status != scenario.status or settle_all(clean.files) != settle_all(second.files):
        differs = [p for p in clean.files if settle_all(clean.files).get(p) != settle_all(second.files).get(p)]
        raise SystemExit(f"{scenario.name}: without faults: status {clean.status} {clean.err} {differs}")
    before = settle_all(world.files_below(start))
    cases = cases_of(scenario, clean.places, options, seen_apart)
    print(f"{scenario.name}: {len(clean.places)} places, {len(cases)} faults", flush=True)

    def one(case):
        number = numbers.pop()
        try:
            return make_it_fail(bench, scenario, start, before, clean, *case, number, options.recover)
        finally:
            numbers.append(number)

    results, missed = [], 0
    for result, run in pool.map(one, cases):
        if result is None:
            missed += 1
            continue
        results.append(result)
        if result.wrong:
            print(f"  {scenario.name}: {result.call} at {result.place} ({result.owner} {' '.join(result.ours[:3])}), "
                  f"errno {result.error}: {result.wrong}", flush=True)
        if options.show:
            print(result, run.out.decode("utf-8", "replace"), run.err, sorted(run.files), sep="\n", flush=True)
    if settle_all(world.files_below(start)) != before:
        raise SystemExit(f"{scenario.name}: a file was written in place, not renamed into it")
    return Piece(scenario.name, len(clean.places), missed, time.time() - began, results)


# -- telling --------------------------------------------------------------------------------------------------------

def table_of(results):
    """A row a kind of call: distinct places, and what became of them."""
    outcomes = ["told", "left out", "no matter", "outside"]
    rows = ["| call fails | places | faults | told, status 1 | input left out, status 3 | no matter, same bytes | "
            "a library's own end | wrong |", "|---|---|---|---|---|---|---|---|"]
    for kind in [*KINDS, "all"]:
        of = [r for r in results if kind == "all" or KIND_OF[r.call] == kind]
        counts = [sum(r.outcome == o and not r.wrong for r in of) for o in outcomes]
        name = f"{kind} ({', '.join(sorted({r.call for r in of}))})" if kind != "all" else "**all**"
        if of:
            rows.append("| " + " | ".join(map(str, [name, len({(r.scenario, r.place) for r in of}), len(of), *counts,
                                                    sum(bool(r.wrong) for r in of)])) + " |")
    return "\n".join(rows) + "\n"


def table_of_verbs(results):
    kinds = [k for k in KINDS if any(KIND_OF[r.call] == k for r in results)]
    rows = ["| verb | " + " | ".join(kinds) + " | all |", "|---" * (len(kinds) + 2) + "|"]
    names = list(dict.fromkeys(r.scenario for r in results))
    for name in [*names, "**all**"]:
        of = [r for r in results if name in (r.scenario, "**all**")]
        cells = [len({(r.scenario, r.place) for r in of if KIND_OF[r.call] == k}) for k in kinds]
        rows.append(f"| {name} | " + " | ".join(map(str, cells)) + f" | {sum(cells)} |")
    return "\n".join(rows) + "\n"


def table_of_outside(results):
    outside = collections.Counter((asserting(r.err) or r.owner, r.call, "before or after main" if r.apart else (r.err.strip().split("\n") or [""])[0])
                                  for r in results if r.outcome == "outside")
    rows = ["| library | call | places | what it says |", "|---|---|---|---|"]
    rows += [f"| {owner} | {call} | {n} | {words or '(nothing)'} |" for (owner, call, words), n in sorted(outside.items())]
    return "\n".join(rows) + "\n"


def table_of_pieces(pieces):
    rows = ["| verb | places found | tried | faults | minutes |", "|---|---|---|---|---|"]
    rows += [f"| {p.scenario} | {p.places} | {len({r.place for r in p.results})} | {len(p.results)} | {p.seconds / 60:.1f} |"
             for p in pieces]
    return "\n".join(rows) + "\n"


def read_pieces(path):
    with open(path) as f:
        return [Piece(*p[:4], [Result(*r) for r in p[4]]) for p in json.load(f)]


def tell(pieces, options):
    """Prints the tables; the exit status."""
    results = [r for piece in pieces for r in piece.results]
    places = len({(r.scenario, r.place) for r in results})
    chains = len({r.place for r in results})
    wrong = sum(bool(r.wrong) for r in results)
    missed = sum(p.missed for p in pieces)
    summary = (f"**{places} places** ({chains} where the same chain of callers counts once for all verbs), "
               f"{len(results)} faults, {wrong} wrong. {missed} more were not reached a second time: threads took "
               f"another way.\n")
    text = "\n".join([summary, table_of(results), table_of_verbs(results), table_of_pieces(pieces),
                      table_of_outside(results)])
    print(text)
    if options.document:
        world.write_block(options.document, "faults", text)
    return 1 if wrong or not results else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ichor")
    parser.add_argument("interposer")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--most", type=int, help="so many places of each verb")
    parser.add_argument("--pieces", nargs="+", help="no run: what --json wrote in earlier ones, in one table")
    parser.add_argument("--recover", action="store_true", help="after a failure run again without, where runs go on")
    parser.add_argument("--only", action="append", help="this verb's scenarios")
    parser.add_argument("--place", action="append")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--document")
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.quick:
        options.most = QUICK
    if options.pieces:
        return tell([piece for path in options.pieces for piece in read_pieces(path)], options)
    pieces = []
    root = world.fresh_folder()
    try:
        for name in ("cases", "tables", "start"):
            os.mkdir(f"{root}/{name}")
        ichor, interposer = os.path.abspath(options.ichor), os.path.abspath(options.interposer)
        build_world(ichor, root)
        bench, numbers = Bench(ichor, interposer, root), list(range(options.jobs))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for scenario in SCENARIOS:
                if options.only and scenario.name not in options.only:
                    continue
                seen_apart = any(r.apart for piece in pieces for r in piece.results)
                pieces.append(run_scenario(bench, scenario, options, pool, numbers, seen_apart))
                print(f"    {pieces[-1].seconds:.0f} s", flush=True)
    finally:
        world.remove(root)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(pieces, f, indent=0)
    return tell(pieces, options)


if __name__ == "__main__":
    sys.exit(main())
