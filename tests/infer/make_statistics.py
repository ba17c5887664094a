#!/usr/bin/python3
"""Makes tests/infer/fixtures/cases.csv and figures.csv: scores with labels, and what others compute from them.

From sklearn: AUC, ROC points, average precision, Brier score, log loss, confusion at a threshold. DeLong's interval
is computed here from its definition, every positive against every negative; Wilson's as the roots of its equation;
calibration error bin by bin; thresholds for a target by trying every score; Platt's line and the temperature by scipy's
root of the gradient, near what sklearn's less exact minimiser finds. An empty field: there is no such figure.

Debian: python3-numpy, python3-scipy, python3-sklearn. Run from anywhere; the output does not change from run to run.
"""
import csv
import math
import os

import numpy as np
from scipy import optimize, special, stats
from sklearn import metrics
from sklearn.calibration import _sigmoid_calibration

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
Z = stats.norm.ppf(0.975)
rng = np.random.default_rng(1988)


def drawn(n, prevalence, digits=None):
    label = (rng.random(n) < prevalence).astype(int)
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * label - 0.7)))
    return (score if digits is None else score.round(digits)), label


def make_cases():
    edges = np.concatenate([np.arange(16) / 15, np.arange(16) / 15])
    saturated = np.array([0, 1, 1 - 1e-12, 1 - 1e-9, 1 - 2e-9, 1 - 1e-8, 1e-9, 2e-9, 1e-300, 0.5, 1, 0])
    return {
        "smooth": drawn(211, 0.4),
        "ties": drawn(90, 0.45, 1),
        "rare": drawn(400, 0.02, 3),
        "perfect": (np.array([0.1, 0.2, 0.3, 0.7, 0.8]), np.array([0, 0, 0, 1, 1])),
        "inverted": (np.array([0.9, 0.8, 0.3, 0.2, 0.1]), np.array([0, 0, 1, 1, 1])),
        "one score": (np.full(7, 0.25), np.array([0, 1, 1, 0, 1, 0, 0])),
        "edges": (edges, np.array([0, 1] * 5 + [1] * 10 + [0] * 12)[: len(edges)]),
        "saturated": (saturated, np.array([0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1])),
        "one positive": (np.array([0.2, 0.4, 0.4, 0.6, 0.7]), np.array([0, 0, 1, 0, 0])),
        "one negative": (np.array([0.2, 0.4, 0.4, 0.6, 0.7]), np.array([1, 0, 1, 1, 1])),
        "positives only": (np.array([0.2, 0.9, 0.9]), np.array([1, 1, 1])),
        "negatives only": (np.array([0.2, 0.9, 0.9]), np.array([0, 0, 0])),
        "empty": (np.array([]), np.array([], dtype=int)),
    }


def delong(score, label):
    """DeLong, DeLong and Clarke-Pearson 1988: structural components from the whole matrix of comparisons."""
    above = score[label == 1][:, None]
    below = score[label == 0][None, :]
    psi = (above > below) + 0.5 * (above == below)
    auc = psi.mean()
    if min(psi.shape) < 2:
        return None, None
    variance = psi.mean(axis=1).var(ddof=1) / psi.shape[0] + psi.mean(axis=0).var(ddof=1) / psi.shape[1]
    half = Z * math.sqrt(variance)
    return max(0, auc - half), min(1, auc + half)


def wilson(k, n):
    """Both p with |k/n - p| = z sqrt(p (1 - p) / n)."""
    roots = np.roots([1 + Z**2 / n, -(2 * k / n + Z**2 / n), (k / n) ** 2])
    return min(roots), max(roots)


def calibration_error(score, label, bins=15):
    total = 0
    for b in range(bins):
        inside = (score * bins >= b) & (score * bins < b + 1 if b + 1 < bins else score * bins >= b)
        if inside.any():
            total += inside.sum() * abs(score[inside].mean() - label[inside].mean())
    return total / len(score)


def threshold_for(score, label, target, kind):
    """By trial: the lowest score that reaches the PPV, the highest that reaches the sensitivity."""
    good = []
    for t in np.unique(score):
        called = score >= t
        share = label[called].mean() if kind == "ppv" else label[called].sum() / label.sum()
        if share >= target:
            good.append(t)
    if not good:
        return None
    return min(good) if kind == "ppv" else max(good)


def line(score, label, with_offset):
    """Slope and offset of the logit with the least log loss against Platt's targets."""
    logit = special.logit(np.clip(score, 1e-30, 1 - 5e-10))
    ones = label.sum()
    target = np.where(label == 1, (ones + 1) / (ones + 2), 1 / (len(label) - ones + 2))

    def gradient(x):
        error = special.expit(x[0] * logit + (x[1] if with_offset else 0)) - target
        return [error @ logit, error.sum()] if with_offset else [error @ logit]

    def loss(x):
        z = x[0] * logit + (x[1] if with_offset else 0)
        return np.sum(np.logaddexp(0, z) - target * z)

    start = optimize.minimize(loss, [1.0, 0.0] if with_offset else [1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 5000}).x
    root = optimize.root(gradient, start, method="hybr", options={"xtol": 1e-14}).x
    if with_offset:
        a, b = _sigmoid_calibration(logit, label)
        assert loss(root) <= loss([-a, -b]) + 1e-9 and loss([-a, -b]) < loss(root) + 1e-4, (root, a, b)
    return (root[0], root[1] if with_offset else 0.0) if root[0] > 0 else None


def figures(score, label):
    n, positives = len(label), int(label.sum())
    both = 0 < positives < n
    yield "auc", None, metrics.roc_auc_score(label, score) if both else None, *(delong(score, label) if both else (None,) * 2)
    yield "average_precision", None, metrics.average_precision_score(label, score) if positives else None, None, None
    yield "brier", None, metrics.brier_score_loss(label, score) if n else None, None, None
    yield "log_loss", None, metrics.log_loss(label, score, labels=[0, 1]) if n else None, None, None
    yield "ece", None, calibration_error(score, label) if n else None, None, None
    for t in (0.25, 0.4, 0.5, 0.95):
        if n:
            tn, fp, fn, tp = metrics.confusion_matrix(label, score >= t, labels=[0, 1]).ravel()
            for name, value in (("tp", tp), ("fp", fp), ("tn", tn), ("fn", fn)):
                yield name, t, value, None, None
    for target in (0.3, 0.55, 0.9, 1.0):
        for kind in ("ppv", "sensitivity"):
            yield "threshold_for_" + kind, target, threshold_for(score, label, target, kind) if positives else None, None, None
    for name, with_offset in (("platt", True), ("temperature", False)):
        found = line(score, label, with_offset) if both and len(np.unique(score)) > 1 else None
        yield name, None, 0 if found else None, *(found or (None, None))
    if both:
        fpr, tpr, threshold = metrics.roc_curve(label, score, drop_intermediate=False)
        yield "threshold_youden", 0, threshold[1:][np.argmax((tpr - fpr)[1:].round(12))], None, None
        fpr, tpr, threshold = metrics.roc_curve(label, score, drop_intermediate=False)
        for t, x, y in list(zip(threshold, fpr, tpr))[1:]:  # the first is the corner that calls nothing
            yield "roc", None, t, x, y


def text(value):
    return "" if value is None else repr(float(value))


def main():
    os.makedirs(OUT, exist_ok=True)
    cases = make_cases()
    with open(os.path.join(OUT, "cases.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["case", "score", "label"])
        for name, (score, label) in cases.items():
            out.writerows([name, text(s), int(y)] for s, y in zip(score, label))
    with open(os.path.join(OUT, "figures.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["case", "figure", "at", "value", "low", "high"])
        for name, (score, label) in cases.items():
            out.writerows([name, figure, *map(text, numbers)] for figure, *numbers in figures(score, label))
        for k, n in ((0, 1), (1, 1), (0, 10), (10, 10), (1, 2), (3, 7), (50, 100), (999, 1000), (1, 752803)):
            out.writerow([f"{k} of {n}", "proportion", "", text(k / n), *map(text, wilson(k, n))])


main()
