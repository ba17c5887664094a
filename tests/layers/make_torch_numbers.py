#!/usr/bin/env python3
"""Prints tests/layers/torch_numbers.h: small layers as torch computes them, in double precision.

Needs Debian's python3-torch. Run: ./make_torch_numbers.py > torch_numbers.h
"""
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)


def table(name, values):
    numbers = ", ".join(f"{v:.17g}" for v in values.detach().flatten().tolist()).replace("nan", "NAN")
    print(f"static const double {name}[] = {{{numbers}}};")


def loss():
    logit = torch.tensor([[0.3, -1.2, 2.5], [-40.0, 60.0, 0.0], [900.0, -900.0, 1e-9], [5.0, -0.7, 3.0]],
                         requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.25], [float("nan"), 1.0, float("nan")]])
    weight = torch.tensor([2.0, 1.0, 0.5])
    known = ~torch.isnan(target)
    each = F.binary_cross_entropy_with_logits(logit, torch.nan_to_num(target), reduction="none")
    value = (each * weight * known).sum() / 21
    value.backward()
    table("loss_logit", logit)
    table("loss_target", target)
    table("loss_weight", weight)
    table("loss_value", value)
    table("loss_gradient", logit.grad)
    # labels with 10 % false positives and 5 % false negatives: Patrini et al. 2017, forward correction
    T = torch.tensor([[0.9, 0.1], [0.05, 0.95]])  # T[i, j]: probability of label j where the truth is i
    logit.grad = None
    expected = torch.stack([1 - logit.sigmoid(), logit.sigmoid()], -1) @ T
    each = -torch.log(torch.where(target == 1, expected[..., 1], expected[..., 0]))
    soft = known & (target != 0) & (target != 1)
    each = torch.where(soft, -target * expected[..., 1].log() - (1 - target) * expected[..., 0].log(), each)
    value = (each * weight * known).sum() / 21
    value.backward()
    table("noisy_loss_value", value)
    table("noisy_loss_gradient", torch.nan_to_num(logit.grad))


def lstm():
    layer = nn.LSTM(3, 2, bidirectional=True)
    lengths = [4, 1, 3]
    x = torch.randn(sum(lengths), 3, requires_grad=True)
    probe = torch.randn(sum(lengths), 4)
    y = torch.cat([layer(part)[0] for part in x.split(lengths)])
    (y * probe).sum().backward()
    table("lstm_x", x)
    table("lstm_probe", probe)
    table("lstm_y", y)
    table("lstm_dx", x.grad)
    for name, value in layer.named_parameters():
        table(f"lstm_{name}", value)
        table(f"lstm_d_{name}", value.grad)


def batch_norm():
    layer = nn.BatchNorm2d(2)
    layer.weight.data = torch.randn(2)
    layer.bias.data = torch.randn(2)
    layer.running_mean = torch.randn(2)
    layer.running_var = torch.rand(2) + 0.5
    x = torch.randn(2, 2, 3, 1)
    table("norm_weight", layer.weight)
    table("norm_bias", layer.bias)
    table("norm_mean", layer.running_mean)
    table("norm_var", layer.running_var)
    table("norm_x", x.permute(0, 2, 3, 1).contiguous())
    table("norm_y", layer(x).permute(0, 2, 3, 1).contiguous())
    table("norm_mean_after", layer.running_mean)
    table("norm_var_after", layer.running_var)


print("/* Made by make_torch_numbers.py; do not edit. */\n/* clang-format off */\n#include <math.h>")
loss()
lstm()
batch_norm()
