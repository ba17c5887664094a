#!/usr/bin/python3
"""Makes tests/infer/fixtures/pairs.csv and comparisons.csv: two readers on the same cases, and what others compute.

From R's pROC: the paired DeLong test. From statsmodels: exact McNemar, Cohen's kappa with its interval and test. From
scipy: Student's and Wilcoxon's paired tests, and the distributions. Computed here from their definitions: mid-p from
scipy's binomial, Newcombe's interval (method 10) from statsmodels' Wilson intervals, and Wilcoxon's test with ties up
to 16 differences by trying all signs. An empty field: there is no such figure.

Debian: python3-numpy, python3-scipy, python3-statsmodels, r-cran-proc. Run from anywhere; the output does not change.
"""
import csv
import itertools
import math
import os
import subprocess
import tempfile

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
rng = np.random.default_rng(1947)
PROC = """
suppressMessages(library(pROC))
d <- read.csv(commandArgs(TRUE)[1])
t <- roc.test(roc(d$label, d$a, levels=c(0, 1), direction="<", quiet=TRUE),
              roc(d$label, d$b, levels=c(0, 1), direction="<", quiet=TRUE), method="delong", paired=TRUE)
cat(sprintf("%.17g", c(t$estimate[1] - t$estimate[2], t$conf.int, t$statistic, t$p.value)))
"""


def drawn(n, prevalence, digits=None):
    label = (rng.random(n) < prevalence).astype(int)
    shared = rng.normal(size=n)

    def score(signal):
        s = 1 / (1 + np.exp(-(0.7 * shared + 0.7 * rng.normal(size=n) + signal * label - 0.7)))
        return s if digits is None else s.round(digits)

    return score(1.8), score(1.2), label


def make_cases():
    a, b, y = drawn(120, 0.4)
    reader = (rng.random(80) < np.where(np.arange(80) % 3 == 0, 0.85, 0.2)).astype(float)
    model, _, label = drawn(80, 0.35, 2)
    ones = np.ones(4)
    return {
        "smooth": (a, b, y),
        "ties": drawn(90, 0.5, 1),
        "rare": drawn(150, 0.03, 3),
        "model and reader": (model, reader, label),
        "the same": (a[:30], a[:30], y[:30]),
        "balanced": (np.array([1, 1, 0, 0, 1, 0.0]), np.array([1, 0, 1, 0, 0, 1.0]), np.array([1, 1, 1, 0, 0, 0])),
        "one says always": (np.array([0.9, 0.8, 0.7, 0.6, 0.9]), np.array([0.1, 0.9, 0.2, 0.3, 0.9]), np.array([1, 1, 0, 0, 1])),
        "both say always": (ones, ones, np.array([1, 0, 1, 0])),
        "perfect and inverted": (np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.9, 0.8, 0.2, 0.1]), np.array([0, 0, 1, 1])),
        "one positive": (np.array([0.2, 0.7, 0.4]), np.array([0.6, 0.1, 0.4]), np.array([0, 1, 0])),
        "positives only": (np.array([0.2, 0.9, 0.9]), np.array([0.7, 0.1, 0.9]), np.array([1, 1, 1])),
        "negatives only": (np.array([0.2, 0.9, 0.9]), np.array([0.7, 0.1, 0.9]), np.array([0, 0, 0])),
        "empty": (np.array([]), np.array([]), np.array([], dtype=int)),
    }


def make_times():
    few = rng.lognormal(3, 0.4, 12)
    many = rng.lognormal(3, 0.4, 70).round(1)
    return {
        "few": (few, few * rng.lognormal(-0.2, 0.3, 12)),
        "twenty": tuple(rng.lognormal(m, 0.5, 20) for m in (1, 1.3)),
        "fifty": tuple(rng.lognormal(m, 0.5, 50) for m in (1, 1.1)),
        "many, ties": (many, (many + rng.normal(0.8, 3, 70)).round(0)),
        "few, ties and zeros": (np.array([5, 7, 9, 4, 6, 8, 10, 3, 5.0]), np.array([6, 5, 9, 6, 4, 7, 7, 3, 4.0])),
        "all later": (np.array([1, 2, 3.0]), np.array([2, 4, 6.0])),
        "one": (np.array([5.0]), np.array([4.0])),
        "equal": (np.array([5.0, 6, 7]), np.array([5.0, 6, 7])),
        "by a constant": (np.array([5.0, 6, 7]), np.array([4.0, 5, 6])),
        "empty": (np.array([]), np.array([])),
    }


def delong(a, b, label):
    if min(label.sum(), (1 - label).sum()) < 2:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("a,b,label\n" + "".join(f"{x!r},{y!r},{z}\n" for x, y, z in zip(map(float, a), map(float, b), label)))
        file.flush()
        out = subprocess.run(["Rscript", "-e", PROC, file.name], capture_output=True, text=True, check=True).stdout
    estimate, low, high, z, p = (float(x) for x in out.split())
    return (estimate, low, high, z, p) if math.isfinite(z) else None


def newcombe(both, only_a, only_b, neither):
    """Newcombe 1998, method 10."""
    n = both + only_a + only_b + neither
    p1, p2 = (both + only_a) / n, (both + only_b) / n
    l1, u1 = proportion_confint(both + only_a, n, method="wilson")
    l2, u2 = proportion_confint(both + only_b, n, method="wilson")
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    top = both * neither - only_a * only_b
    if top > 0:
        top = max(top - n / 2, 0)
    phi = top / math.sqrt(margins) if margins else 0
    d = p1 - p2
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    return d, d - math.sqrt(max(0, below)), d + math.sqrt(max(0, above))


def table(x, y):
    return [int(v) for v in ((x & y).sum(), (x & ~y).sum(), (~x & y).sum(), (~x & ~y).sum())]


def shares(a, b, label):
    right_a, right_b = (a >= 0.5) == label, (b >= 0.5) == label
    for name, of in (("accuracy", label >= 0), ("sensitivity", label == 1), ("specificity", label == 0)):
        t = table(right_a[of], right_b[of])
        if not sum(t):
            yield name, "exact", None
            yield name, "mid-p", None
            continue
        least, discordant = min(t[1], t[2]), t[1] + t[2]
        exact = mcnemar([[t[0], t[1]], [t[2], t[3]]], exact=True).pvalue
        mid = 2 * stats.binom.cdf(least, discordant, 0.5) - stats.binom.pmf(least, discordant, 0.5) if discordant else 1
        yield name, "exact", (*newcombe(*t), least, min(1, exact))
        yield name, "mid-p", (*newcombe(*t), least, mid)


def kappa(a, b):
    t = table(a >= 0.5, b >= 0.5)
    if max(t[0], t[3]) == sum(t):
        return None
    r = cohens_kappa([[t[0], t[1]], [t[2], t[3]]])
    degenerate = not r.var_kappa0 > 1e-15
    return (r.kappa, *(None,) * 4) if degenerate else (r.kappa, r.kappa_low, r.kappa_upp, r.z_value, r.pvalue_two_sided)


def signed_rank(a, b):
    d = a - b
    d = d[d != 0]
    if not len(d):
        return None
    ranks = stats.rankdata(abs(d))
    least = min(ranks[d > 0].sum(), ranks[d < 0].sum())
    if len(d) <= 16:
        sums = [sum(r for r, s in zip(ranks, signs) if s) for signs in itertools.product((0, 1), repeat=len(d))]
        p = min(1, 2 * np.mean([s <= least for s in sums]))
    else:
        p = stats.wilcoxon(a, b, mode="exact" if len(d) <= 50 else "approx", correction=False).pvalue
    return np.median(a - b), None, None, least, p


def student(a, b):
    d = a - b
    if len(d) < 2 or np.ptp(d) == 0:
        return None
    t, p = stats.ttest_rel(a, b)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    return d.mean(), d.mean() - half, d.mean() + half, t, p


def text(value):
    return "" if value is None else repr(float(value))


def main():
    cases, times = make_cases(), make_times()
    with open(os.path.join(OUT, "pairs.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["case", "a", "b", "label"])
        for name, (a, b, y) in cases.items():
            out.writerows([name, text(p), text(q), int(l)] for p, q, l in zip(a, b, y))
        for name, (a, b) in times.items():
            out.writerows(["times: " + name, text(p), text(q), ""] for p, q in zip(a, b))
    with open(os.path.join(OUT, "comparisons.csv"), "w") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["case", "figure", "method", "estimate", "low", "high", "statistic", "p"])

        def put(name, figure, method, numbers):
            out.writerow([name, figure, method, *map(text, numbers or (None,) * 5)])

        for name, (a, b, y) in cases.items():
            put(name, "auc", "", delong(a, b, y))
            for figure, method, numbers in shares(a, b, y):
                put(name, figure, method, numbers)
            put(name, "kappa", "", kappa(a, b) if len(y) else None)
        for name, (a, b) in times.items():
            put("times: " + name, "t", "", student(a, b))
            put("times: " + name, "signed rank", "", signed_rank(a, b))
        for t, freedom in ((0, 3), (0.5, 1), (-2.1, 7), (3, 2.5), (1.96, 1e6), (40, 5)):
            put(repr(t), "student", repr(freedom), (2 * stats.t.sf(abs(t), freedom), *(None,) * 4))
        for p, freedom in ((0.975, 1), (0.975, 9), (0.025, 30), (0.6, 4), (0.999, 1000)):
            put(repr(p), "student quantile", repr(freedom), (stats.t.ppf(p, freedom), *(None,) * 4))
        for x, a, b in ((0.1, 2, 3), (0.5, 0.5, 0.5), (0.99, 40, 2), (0.02, 1, 300), (0.3, 3000, 7000), (0.049, 50, 951)):
            put(repr(x), "beta", f"{a} {b}", (stats.beta.cdf(x, a, b), *(None,) * 4))
        for k, n, p in ((0, 1, 0.5), (3, 10, 0.5), (10, 10, 0.3), (0, 0, 0.5), (2, 45, 0.05), (480, 1000, 0.5), (7, 9, 1.0)):
            put(f"{k} {n}", "binomial", repr(p), (stats.binom.pmf(k, n, p), *(None,) * 4))
            put(f"{k} {n}", "binomial cdf", repr(p), (stats.binom.cdf(k, n, p), *(None,) * 4))


main()
