#!/usr/bin/env python3
"""Ways to learn from one label a study, compared on one dataset of phantoms.

    weak_labels.py --out DIR [--ichor build/ichor] [--seeds 5] [--only NAME,…] [--quick] [--table weak_labels.md]

Phantoms of three sets of patients are made; a CNN is pretrained once on slice labels of the first; each method, a
recipe of recipes/, fine-tunes it end to end on study labels of the second, once a seed (the head's random numbers,
the order of studies, the augmentation); and answers for the third. The figures are `ichor evaluate`'s. An interval is
that of the mean over seeds by Student's t (Student 1908, Biometrika 6(1)): mean ± t s / √n, so it tells how much a method
depends on its seed, not how much on these phantoms. Each seed pretrains nothing anew: what is compared is what comes
on top.

An interrupted comparison goes on where it stopped when the same command is given again. Needs Python's standard
library.
"""
import argparse
import csv
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ERRORS = 0.2  # of the labels of `any`, in the dataset with errors

# name, recipe (None: the program's defaults), what it learns from
METHODS = [
    ("mean", "mean", "train"),
    ("max", "max", "train"),
    ("top-k (4 slices)", "top-k", "train"),
    ("noisy-or", "noisy-or", "train"),
    ("attention", "attention", "train"),
    ("gated attention", "gated-attention", "train"),
    ("smooth gated attention", "smooth-attention", "train"),
    ("self-attention", "self-attention", "train"),
    ("Gaussian process", "gaussian-process", "train"),
    ("gated attention, types known for half of the studies", "gated-attention", "partly"),
    ("gated attention, a fifth of the labels wrong", "gated-attention", "wrong"),
    ("the same, allowed for", "noisy-labels", "wrong"),
    ("gated attention, one positive study in four", "gated-attention", "rare"),
    ("the same, weighted to one in two, as in the test", "prevalence", "rare"),
]

# Student's t, two-sided 95 %, by degrees of freedom (Fisher and Yates 1963, table III)
T = [math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]

FULL = dict(size=64, pre=80, train=48, test=80, pre_epochs=4, epochs=3)
QUICK = dict(size=32, pre=8, train=8, test=8, pre_epochs=1, epochs=1)


def run(args, *words):
    done = subprocess.run([args.ichor, *words, "--quiet"], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"ichor {' '.join(words)}: {done.stderr.strip()}")


def once(path, make):
    """Makes a folder under another name, and renames it: what is there is whole."""
    if os.path.exists(path):
        return
    shutil.rmtree(path + ".part", ignore_errors=True)
    make(path + ".part")
    os.rename(path + ".part", path)


def synth(args, name, studies, prevalence, seed):
    once(os.path.join(args.out, name), lambda to: run(
        args, "synth", to, "--studies", str(studies), "--size", str(args.sizes["size"]), "--prevalence", str(prevalence),
        "--seed", str(seed)))


def relabel(args, name, change):
    """The training set with other labels in studies.csv; the volumes are the same files."""
    source = os.path.join(args.out, "train")

    def make(to):
        shutil.copytree(source, to, copy_function=os.link)
        table = os.path.join(to, "studies.csv")
        with open(table, newline="") as f:
            rows = list(csv.DictReader(f))
        change(rows, random.Random(1))
        os.remove(table)
        with open(table, "w", newline="") as f:
            out = csv.DictWriter(f, rows[0].keys(), lineterminator="\n")
            out.writeheader()
            out.writerows(rows)

    once(os.path.join(args.out, name), make)


TYPES = ["epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]


def hide_types(rows, rng):
    for row in rng.sample(rows, len(rows) // 2):
        row.update({t: "" for t in TYPES})


def spoil(rows, rng):
    """A fifth of the positives lose all labels, a fifth of the negatives gain `any` and one type."""
    for was in ("1", "0"):
        group = [row for row in rows if row["any"] == was]
        for row in rng.sample(group, round(ERRORS * len(group))):
            row.update({t: "0" for t in ["any"] + TYPES})
            if was == "0":
                row.update({"any": "1", rng.choice(TYPES): "1"})


def prepare(args):
    s = args.sizes
    sets = [("pre", "pre", 0.5), ("train", "train", 0.5), ("test", "test", 0.5), ("rare", "train", 0.25)]
    for seed, (name, size, prevalence) in enumerate(sets, 21):
        synth(args, name, s[size], prevalence, seed)
    for name in ("train", "rare"):
        slices = os.path.join(args.out, name, "slices.csv")
        if os.path.exists(slices):
            os.remove(slices)  # fine-tuning sees one label a study, nothing else
    relabel(args, "partly", hide_types)
    relabel(args, "wrong", spoil)
    once(os.path.join(args.out, "pretrained"), lambda to: run(
        args, "pretrain", os.path.join(args.out, "pre"), "--out", to, "--size", str(s["size"]), "--epochs",
        str(s["pre_epochs"]), "--seed", "1"))


def evaluate(args, model, folder):
    run(args, "predict", model, os.path.join(args.out, "test"), "--out", os.path.join(folder, "answers"))
    run(args, "evaluate", os.path.join(folder, "answers"), os.path.join(args.out, "test"), "--out",
        os.path.join(folder, "figures"))


def learn(args, recipe, data, seed, folder):
    """One fine-tuning; its seconds stand in seconds.txt."""
    words = ["finetune", os.path.join(args.out, data), "--init", os.path.join(args.out, "pretrained"), "--config",
             os.path.join(HERE, "..", "recipes", recipe + ".ini"), "--out", os.path.join(folder, "run"), "--cache",
             os.path.join(args.out, "cache-" + data), "--epochs", str(args.sizes["epochs"]), "--studies", "2", "--lr",
             "0.002", "--seed", str(seed)]
    if recipe == "noisy-labels":
        words += ["--label-false-positives", str(ERRORS), "--label-false-negatives", str(ERRORS)]
    before = time.monotonic()
    run(args, *words)
    seconds = time.monotonic() - before
    evaluate(args, os.path.join(folder, "run"), folder)
    shutil.rmtree(os.path.join(folder, "run"))  # 50 MB each
    with open(os.path.join(folder, "seconds.txt"), "w") as f:
        f.write(f"{seconds:.1f}\n")


def figures(folder):
    with open(os.path.join(folder, "figures", "metrics.csv"), newline="") as f:
        found = {(r["level"], r["metric"]): float(r["value"]) for r in csv.DictReader(f)
                 if r["label"] == "any" and r["metric"] in ("auc", "brier") and r["value"]}
    return [found["study", "auc"], found["slice", "auc"], found["study", "brier"]]


def interval(values, digits=3):
    n = len(values)
    mean = statistics.mean(values)
    if n < 2:
        return f"{mean:.{digits}f}"
    half = T[n - 1] * statistics.stdev(values) / math.sqrt(n)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def table(args, rows):
    s = args.sizes
    lines = ["# Ways to learn from one label a study, compared", "",
             f"Phantoms, {s['size']} pixels: a resnet18 pretrained once on slice labels of {s['pre']} studies "
             f"({s['pre_epochs']} epochs), fine-tuned end to end on study labels of {s['train']} others "
             f"({s['epochs']} epochs, 2 studies a step, peak rates 0.002 and 3e-5), judged on {s['test']} that no network "
             "has seen. Small on purpose, so that methods can differ. Each row: a recipe of `recipes/`, "
             f"{args.seeds} seeds; mean ± half the 95 % interval of the mean by Student's t over seeds (Student 1908). It "
             "tells how a method depends on its seed; another set of phantoms would move all rows together. Labels of the last "
             "five rows: `any` alone for half of the studies; a fifth of positive and of negative studies with the wrong "
             "ones; as many other studies, of which a quarter bleeds. Seconds: a fine-tuning's wall time on the machine "
             "that made this table, mean over seeds.", "",
             "One command: `benchmarks/weak_labels.sh`", "",
             "| | study AUC | slice AUC | study Brier score | seconds |", "|---|---|---|---|---|"]
    for name, values, seconds in rows:
        took = f"{statistics.mean(seconds):.0f}" if seconds else "–"
        lines.append(f"| {name} | " + " | ".join(interval(v) for v in zip(*values)) + f" | {took} |")
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, help="folder for data and runs")
    p.add_argument("--ichor", default=os.path.join(HERE, "..", "build", "ichor"))
    p.add_argument("--seeds", type=int, default=5, choices=range(1, len(T) + 1))
    p.add_argument("--only", help="recipes, with commas between")
    p.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    p.add_argument("--table", help="the table's file [OUT/weak_labels.md]")
    args = p.parse_args()
    args.sizes = QUICK if args.quick else FULL
    methods = [m for m in METHODS if not args.only or m[1] in args.only.split(",")]
    if not methods:
        p.error("--only names no recipe of the table")
    os.makedirs(args.out, exist_ok=True)
    prepare(args)
    before = os.path.join(args.out, "before")
    once(before, lambda to: evaluate(args, os.path.join(args.out, "pretrained"), to))
    folders = {(m, seed): os.path.join(args.out, f"{m[1]}-{m[2]}-{seed}") for m in methods
               for seed in range(1, args.seeds + 1)}
    # Seeds outside: when it is stopped early, all methods have got equally far.
    for number, ((name, recipe, data), seed) in enumerate(sorted(folders, key=lambda key: key[1]), 1):
        print(f"{number} of {len(folders)}: {name}, seed {seed}", file=sys.stderr)
        once(folders[(name, recipe, data), seed], lambda to: learn(args, recipe, data, seed, to))
    rows = [("pretrained only: the most positive slice", [figures(before)], [])]
    for m in methods:
        mine = [folders[m, seed] for seed in range(1, args.seeds + 1)]
        seconds = [float(open(os.path.join(folder, "seconds.txt")).read()) for folder in mine]
        rows.append((m[0], [figures(folder) for folder in mine], seconds))
    text = table(args, rows)
    with open(args.table or os.path.join(args.out, "weak_labels.md"), "w") as f:
        f.write(text)
    print(text)


if __name__ == "__main__":
    main()
