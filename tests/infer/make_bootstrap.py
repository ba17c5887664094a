#!/usr/bin/python3
"""Makes tests/infer/fixtures/clusters-answers.csv, clusters-truth.csv and clusters-figures.csv.

Patients with one to four studies whose scores resemble each other; what sklearn makes of them, macro averages included;
and intervals from a bootstrap of patients written here, draw by draw, with numpy's percentiles.

Debian: python3-numpy, python3-sklearn. Run from anywhere (about a minute); the output does not change from run to run.
"""
import csv
import os
import warnings

import numpy as np
from sklearn import metrics

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
LABELS = ["any", "epidural", "intraparenchymal", "subdural"]
DRAWS, THRESHOLD = 4000, 0.5
rng = np.random.default_rng(1993)
warnings.filterwarnings("ignore")


def make():
    rows = []
    for patient in range(60):
        ill = rng.random() < 0.5
        mood = rng.normal()
        for _ in range(rng.integers(1, 5)):
            types = [int(ill and rng.random() < p) for p in (0.0, 0.6, 0.5)]
            label = [int(any(types)), *types]
            score = [round(1 / (1 + np.exp(-(1.5 * y - 0.6 + 0.8 * mood + 0.8 * rng.normal()))), 3) for y in label]
            if rng.random() < 0.1:
                label[3] = None
            rows.append((f"s{len(rows):03d}", f"p{patient:02d}", score, label))
    return rows


def ece(y, s, bins=15):
    b = np.minimum((s * bins).astype(int), bins - 1)
    return sum(abs(s[b == i].sum() - y[b == i].sum()) for i in range(bins)) / len(y)


def share(top, bottom):
    return top / bottom if bottom else np.nan


def figures(y, s):
    called, both = s >= THRESHOLD, 0 < y.sum() < len(y)
    tp, fp, fn, tn = (called & (y == 1)).sum(), (called & (y == 0)).sum(), (~called & (y == 1)).sum(), (~called & (y == 0)).sum()
    return {
        "auc": metrics.roc_auc_score(y, s) if both else np.nan,
        "ppv": share(tp, tp + fp), "npv": share(tn, tn + fn), "sensitivity": share(tp, tp + fn),
        "specificity": share(tn, tn + fp), "accuracy": share(tp + tn, len(y)),
        "average_precision": metrics.average_precision_score(y, s) if y.sum() else np.nan,
        "brier": np.mean((s - y) ** 2) if len(y) else np.nan, "ece": ece(y, s),
        "log_loss": metrics.log_loss(y, s, labels=[0, 1]),
    }


def all_figures(scores, labels):
    out, loss, weights = {}, 0, 0
    for i, name in enumerate(LABELS):
        known = ~np.isnan(labels[:, i])
        of = figures(labels[known, i].astype(int), scores[known, i])
        out.update({(name, metric): value for metric, value in of.items()})
        weight = (2 if name == "any" else 1) * known.sum()
        loss, weights = loss + weight * of["log_loss"], weights + weight
    out["all", "rsna_weighted_log_loss"] = loss / weights
    return out


def main():
    rows = make()
    with open(os.path.join(OUT, "clusters-answers.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["study_id", *LABELS])
        out.writerows([study, *score] for study, _, score, _ in rows)
    with open(os.path.join(OUT, "clusters-truth.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["study_id", "patient_id", *LABELS])
        out.writerows([study, patient, *("" if y is None else y for y in label)] for study, patient, _, label in rows)
    patients = np.array([int(p[1:]) for _, p, _, _ in rows])
    scores = np.array([s for *_, s, _ in rows])
    labels = np.array([[np.nan if y is None else y for y in label] for *_, label in rows], dtype=float)
    point = all_figures(scores, labels)
    types = {m: [t for t in LABELS[1:] if not np.isnan(point[t, m])] for t, m in point if t == "any"}
    of_patient = [np.flatnonzero(patients == p) for p in range(60)]
    draws = []
    for _ in range(DRAWS):
        at = np.concatenate([of_patient[p] for p in rng.integers(0, 60, 60)])
        draws.append(all_figures(scores[at], labels[at]))
    for table in [point, *draws]:
        for m, of in types.items():
            table["macro", m] = np.mean([table[t, m] for t in of])
    with open(os.path.join(OUT, "clusters-figures.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["label", "metric", "value", "low", "high"])
        for key, value in point.items():
            drawn = np.array([d[key] for d in draws])
            drawn = drawn[~np.isnan(drawn)]
            span = np.percentile(drawn, [2.5, 97.5]) if len(drawn) >= 0.95 * DRAWS else [np.nan] * 2
            out.writerow([*key, *("" if np.isnan(x) else repr(float(x)) for x in (value, *span))])


main()
