#!/usr/bin/env python3
"""Prints tests/optim/torch_steps.h: optimizer steps and one-cycle factors as torch computes them, in double precision.

Needs Debian's python3-torch. Run: ./make_torch_steps.py > torch_steps.h
"""
import warnings

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
STEPS, WEIGHTS = 6, 5


def table(kind, name, values):
    print(f"static const {kind} {name}[] = {{{', '.join(f'{v:.17g}' for v in values)}}};")


def steps(name, make, clip):
    """A weight, which decays, and a bias, which does not; the learning rate changes in each step."""
    weight, bias = (torch.nn.Parameter(start[n].clone()) for n in (0, 1))
    optimizer = make([{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}])
    values, norms = [], []
    for i in range(STEPS):
        weight.grad, bias.grad = gradient[i, :WEIGHTS].clone(), gradient[i, WEIGHTS:].clone()
        norms.append(torch.nn.utils.clip_grad_norm_([weight, bias], clip if clip else float("inf")).item())
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (i + 1)
        optimizer.step()
        values += weight.tolist() + bias.tolist()
    table("double", f"{name}_values", values)
    table("double", f"{name}_norms", norms)


def onecycle(number, total, warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=total, pct_start=warmup)
    factors = []
    for i in range(total):
        factors.append(optimizer.param_groups[0]["lr"])
        if i + 1 < total:
            schedule.step()
    table("double", f"onecycle_{number}", factors)
    return f"{{{total}, {warmup}, onecycle_{number}}}"


warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
start = (torch.randn(WEIGHTS).float().double(), torch.randn(1).float().double())
gradient = torch.randn(STEPS, WEIGHTS + 1).float().double()
print("/* Made by make_torch_steps.py; do not edit. */\n/* clang-format off */")
print(f"enum {{ STEPS = {STEPS}, WEIGHTS = {WEIGHTS} }};")
table("float", "start", start[0].tolist() + start[1].tolist())
table("float", "gradient", gradient.flatten().tolist())
steps("adamw", lambda groups: torch.optim.AdamW(groups, lr=0), 0)
steps("adamw_clipped", lambda groups: torch.optim.AdamW(groups, lr=0), 1.5)
steps("sgd", lambda groups: torch.optim.SGD(groups, lr=0, momentum=0.9), 0)
steps("sgd_clipped", lambda groups: torch.optim.SGD(groups, lr=0, momentum=0.9), 1.5)
rows = [onecycle(i, *run) for i, run in enumerate(
    [(10, 0.3), (7, 0.3), (100, 0.25), (12, 0.5), (3, 0.3), (1, 0.3), (20, 0.0), (5, 1.0)])]
print("static const struct { int steps; double warmup; const double *factor; } onecycles[] = {" + ", ".join(rows) + "};")
