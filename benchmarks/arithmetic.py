#!/usr/bin/env python3
"""Whether faster arithmetic costs accuracy: the whole job, pretraining to figures on unseen phantoms, with Winograd's
convolutions (the default), without them, and in bfloat16; several seeds each. Needs Python's standard library.

    benchmarks/arithmetic.py [--ichor build/ichor] [--seeds 5] [--size 64] [--out benchmarks/arithmetic.md]

A seed draws phantoms, initial weights and order of samples, the same for all three; so their differences are paired,
and are set beside what the seed itself does.
"""
import argparse
import csv
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 97.5 %, n - 1
FIGURES = [("study", "auc"), ("slice", "auc"), ("study", "brier")]


def variants(ichor):
    """The first table without Winograd is that of the instruction set which the default takes."""
    version = subprocess.run([ichor, "--version"], check=True, capture_output=True, text=True).stdout
    tables = next(line for line in version.splitlines() if line.startswith("kernels:")).split()[1:]
    return {"float32, Winograd": [], "float32, direct": ["--kernels", next(t for t in tables if t.endswith("-direct"))],
            "bfloat16": ["--precision", "bf16"]}


def one(args, folder, seed, options):
    """The figures of one training, and its seconds."""
    def ichor(verb, *rest):
        subprocess.run([args.ichor, verb, *rest, "--seed", str(seed), "--quiet", *options], check=True)

    start, path = time.time(), lambda name: os.path.join(folder, name)
    network = ["--size", str(args.size), "--arch", "resnet18"]
    ichor("pretrain", path("train"), "--out", path("pretrained"), "--epochs", "4", "--batch", "16",
          *network)
    ichor("finetune", path("train"), "--init", path("pretrained"), "--out", path("finetuned"), "--epochs", "3",
          "--studies", "2")
    ichor("predict", path("finetuned"), path("unseen"), "--out", path("predictions"))
    ichor("evaluate", path("predictions"), path("unseen"), "--out", path("metrics"))
    with open(path("metrics/metrics.csv"), newline="", encoding="ascii") as f:
        found = {(r["level"], r["metric"]): float(r["value"]) for r in csv.DictReader(f) if r["label"] == "any"
                 if r["value"]}
    return [found[figure] for figure in FIGURES], time.time() - start


def interval(values):
    """Student's t."""
    mean = statistics.mean(values)
    half = STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def write(args, results, names):
    heads = [f"{level} {metric}" for level, metric in FIGURES]
    lines = ["# The same training in other arithmetic", "",
             f"Written by `benchmarks/arithmetic.py --seeds {args.seeds} --size {args.size} --studies {args.studies}`. "
             "Do not edit: run it again.", "",
             f"Phantoms: {args.studies} studies to learn from, {args.unseen} unseen, resnet18 at {args.size} pixels, 4 "
             "epochs on slice labels in batches of 16, 3 end to end on study labels, 2 studies a step. A seed draws "
             "phantoms, weights and order, the same for all three.", "",
             "| seed | arithmetic | " + " | ".join(heads) + " |", "|---" * (2 + len(heads)) + "|"]
    for seed in range(args.seeds):
        lines += [f"| {seed + 1} | {name} | " + " | ".join(f"{v:.4f}" for v in results[name][seed]) + " |"
                  for name in names]
    lines += ["", f"Mean over the seeds ± standard deviation; below, the mean difference to the first with Student's "
              "95 % interval, seeds paired.", "", "| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    columns = {name: list(zip(*results[name])) for name in names}
    for name in names:
        lines.append(f"| {name} | " + " | ".join(f"{statistics.mean(c):.4f} ± {statistics.stdev(c):.4f}"
                                                 for c in columns[name]) + " |")
    for name in names[1:]:
        differences = [[b - a for a, b in zip(*pair)] for pair in zip(columns[names[0]], columns[name])]
        lines.append(f"| {name}, less {names[0]} | " + " | ".join(map(interval, differences)) + " |")
    with open(args.out, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ichor", default="build/ichor")
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(STUDENT))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--unseen", type=int, default=60)
    parser.add_argument("--out", default="benchmarks/arithmetic.md")
    args = parser.parse_args()
    args.ichor = os.path.abspath(args.ichor)
    named = variants(args.ichor)
    results = {name: [] for name in named}
    for seed in range(1, args.seeds + 1):
        with tempfile.TemporaryDirectory(prefix="ichor-arithmetic-") as folder:
            for name, studies, draw in (("train", args.studies, seed), ("unseen", args.unseen, 1000 + seed)):
                subprocess.run([args.ichor, "synth", os.path.join(folder, name), "--studies", str(studies), "--size",
                                "128", "--seed", str(draw), "--quiet"], check=True)
            for name, options in named.items():
                figures, seconds = one(args, folder, seed, options)
                results[name].append(figures)
                print(f"seed {seed}, {name}: {figures}, {seconds:.0f} s", file=sys.stderr, flush=True)
                for made in ("pretrained", "finetuned", "predictions", "metrics"):
                    subprocess.run(["rm", "-r", os.path.join(folder, made)], check=True)
    write(args, results, list(named))


if __name__ == "__main__":
    main()
