#!/usr/bin/env python3
"""Cross-validation by patient of Ichor, and of the same recipe in torch, on any dataset folder with slice labels.

    crossval.py DATASET --out DIR [--folds 5] [--seeds 3] [--size 128] [--epochs N] [--framework ichor|torch|both]

For each seed the patients are dealt into folds anew, those with and those without blood apart. For each fold a
network learns from the other folds' patients and answers for this one's. The answers of all folds together go to
`ichor evaluate`. Four ways of learning are compared, a fifth and sixth with --init:

    pretrained  labels of single slices; the most positive slice speaks for the study
    finetuned   the same network, then BiLSTM and attention on one set of labels a study
    scratch     study labels only, from random weights, for as many epochs as the two above together
    init        --init as it is, having seen none of these patients
    adapted     study labels only, from --init

Folders are made such that no leak is possible: pretraining sees no study of the test patients, and fine-tuning no
slices.csv. Needs Python's standard library; torch_recipe.py, for --framework torch, needs what it says there.

DIR/table.csv and DIR/table.md: the mean over seeds of each figure with an interval by bootstrap of patients
(percentiles of 1,000 draws: slices of one patient are no independent cases, which intervals of single seeds in
DIR/seed*/*/metrics.csv, DeLong's and Wilson's, take them for). DIR/times.csv: wall time of every step. An
interrupted cross-validation goes on where it stopped when the same command is given again.
"""
import argparse
import collections
import csv
import math
import os
import random
import shlex
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DRAWS = 1000
BY_STUDY = ("studies.csv", ("study_id",))
BY_SLICE = ("slices.csv", ("study_id", "slice_index"))


# -- tables ------------------------------------------------------------------------------------------------
def read_table(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def write_table(path, rows, header=None):
    """Whole or not there."""
    with open(path + ".new", "w", newline="") as f:
        writer = csv.DictWriter(f, header or list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + ".new", path)


# -- folds -------------------------------------------------------------------------------------------------
def deal(patients, positive, n, rng):
    """Patients in n hands of nearly equal size and nearly equal share of positives."""
    hands = [[] for _ in range(n)]
    order = sorted(patients)
    rng.shuffle(order)
    for i, patient in enumerate(sorted(order, key=lambda p: p not in positive)):
        hands[i % n].append(patient)
    return hands


def make_folder(folder, dataset, rows, slices):
    """A dataset of these studies, whose volumes stay where they are."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for top in {row["path"].split("/")[0] for row in rows}:
        os.symlink(os.path.join(os.path.abspath(dataset), top), os.path.join(folder, top))
    if slices:
        mine = {row["study_id"] for row in rows}
        write_table(os.path.join(folder, "slices.csv"), [s for s in slices if s["study_id"] in mine], list(slices[0]))
    write_table(os.path.join(folder, "studies.csv"), rows)


def make_fold(folder, args, studies, slices, test, rng):
    """images/ to pretrain on, studies/ to fine-tune on, test/ to be asked about."""
    patients = {s["patient_id"] for s in studies} - set(test)
    positive = {s["patient_id"] for s in studies if s["any"] == "1"}
    val = deal(patients, positive, round(1 / args.val), rng)[0] if args.val else []
    learn = [{**s, "split": "val" if s["patient_id"] in val else "train"} for s in studies
             if s["patient_id"] in patients]
    make_folder(os.path.join(folder, "images"), args.dataset, learn, slices)
    make_folder(os.path.join(folder, "studies"), args.dataset, learn, None)
    asked = [{**s, "split": "test"} for s in studies if s["patient_id"] in test]
    make_folder(os.path.join(folder, "test"), args.dataset, asked, None)


# -- programs ----------------------------------------------------------------------------------------------
class Framework:
    """How to start a verb, and which options only one of the two knows."""

    def __init__(self, name, args):
        self.name = name
        threads = str(args.threads or len(os.sched_getaffinity(0)))
        self.start = shlex.split(args.ichor) if name == "ichor" else \
            shlex.split(args.python) + [os.path.join(HERE, "torch_recipe.py")]
        self.common = ["--threads", threads] + (["--quiet"] if name == "ichor" else [])

    def call(self, log, verb, *words):
        """Runs a verb; returns its wall time in seconds."""
        command = [*self.start, verb, *words, *self.common]
        started = time.monotonic()
        with open(log, "a") as f:
            f.write(shlex.join(command) + "\n")
            f.flush()
            status = subprocess.run(command, stdout=f, stderr=subprocess.STDOUT).returncode
        if status != 0:
            raise SystemExit(f"{shlex.join(command)}: exit status {status}: see {log}")
        return time.monotonic() - started


def learn(framework, args, fold, arm, seed):
    """Trains the arm's network, after whatever it starts from; returns the MODEL."""
    if arm == "init":
        return args.init
    run = os.path.join(fold, framework.name, arm)
    done = os.path.join(run, "seconds")
    if os.path.exists(done):
        return run
    verb, data, start, epochs, more = {
        "pretrained": ("pretrain", "images", args.init, args.epochs, args.pretrain_options),
        "finetuned": ("finetune", "studies", None, args.finetune_epochs, args.finetune_options),
        "adapted": ("finetune", "studies", args.init, args.finetune_epochs, args.finetune_options),
        "scratch": ("finetune", "studies", None, args.epochs + args.finetune_epochs, args.scratch_options),
    }[arm]
    if arm == "finetuned":
        start = learn(framework, args, fold, "pretrained", seed)
    shutil.rmtree(run, ignore_errors=True)
    words = [os.path.join(fold, data), "--out", run, "--size", str(args.size), "--epochs", str(epochs),
             "--seed", str(seed), *(["--init", start] if start else []), *shlex.split(more)]
    seconds = framework.call(os.path.join(fold, "log.txt"), verb, *words)
    for rest in ("cache", "checkpoint"):
        shutil.rmtree(os.path.join(run, rest), ignore_errors=True)
    with open(done, "w") as f:
        f.write(f"{seconds:.2f}\n")
    return run


def answer(framework, args, fold, arm, seed):
    """Predictions of the arm's network for the fold's own patients; returns their folder."""
    folder = os.path.join(fold, framework.name, "predictions-" + arm)
    done = os.path.join(folder, "seconds")
    if not os.path.exists(done):
        model = learn(framework, args, fold, arm, seed)
        seconds = framework.call(os.path.join(fold, "log.txt"), "predict", model, os.path.join(fold, "test"),
                                 "--out", folder)
        with open(done, "w") as f:
            f.write(f"{seconds:.2f}\n")
    return folder


def forget_models(fold):
    """Weights are large, and answers are what a cross-validation is for."""
    for folder, _, files in os.walk(fold):
        for name in files:
            if name.endswith((".safetensors", ".pt")):
                os.remove(os.path.join(folder, name))


# -- figures -----------------------------------------------------------------------------------------------
def auc(pairs):
    """Mann-Whitney: the share of (positive, negative) pairs in the right order, ties half."""
    counts = collections.defaultdict(lambda: [0, 0])
    for score, truth in pairs:
        counts[score][truth] += 1
    below = area = 0
    for score in sorted(counts):
        negatives, positives = counts[score]
        area += positives * (below + negatives / 2)
        below += negatives
    positives = len(pairs) - below
    return area / (positives * below) if positives and below else math.nan


def average_precision(pairs):
    counts = collections.defaultdict(lambda: [0, 0])
    for score, truth in pairs:
        counts[score][truth] += 1
    total = sum(truth for _, truth in pairs)
    called = found = area = 0
    for score in sorted(counts, reverse=True):
        called += sum(counts[score])
        found += counts[score][1]
        area += counts[score][1] * found / called
    return area / total if total else math.nan


def share(pairs, of, having):
    chosen = [p for p in pairs if of(p)]
    return sum(map(having, chosen)) / len(chosen) if chosen else math.nan


def called(pair):
    return pair[0] >= 0.5


def bleeds(pair):
    return pair[1] == 1


FIGURES = {  # name: level, metric as `ichor evaluate` calls it, how
    "study AUC": (BY_STUDY, "auc", auc),
    "slice AUC": (BY_SLICE, "auc", auc),
    "slice AP": (BY_SLICE, "average_precision", average_precision),
    "study PPV": (BY_STUDY, "ppv", lambda pairs: share(pairs, called, bleeds)),
    "study sensitivity": (BY_STUDY, "sensitivity", lambda pairs: share(pairs, bleeds, called)),
    "study specificity": (BY_STUDY, "specificity", lambda pairs: share(pairs, lambda p: not bleeds(p),
                                                                       lambda p: not called(p))),
}


def pairs_by_patient(predictions, args, level):
    """Patient -> (probability, truth) of *any*, of studies or of slices."""
    table, key = level
    patient = {s["study_id"]: s["patient_id"] for s in read_table(os.path.join(args.dataset, "studies.csv"))}
    truth = {tuple(r[k] for k in key): r["any"] for r in read_table(os.path.join(args.dataset, table))}
    pairs = {p: [] for p in patient.values()}
    for row in read_table(os.path.join(predictions, table)):
        known = truth.get(tuple(row[k] for k in key))
        if known:
            pairs[patient[row["study_id"]]].append((float(row["any"]), int(float(known))))
    return pairs


def flat(pairs, patients):
    return [pair for p in patients for pair in pairs[p]]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def interval(seeds, figure):
    """2.5 and 97.5 percentile of the mean over seeds, when the same patients are drawn anew for all seeds."""
    rng = random.Random(1)
    patients = sorted(seeds[0])
    draws = (rng.choices(patients, k=len(patients)) for _ in range(DRAWS))
    values = sorted(v for v in (mean(figure(flat(s, draw)) for s in seeds) for draw in draws) if not math.isnan(v))
    return (values[int(0.025 * len(values))], values[math.ceil(0.975 * len(values)) - 1]) if values else (math.nan,) * 2


def check(value, folder, level, metric):
    """The figure must be the one that `ichor evaluate` finds."""
    name = "study" if level is BY_STUDY else "slice"
    theirs = [r["value"] for r in read_table(os.path.join(folder, "metrics.csv"))
              if (r["level"], r["label"], r["metric"]) == (name, "any", metric)]
    same = theirs == [""] if math.isnan(value) else theirs != [""] and abs(float(theirs[0]) - value) < 1e-6
    if not same:
        raise SystemExit(f"{folder}: {name} {metric} is {theirs[0]} for ichor and {value} here")


def figures_of(folders, args, framework, arm):
    rows = []
    for name, (level, metric, figure) in FIGURES.items():
        seeds = [pairs_by_patient(f, args, level) for f in folders]
        values = [figure(flat(s, sorted(s))) for s in seeds]
        for value, folder in zip(values, folders):
            check(value, folder, level, metric)
        low, high = interval(seeds, figure)
        cells = dict(value=mean(values), ci_low=low, ci_high=high, lowest_seed=min(values), highest_seed=max(values))
        rows.append({"framework": framework, "arm": arm, "figure": name, "seeds": len(seeds),
                     **{k: f"{v:.4f}" for k, v in cells.items()}})
    return rows


# -- the whole ---------------------------------------------------------------------------------------------
def pool(folders, out, judge, args):
    """The answers of all folds as one predictions folder, with evaluate's figures beside them."""
    os.makedirs(out, exist_ok=True)
    for table in ("studies.csv", "slices.csv"):
        write_table(os.path.join(out, table), [r for f in folders for r in read_table(os.path.join(f, table))])
    judge.call(os.path.join(out, "log.txt"), "evaluate", out, args.dataset, "--out", out)
    return out


def cross_validate(args, seed, frameworks, arms, pooled):
    studies = read_table(os.path.join(args.dataset, "studies.csv"))
    slices = read_table(os.path.join(args.dataset, "slices.csv"))
    rng = random.Random(seed)
    positive = {s["patient_id"] for s in studies if s["any"] == "1"}
    hands = deal({s["patient_id"] for s in studies}, positive, args.folds, rng)
    answers = collections.defaultdict(list)
    for k, test in enumerate(hands, 1):
        fold = os.path.join(args.out, f"seed{seed}", f"fold{k}")
        make_fold(fold, args, studies, slices, test, rng)
        for framework in frameworks:
            for arm in arms if framework.name == "ichor" else [a for a in arms if a != "init"]:
                answers[framework.name, arm].append(answer(framework, args, fold, arm, seed))
        if not args.keep:
            forget_models(fold)
        print(f"seed {seed}, fold {k} of {args.folds}: done", flush=True)
    judge = Framework("ichor", args)
    for (name, arm), folders in answers.items():
        out = os.path.join(args.out, f"seed{seed}", f"{name}-{arm}")
        pooled[name, arm].append(pool(folders, out, judge, args))


def times(args):
    """Wall time of each step, as the runs left it behind."""
    rows = []
    for seed in args.seed_numbers:
        for fold in range(1, args.folds + 1):
            folder = os.path.join(args.out, f"seed{seed}", f"fold{fold}")
            for where, _, files in sorted(os.walk(folder)):
                if "seconds" in files:
                    framework, step = os.path.relpath(where, folder).split(os.sep)
                    with open(os.path.join(where, "seconds")) as f:
                        rows.append({"seed": seed, "fold": fold, "framework": framework, "step": step,
                                     "seconds": f.read().strip()})
    return rows


def markdown(rows, spent, args):
    """Arms down, figures across."""
    lines = ["| | " + " | ".join(FIGURES) + " | s a fold to learn |", "|---" * (len(FIGURES) + 2) + "|"]
    for framework, arm in dict.fromkeys((r["framework"], r["arm"]) for r in rows):
        cells = ["{:.3f} ({:.3f}–{:.3f})".format(*(float(r[c]) for c in ("value", "ci_low", "ci_high")))
                 for r in rows if (r["framework"], r["arm"]) == (framework, arm)]
        seconds = [float(t["seconds"]) for t in spent if (t["framework"], t["step"]) == (framework, arm)]
        cells.append(f"{mean(seconds):.0f}" if seconds else "–")
        lines.append(f"| {framework}, {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("dataset", help="folder with studies.csv, slices.csv and volumes")
    add("--out", required=True, help="folder for everything")
    add("--folds", type=int, default=5, help="parts that the patients are dealt into [5]")
    add("--seeds", type=int, default=3, help="times that all is repeated with other folds and other weights [3]")
    add("--first-seed", type=int, default=1, help="number of the first of them [1]")
    add("--size", type=int, default=128, help="pixels [128]")
    add("--epochs", type=int, default=10, help="of pretraining [10]")
    add("--finetune-epochs", type=int, help="of fine-tuning [as --epochs]")
    add("--val", type=float, default=0, help="share of the learning patients that choose the best epoch [0: the last]")
    add("--init", help="Ichor model to start pretraining from, such as one of phantoms")
    add("--arms", help="ways of learning, with commas between [all that apply]")
    add("--framework", choices=["ichor", "torch", "both"], default="ichor")
    add("--pretrain-options", default="", help="more options of pretrain, in one text")
    add("--finetune-options", default="", help="more options of finetune, in one text")
    add("--scratch-options", default="--lr-cnn 3e-4", help="the same for study labels from scratch [--lr-cnn 3e-4]")
    add("--ichor", default=os.path.join(HERE, "..", "build", "ichor"), help="the program [build/ichor]")
    add("--python", default=sys.executable, help="the Python that has torch [the one that runs this]")
    add("--threads", type=int, default=0, help="[all cores this process may use]")
    add("--keep", action="store_true", help="keep the weights of every run")
    args = parser.parse_args()
    args.finetune_epochs = args.finetune_epochs or args.epochs
    args.seed_numbers = range(args.first_seed, args.first_seed + args.seeds)
    return args


def main():
    args = arguments()
    arms = args.arms.split(",") if args.arms else \
        ["init"] * bool(args.init) + ["pretrained", "finetuned"] + ["adapted"] * bool(args.init) + ["scratch"]
    frameworks = [Framework(n, args) for n in (["ichor", "torch"] if args.framework == "both" else [args.framework])]
    os.makedirs(args.out, exist_ok=True)
    pooled = collections.defaultdict(list)
    for seed in args.seed_numbers:
        cross_validate(args, seed, frameworks, arms, pooled)
    rows = [r for (name, arm), folders in pooled.items() for r in figures_of(folders, args, name, arm)]
    spent = times(args)
    write_table(os.path.join(args.out, "table.csv"), rows)
    write_table(os.path.join(args.out, "times.csv"), spent)
    with open(os.path.join(args.out, "table.md"), "w") as f:
        f.write(markdown(rows, spent, args))
    print(markdown(rows, spent, args), end="")


if __name__ == "__main__":
    main()
