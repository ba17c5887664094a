#!/usr/bin/env python3
"""Makes tests/golden/heads.csv: what torch computes for each study head by itself, on features of three studies: logits,
the gradient of the loss with respect to every parameter and to the features; in double precision. The heads in torch
are those of tests/audit/torch_check.py; numbers and digests are make_golden.py's.

Needs Debian's python3-torch. Run: ./make_heads.py
"""
import sys

import numpy as np
import torch

from make_golden import HERE, LABELS, digest, labels, loss_of, numbers, write

sys.path.insert(0, str(HERE.parent / "audit"))
from torch_check import Net

LENGTHS, FEATURES, HIDDEN, ATTENTION = [5, 1, 7], 12, 6, 5
WIDTH = 2 * HIDDEN
USUAL = {"context": "lstm", "pool": "attention", "classifier": "linear", "gated": True, "heads": 1, "top": 3, "smooth": 0}

# as in test_heads.c
HEADS = {
    "gated-attention": {},
    "attention of two heads": {"gated": False, "heads": 2},
    "attention without context": {"context": "none"},
    "mean": {"pool": "mean"},
    "max": {"pool": "max"},
    "top-k": {"pool": "top-k"},
    "noisy-or": {"pool": "noisy-or"},
    "self-attention": {"context": "self-attention"},
    "gaussian process": {"classifier": "gp"},
}


def shapes(r):
    h = FEATURES if r["context"] == "none" else WIDTH
    if r["context"] == "lstm":
        for end in ("", "_reverse"):
            yield f"lstm.weight_ih_l0{end}", (4 * HIDDEN, FEATURES)
            yield f"lstm.weight_hh_l0{end}", (4 * HIDDEN, HIDDEN)
            yield f"lstm.bias_ih_l0{end}", (4 * HIDDEN,)
            yield f"lstm.bias_hh_l0{end}", (4 * HIDDEN,)
    if r["context"] == "self-attention":
        yield from {"embed.weight": (h, FEATURES), "embed.bias": (h,), "norm.weight": (h,), "norm.bias": (h,),
                    "attention.in_proj_weight": (3 * h, h), "attention.in_proj_bias": (3 * h,),
                    "attention.out_proj.weight": (h, h), "attention.out_proj.bias": (h,)}.items()
    if r["pool"] == "attention":
        for part in "VU" if r["gated"] else "V":
            yield f"attention.{part}.weight", (ATTENTION, h)
            yield f"attention.{part}.bias", (ATTENTION,)
        yield "attention.w.weight", (r["heads"], ATTENTION)
    if r["classifier"] == "gp":
        yield from {"gp.norm.weight": (h,), "gp.norm.bias": (h,), "gp.map.weight": (8, h), "gp.map.bias": (8,),
                    "gp.inducing": (32, 8), "gp.mean": (LABELS, 32), "gp.log_deviation": (LABELS, 32),
                    "gp.log_amplitude": (LABELS,), "gp.bias": (LABELS,)}.items()
    else:
        yield "classifier.weight", (LABELS, h)
        yield "classifier.bias", (LABELS,)


def full_name(name):
    return name if name.split(".")[0] in ("lstm", "attention", "gp", "classifier") and "proj" not in name else "context." + name


def value(name, shape):
    scale = float(np.float32(np.sqrt(1 / shape[1]))) if len(shape) == 2 else 0.1
    return torch.from_numpy(scale * numbers(name, int(np.prod(shape))).reshape(shape)).float()


def run(stage, recipe):
    params = {full_name(name): value(full_name(name), shape) for name, shape in shapes(recipe)}
    text = "\n".join(f"{key} = {value}" for key, value in recipe.items())
    net = Net(params, {"arch": "resnet18", "heads": "study", "recipe": text}, torch.float64)
    x = torch.from_numpy(numbers("features", sum(LENGTHS) * FEATURES).reshape(-1, FEATURES)).requires_grad_()
    logits = []
    for study in x.split(LENGTHS):
        net.seen = {}
        logits.append(net.study_head(study))
    logits = torch.cat(logits)
    loss = loss_of(logits, labels(len(LENGTHS)))
    loss.backward()
    table = [digest(stage, "loss", loss), digest(stage, "logits", logits), digest(stage, "features", x.grad)]
    return table + [digest(stage, name, p.grad) for name, p in net.p.items() if p.requires_grad]


if __name__ == "__main__":
    write("heads.csv", [row for name, changes in HEADS.items() for row in run(name, {**USUAL, **changes})])
