#!/usr/bin/python3
"""Measures Ichor and its peers in turn and writes results.md. compare.sh installs and builds what this runs.

Every measurement is a process of its own, held to as many cores as it has threads. A round measures each row's
programs one after the other, each round beginning with another one, so that a machine that slows down or speeds up
does so for all. A ratio is taken within a round; the table shows medians and ranges over the rounds.

torch gets the settings that are fastest on this machine: short trials before the first round choose layout,
allocator and waiting policy of each row. Ichor runs as a user would run it.
"""
import argparse
import csv
import datetime
import itertools
import json
import os
import platform
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON, TORCH, ORT = "/usr/bin/python3", os.path.join(HERE, "peer_torch.py"), os.path.join(HERE, "peer_onnxruntime.js")
HEADER = "arch,mode,batch,size,threads,images_per_second,rss_mib"
STUDY_SLICES = 35
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "OPENBLAS_CORETYPE": "Haswell"}


class Failed(Exception):
    pass


# -- processes ---------------------------------------------------------------------------------------------
def own_cores(threads):
    """So many of the processors that this process may use, each on a core of its own where there are enough."""
    allowed, seen, first, second = sorted(os.sched_getaffinity(0)), set(), [], []
    for cpu in allowed:
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as f:
                core = f.read()
        except OSError:
            core = str(cpu)
        (second if core in seen else first).append(cpu)
        seen.add(core)
    if len(allowed) < threads:
        raise Failed(f"--threads {threads}: this process may use {len(allowed)} processors only")
    return (first + second)[:threads]


def busy_seconds(cpus):
    with open("/proc/stat", encoding="ascii") as f:
        lines = dict(line.split(None, 1) for line in f)
    ticks = [[int(v) for v in lines[f"cpu{c}"].split()[:8]] for c in cpus]
    return sum(sum(t) - t[3] - t[4] for t in ticks) / os.sysconf("SC_CLK_TCK")  # all but idle and iowait


class Machine:
    """Runs programs on the chosen cores and keeps account of what others took of them meanwhile."""

    def __init__(self, args):
        self.threads, self.cpus, self.disturbed = args.threads, own_cores(args.threads), []
        os.sched_setaffinity(0, self.cpus)
        ours = re.compile(r"OMP_|GOMP_|MKL_|OPENBLAS_|MALLOC_|GLIBC_|LD_PRELOAD|ONEDNN_|DNNL_|ATEN_")
        self.env = {k: v for k, v in os.environ.items() if not ours.match(k)}
        self.timeout = 300 + 20 * args.seconds

    def run(self, command, env=(), threads=None):
        count = str(threads or self.threads)
        env = {**self.env, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, **dict(env)}
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=self.timeout, check=False)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{os.path.basename(command[0])}: no answer in {self.timeout:.0f} s") from e
        except OSError as e:
            raise Failed(str(e)) from e
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"{command[0]}: exit status {done.returncode}, no message"]
            raise Failed(said[0] if said[0].startswith("ichor") else said[-1])
        return done.stdout

    def watched(self, work):
        """work(), noting the part of the cores that went to other programs."""
        def child_seconds():
            used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
            return sum(u.ru_utime + u.ru_stime for u in used)
        started, busy, ours = datetime.datetime.now(), busy_seconds(self.cpus), child_seconds()
        result = work()
        elapsed = (datetime.datetime.now() - started).total_seconds()
        others = busy_seconds(self.cpus) - busy - (child_seconds() - ours)
        self.disturbed.append(max(0.0, others) / elapsed / len(self.cpus))
        return result


def figures(output):
    """(images a second, MiB) from the contract's header and row."""
    lines = output.strip().splitlines()
    if len(lines) < 2 or lines[-2] != HEADER:
        raise Failed(f"printed no row under '{HEADER}'")
    row = dict(zip(HEADER.split(","), lines[-1].split(",")))
    return float(row["images_per_second"]), float(row["rss_mib"])


# -- programs ----------------------------------------------------------------------------------------------
class Ichor:
    def __init__(self, args, row, extra=(), threads=None, name="Ichor"):
        self.name, self.row, self.threads = name, row, threads or args.threads
        self.command = [args.ichor, "bench", "model", *row.words(), "--threads", str(self.threads), *extra]
        if row.avx2:
            self.command += ["--kernels", "avx2"]

    def measure(self, machine, seconds):
        env = {"OPENBLAS_CORETYPE": "Haswell"} if self.row.avx2 else {}
        return figures(machine.run([*self.command, "--seconds", str(seconds)], env, self.threads))


class IchorStudy:
    """`predict` on one file; its own figure counts from opening the file to the last output. Each is the first
    study of a new process, while torch has warmed up."""

    def __init__(self, args, row, files):
        self.name, self.files = "Ichor", files
        self.command = [args.ichor, "predict", files.run, files.scan, "--out", files.path("ichor"), "--heatmaps",
                        "--heatmap-method", "gradcam", "--heatmap-layer", "layer4",  # as torch's side draws them
                        "--quiet", "--threads", str(args.threads)] + (["--kernels", "avx2"] if row.avx2 else [])

    def measure(self, machine, seconds):
        slices, spent, times = 0, 0.0, 0
        while times < 3 or spent < seconds:
            shutil.rmtree(self.files.path("ichor"), ignore_errors=True)
            machine.run(self.command)
            with open(os.path.join(self.files.path("ichor"), "studies.csv"), newline="", encoding="utf-8") as f:
                study = next(csv.DictReader(f))
            slices, spent, times = slices + int(study["n_slices"]), spent + float(study["seconds"]), times + 1
        return slices / spent, None


def allocators():
    """Those that beat glibc's malloc as it comes; jemalloc with the settings of torch's tuning guide, memory kept."""
    folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
    libraries = {name: next(filter(os.path.exists, (os.path.join(d, file) for d in folders)), None)
                 for name, file in (("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"))}
    found = {name: {"LD_PRELOAD": path} for name, path in libraries.items() if path}
    if "jemalloc" in found:
        found["jemalloc"]["MALLOC_CONF"] = ("oversize_threshold:1,background_thread:true,metadata_thp:auto,"
                                            "dirty_decay_ms:-1,muzzy_decay_ms:-1")
    found["glibc's malloc with huge pages, memory kept"] = {
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=1000000000000:"
                          "glibc.malloc.mmap_threshold=1000000000000"}
    return found


class Torch:
    chosen = {}  # by work: the settings that won the trials

    def __init__(self, args, row, words):
        self.name, self.row, self.words = "torch", row, [*words, "--threads", str(args.threads)]
        self.isa = AVX2 if row.avx2 else {}
        layouts = {"infer": ["contiguous_format", "channels_last"], "study": ["contiguous_format", "channels_last"],
                   "train": ["channels_last"]}[row.mode]
        self.dimensions = [{f"{layout} layout": (["--layout", layout], {}) for layout in layouts},
                           {name: ([], env) for name, env in allocators().items()},
                           {"passive waiting": ([], {}),
                            "active waiting": ([], {"OMP_WAIT_POLICY": "ACTIVE", "OMP_PROC_BIND": "TRUE"})}]
        if row.arch == "bilstm_attention" and args.threads > 1:  # its products are too small for some
            self.dimensions.append({f"{args.threads} threads": ([], {}), "1 thread": (["--threads", "1"], {})})

    def settings(self):
        return Torch.chosen.get(tuple(self.words)) or [next(iter(d)) for d in self.dimensions]

    def run(self, machine, seconds, settings):
        words, env = list(self.words), dict(self.isa)
        for dimension, choice in zip(self.dimensions, settings):
            words += dimension[choice][0]
            env.update(dimension[choice][1])
        return figures(machine.run([PYTHON, TORCH, *words, "--seconds", str(seconds)], env))

    def tune(self, machine, seconds):
        """One dimension after the other, keeping the fastest."""
        best, rates = self.settings(), {}
        if tuple(self.words) in Torch.chosen:
            return
        for i, dimension in enumerate(self.dimensions):
            for trial in ([*best[:i], choice, *best[i + 1:]] for choice in dimension):
                if tuple(trial) not in rates:
                    rates[tuple(trial)] = self.run(machine, seconds, trial)[0]
                    say(f"trial of torch, {self.row.name}: {', '.join(trial)}: {rates[tuple(trial)]:.2f} images/s")
            best = list(max(rates, key=rates.get))
        Torch.chosen[tuple(self.words)] = best

    def measure(self, machine, seconds):
        return self.run(machine, seconds, self.settings())


class OnnxRuntime:
    def __init__(self, args, row, files):
        self.name, self.row, self.files = "ONNX Runtime", row, files
        self.command = ["node", ORT, *row.words(), "--threads", str(args.threads)]

    def measure(self, machine, seconds):
        return figures(machine.run([*self.command, self.files.onnx(self.row), "--seconds", str(seconds)]))


# -- what is measured --------------------------------------------------------------------------------------
class Row:
    """One line of the table. `against`: "peers", or a variant of Ichor itself."""

    def __init__(self, args, arch, mode, what, avx2=False, against="peers", batch=16, size=224):
        self.arch, self.mode, self.against, self.batch, self.size = arch, mode, against, batch, size
        self.avx2 = avx2 or args.avx2
        self.name = what + (", AVX2 only" if self.avx2 else "")
        self.programs, self.missing = [], {}

    def words(self):
        return ["--arch", self.arch, "--mode", self.mode, "--batch", str(self.batch), "--size", str(self.size)]


def all_rows(args):
    verb = {"infer": "inference", "train": "training step"}
    rows = [Row(args, a, m, f"{a} {verb[m]}") for a in ("resnet18", "resnet50", "densenet121") for m in verb]
    rows.append(Row(args, "bilstm_attention", "train", "BiLSTM(512→2×128) + gated attention, 35 slices, forward and "
                    "backward", batch=STUDY_SLICES, size=512))
    rows.append(Row(args, "resnet18", "study", "study of 35 slices of 512×512, file to probabilities and heatmaps, "
                    "resnet18 at 224"))
    if not args.avx2:
        rows += [Row(args, "resnet18", m, f"resnet18 {verb[m]}", avx2=True) for m in verb]
    rows += [Row(args, "resnet18", m, f"resnet18 {verb[m]}, bf16 against float32", against="float32") for m in verb]
    if args.threads > 1:
        rows.append(Row(args, "resnet18", "train", f"resnet18 training step, {args.threads} threads against 1",
                        against="1 thread"))
    return rows


def fill(args, row, files):
    """The row's programs, Ichor's first."""
    if row.against == "float32":
        row.programs = [Ichor(args, row, ["--precision", "bf16"]), Ichor(args, row, name="Ichor in float32")]
    elif row.against == "1 thread":
        row.programs = [Ichor(args, row), Ichor(args, row, threads=1, name="Ichor on 1 thread")]
    elif row.mode == "study":
        files.make_study()
        row.programs = [IchorStudy(args, row, files),
                        Torch(args, row, ["study", files.scan, "--out", files.path("torch"), "--arch", row.arch,
                                          "--size", str(row.size)])]
    else:
        row.programs = [Ichor(args, row), Torch(args, row, ["model", *row.words()])]
        if row.mode == "infer" and row.avx2:
            row.missing["ONNX Runtime"] = "has no switch that holds it to AVX2"
        elif row.mode == "infer":
            row.programs.append(OnnxRuntime(args, row, files))


class Files:
    """What the programs read: made once, in a temporary folder."""

    def __init__(self, args, machine, folder):
        self.args, self.machine, self.folder = args, machine, folder
        self.scan, self.run = self.path("scan.nii.gz"), self.path("run")

    def path(self, name):
        return os.path.join(self.folder, name)

    def onnx(self, row):
        path = self.path(row.arch + ".onnx")
        if not os.path.exists(path):
            self.machine.run([PYTHON, TORCH, "onnx", path, "--arch", row.arch, "--batch", str(row.batch), "--size",
                              str(row.size)])
        return path

    def make_study(self):
        """A phantom of 35 slices, and a network that has seen four small ones: speed does not depend on skill."""
        ichor, one, few = self.args.ichor, self.path("one"), self.path("few")
        self.machine.run([ichor, "synth", one, "--studies", "1", "--size", "512", "--seed", "1", "--quiet"])
        with open(os.path.join(one, "studies.csv"), newline="", encoding="utf-8") as f:
            volume = os.path.join(one, next(csv.DictReader(f))["path"])
        self.machine.run([PYTHON, TORCH, "scan", volume, self.scan, "--slices", str(STUDY_SLICES)])
        self.machine.run([ichor, "synth", few, "--studies", "4", "--size", "64", "--seed", "1", "--quiet"])
        self.machine.run([ichor, "finetune", few, "--out", self.run, "--arch", "resnet18", "--size", "224",
                          "--epochs", "1", "--quiet"])


# -- measuring ---------------------------------------------------------------------------------------------
def say(text):
    print(text, file=sys.stderr, flush=True)


def prepare(args, machine, rows, files):
    """Asks every program of every row for a short run; leaves out what cannot. Trials of torch's settings."""
    left_out = {}
    for row in rows:
        try:
            if row.against == "peers" and row.mode != "study":
                Ichor(args, row).measure(machine, 0.01)
            fill(args, row, files)
            if row.against != "peers":
                row.programs[0].measure(machine, 0.01)
        except Failed as e:
            left_out[row.name] = str(e)
            say(f"left out: {row.name}: {e}")
            continue
        for program in row.programs[1:]:
            try:
                if isinstance(program, Torch):
                    program.tune(machine, args.seconds / 4)
                else:
                    program.measure(machine, 0.01)
            except Failed as e:
                row.missing[program.name] = str(e)
                say(f"left out: {program.name} in {row.name}: {e}")
        row.programs = [p for p in row.programs if p.name not in row.missing]
    return [r for r in rows if r.name not in left_out], left_out


def measure(args, machine, rows):
    """{row name: {program name: [(images a second, MiB) of each round]}}"""
    results = {row.name: {p.name: [] for p in row.programs} for row in rows}
    for round_, row in itertools.product(range(args.rounds), rows):
        first = round_ % len(row.programs)
        for program in row.programs[first:] + row.programs[:first]:
            rate, mib = machine.watched(lambda p=program: p.measure(machine, args.seconds))
            results[row.name][program.name].append((rate, mib))
            say(f"round {round_ + 1} of {args.rounds}: {row.name}: {program.name} {rate:.2f} images/s"
                + (f", {mib:.0f} MiB" if mib is not None else ""))
    return results


# -- results.md --------------------------------------------------------------------------------------------
def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratio(ours, theirs):
    return spread([a / b for a, b in zip(ours, theirs)], 2)


def rates(measured):
    return {name: [rate for rate, _ in each] for name, each in measured.items()}


def speed_table(rows, results):
    lines = ["| | Ichor | torch | ONNX Runtime | Ichor ÷ the better peer |", "|---|---|---|---|---|"]
    for row in (r for r in rows if r.against == "peers"):
        found = rates(results[row.name])
        cells = [spread(found[p]) if p in found else "–" for p in ("Ichor", "torch", "ONNX Runtime")]
        peers = [v for name, v in found.items() if name != "Ichor"]
        better = max(peers, key=statistics.median, default=None)
        lines.append(f"| {row.name} | {' | '.join(cells)} | {ratio(found['Ichor'], better) if better else '–'} |")
    return lines


def memory_table(rows, results):
    lines = ["| | Ichor | torch | ONNX Runtime | Ichor ÷ torch |", "|---|---|---|---|---|"]
    for row in (r for r in rows if r.against == "peers" and r.mode != "study"):
        found = {name: [mib for _, mib in each] for name, each in results[row.name].items()}
        cells = [spread(found[p], 0) if p in found else "–" for p in ("Ichor", "torch", "ONNX Runtime")]
        share = ratio(found["Ichor"], found["torch"]) if "torch" in found else "–"
        lines.append(f"| {row.name} | {' | '.join(cells)} | {share} |")
    return lines


def own_table(rows, results):
    lines = ["| | images/s | of the other | ratio |", "|---|---|---|---|"]
    for row in (r for r in rows if r.against != "peers"):
        ours, other = rates(results[row.name]).values()
        lines.append(f"| {row.name} | {spread(ours)} | {spread(other)} | {ratio(ours, other)} |")
    return lines


def table(title, text, lines):
    return [f"## {title}", text, "", *lines, ""] if len(lines) > 2 else []


def first_match(path, pattern):
    try:
        with open(path, encoding="utf-8") as f:
            match = re.search(pattern, f.read(), re.M)
    except OSError:
        match = None
    return match[1].strip() if match else "unknown"


def version(command, pattern=r"(.+)"):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
        match = re.search(pattern, done.stdout + done.stderr)
    except OSError:
        match = None
    return match[1].strip() if match else "unknown"


def versions(args):
    torch = version(["dpkg-query", "-W", "-f", "${Version}", "python3-torch"])
    onednn = version([PYTHON, "-c", "import torch; print(torch.__config__.show())"], r"MKL-DNN v(\S+)")
    with open(os.path.join(HERE, "package.json"), encoding="utf-8") as f:
        ort = json.load(f)["dependencies"]["onnxruntime-node"]
    ichor = version([args.ichor, "--version"])
    commit = version(["git", "describe", "--always", "--dirty"], r"^(\S+)$")
    return (f"{ichor} (commit {commit}, {version(['gcc', '--version'])}) · torch {torch} with oneDNN {onednn} · "
            f"onnxruntime-node {ort} on node {version(['node', '--version'])}")


def about(args, machine):
    model, family, number = (first_match("/proc/cpuinfo", rf"^{key}\s*:(.+)$")
                             for key in ("model name", "cpu family", "model"))
    flags = first_match("/proc/cpuinfo", r"^(?:flags|Features)\s*:(.+)$").split()
    vector = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve") if f in flags]
    memory = first_match("/proc/meminfo", r"^MemTotal:\s*(\d+)")
    linux = re.match(r"[\d.]*", platform.release())[0]
    system = first_match("/etc/os-release", 'PRETTY_NAME="(.+)"')
    pages = first_match("/sys/kernel/mm/transparent_hugepage/enabled", r"\[([a-z]+)\]")
    disturbed = [100 * d for d in machine.disturbed]
    return [
        f"- Processor: {model} (family {family}, model {number}; {' '.join(vector)}), {os.cpu_count()} logical "
        f"processors, of which {len(machine.cpus)} used; {int(memory) / 2**20:.0f} GiB",
        f"- System: {system}, Linux {linux}; huge pages: {pages}",
        f"- Versions: {args.versions}",
        f"- {args.rounds} rounds; {args.seconds:g} s a measurement at least; threads: {args.threads}",
        f"- Other programs took {statistics.median(disturbed):.0f} % of these cores in the median measurement, "
        f"{max(disturbed):.0f} % in the worst",
    ]


def write_results(args, machine, rows, results, left_out):
    command = shlex.join(["benchmarks/compare.sh", *sys.argv[1:]])
    text = ["# Ichor beside torch and ONNX Runtime", "",
            f"Written by `{command}` on {datetime.date.today()}. Do not edit: run it again.", "",
            *about(args, machine), "",
            "Median over the rounds (smallest–largest); ratios are taken within a round. CNNs: batch 16, 224 pixels, "
            "float32, random weights.", ""]
    text += table("Speed, images a second", "A training step is forward, weighted cross-entropy, backward, AdamW. The "
                  "study's time runs from opening its file to its last output; torch has warmed up on it, Ichor's "
                  "process is new.", speed_table(rows, results))
    text += table("Memory, MiB", "Peak resident memory, less what the process held before the model was built; "
                  "torch's with the settings that make it fastest.",
                  memory_table(rows, results))
    text += table("Ichor against itself", "Images a second.", own_table(rows, results))
    missing = [f"- {name}: {why}" for name, why in left_out.items()]
    missing += [f"- {name} in {row.name}: {why}" for row in rows for name, why in row.missing.items()]
    text += ["## Left out", *missing, ""] if missing else []
    chosen = {row.name: p.settings() for row in rows for p in row.programs if isinstance(p, Torch)}
    if chosen:
        text += ["## torch's settings",
                 "Frozen and optimized for inference; the fastest in trials on this machine:", "",
                 *(f"- {name}: {', '.join(settings)}" for name, settings in chosen.items()), ""]
    temporary = args.out + ".tmp"
    with open(temporary, "w", encoding="utf-8") as f:
        f.write("\n".join(text))
    os.replace(temporary, args.out)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds, 2 seconds a measurement")
    parser.add_argument("--rounds", type=int, help="how often everything is measured [5]")
    parser.add_argument("--seconds", type=float, help="a measurement, at least [10]")
    parser.add_argument("--threads", type=int, default=2, help="of every program [2]")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name contains TEXT")
    parser.add_argument("--avx2", action="store_true", help="every row without AVX-512")
    parser.add_argument("--ichor", default=os.path.join(HERE, "..", "build", "ichor"), help="program [build/ichor]")
    parser.add_argument("--out", default=os.path.join(HERE, "results.md"), help="file [benchmarks/results.md]")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (2 if args.quick else 10)
    args.versions = versions(args)  # now: half an hour later the tree may be another one
    return args


def main():
    args = options()
    rows = all_rows(args)
    chosen = [r for r in rows if args.only in r.name]
    try:
        if not chosen:
            raise Failed(f"--only '{args.only}' is in no row's name: " + "; ".join(r.name for r in rows))
        machine = Machine(args)
        with tempfile.TemporaryDirectory(prefix="ichor-compare-") as folder:
            ready, left_out = prepare(args, machine, chosen, Files(args, machine, folder))
            if not ready:
                raise Failed("no row could be measured")
            results = measure(args, machine, ready)
        write_results(args, machine, ready, results, left_out)
    except Failed as e:
        sys.exit(f"compare.py: {e}")
    print(f"Results: {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
