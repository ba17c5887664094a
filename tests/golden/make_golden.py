#!/usr/bin/env python3
"""Makes tests/golden/*.csv: what torch computes for whole models, so that Ichor can be held to it.

Weights, inputs and labels are not stored: both sides draw them from the same hash (numbers() here, number() in
test_golden.c). Stored are digests of each tensor: its norm, its product with a hashed probe vector, and six of its
elements. Everything is computed in double precision.

A ReLU has no derivative at 0: where an activation stands nearer to it than float can tell, float and double rightly
differ, by a hundredth of a late layer's gradient, and steps multiply that (torch's own float answers for a resnet50 on
batch statistics are 7 % away from its double ones after three). So the models are calm: the last norm of each block
begins near 0.2 (Goyal et al. 2017 begin it at 0), and each model sees the pictures on which noise in every convolution
changes the gradient little: found by trying some dozens. --calm tells by how much.

Needs Debian's python3-torch. Run: ./make_golden.py   (takes a minute; the result does not depend on threads)
"""
import csv
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
LABELS = 6
WEIGHTS = torch.tensor([2.0, 1, 1, 1, 1, 1], dtype=torch.float64)


def fnv1a(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def numbers(name, count):
    """`count` numbers in [-1, 1), exact in float32: a hash of the name and the index."""
    x = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(fnv1a(name))
    x &= np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(15)
    return (x >> np.uint64(8)).astype(np.float64) / 2**23 - 1


class Block(nn.Module):
    """torchvision's BasicBlock (expansion 1) or Bottleneck (expansion 4), under its names."""

    def __init__(self, c, width, stride, expansion):
        super().__init__()
        shapes = [(c, width, 3, stride), (width, width, 3, 1)]
        if expansion == 4:
            shapes = [(c, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        self.depth = len(shapes)
        for i, (cin, cout, k, s) in enumerate(shapes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(cin, cout, k, s, k // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(cout))
        out = width * expansion
        self.downsample = None
        if stride != 1 or c != out:
            self.downsample = nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, counts, expansion, image_head):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        c = 64
        for stage, count in enumerate(counts):
            blocks = []
            for i in range(count):
                blocks.append(Block(c, 64 << stage, 2 if stage and not i else 1, expansion))
                c = (64 << stage) * expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, LABELS) if image_head else None

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        x = x.mean((2, 3))
        return self.fc(x) if self.fc else x


class Attention(nn.Module):
    def __init__(self, c, units):
        super().__init__()
        self.V, self.U, self.w = nn.Linear(c, units), nn.Linear(c, units), nn.Linear(units, 1, bias=False)

    def forward(self, h):  # Ilse 2018, equation 9
        return torch.softmax(self.w(torch.tanh(self.V(h)) * torch.sigmoid(self.U(h))), 0)


class Mil(ResNet):
    def __init__(self, counts, expansion):
        super().__init__(counts, expansion, False)
        self.lstm = nn.LSTM(512 * expansion, 128, bidirectional=True)
        self.attention = Attention(256, 128)
        self.classifier = nn.Linear(256, LABELS)

    def forward(self, x, lengths):
        features = super().forward(x)
        z = []
        for part in features.split(lengths):
            h = self.lstm(part)[0]
            z.append((self.attention(h) * h).sum(0))
        return self.classifier(torch.stack(z))


def fill(model):
    """Hashed numbers at each parameter's usual scale; running statistics that are not 0 and 1."""
    model.double()
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        u = torch.from_numpy(numbers(name, value.numel()).reshape(value.shape))
        if name.endswith("running_mean"):
            u = 0.1 * u
        elif name.endswith("running_var"):
            u = 1 + 0.3 * u
        elif value.dim() == 4:
            u = u * float(np.float32(np.sqrt(6.0 / (value.shape[0] * value.shape[2] * value.shape[3]))))
        elif value.dim() == 2:
            u = u * float(np.float32(np.sqrt(1.0 / value.shape[1])))
        elif name.startswith("layer") and name.endswith(f".bn{model.layer1[0].depth}.weight"):
            u = 0.2 + 0.04 * u  # the last norm of a block
        elif ("bn" in name or "downsample.1" in name) and name.endswith("weight"):
            u = 1 + 0.2 * u
        else:
            u = 0.1 * u
        value.copy_(u.float().double())


def labels(rows):
    t = torch.from_numpy((numbers("labels", rows * LABELS).reshape(rows, LABELS) > 0.2).astype(float))
    t[0, 2] = float("nan")  # one unknown label
    return t


def loss_of(logits, target):
    known = ~torch.isnan(target)
    each = F.binary_cross_entropy_with_logits(logits, torch.where(known, target, torch.zeros(())), reduction="none")
    return (each * WEIGHTS * known).sum() / (7 * len(target))


def digest(stage, name, value):
    v = value.detach().double().numpy().ravel()
    where = ((numbers(name + "/samples", 6) + 1) / 2 * v.size).astype(int)
    return [stage, name, np.linalg.norm(v), v @ numbers(name + "/probe", v.size), *v[where]]


def watch_nodes(model):
    """What each module that Ichor has a node for puts out, in Ichor's layout; a module that is called once a study
    (lstm, attention) puts its studies one after another."""
    seen = {}

    def note(name, y):
        y = y[0] if isinstance(y, tuple) else y
        y = y.detach().permute(0, 2, 3, 1) if y.dim() == 4 else y.detach()
        seen[name] = torch.cat([seen[name], y.contiguous()]) if name in seen else y.contiguous()

    handles = [module.register_forward_hook(lambda _, __, y, name=name: note(name, y))
               for name, module in model.named_modules()
               if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.LSTM, Attention)) or name in ("fc", "classifier")]
    return seen, handles


def run(model, images, size, lengths, optimizer, batch_statistics, mil, noise=0):
    """The table of one model; `noise` is added to each convolution, in units of its output's deviation."""
    fill(model)
    model.train(batch_statistics)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and noise:
            module.register_forward_hook(lambda _, __, y: y + noise * y.detach().std() * torch.randn(
                y.shape, generator=generator, dtype=y.dtype))
    rows = sum(lengths)
    x = torch.from_numpy(numbers(images, rows * size * size * 3).reshape(rows, size, size, 3)).permute(0, 3, 1, 2)
    target = labels(len(lengths) if mil else rows)
    forward = (lambda: model(x, lengths)) if mil else (lambda: model(x))
    step = optimizer(model)
    table = []
    seen, handles = watch_nodes(model)
    for i in range(4):
        step.zero_grad()
        logits = forward()
        for handle in handles:
            handle.remove()
        loss = loss_of(logits, target)
        table.append(digest(f"loss{i}", "loss", loss))
        table.append(digest(f"logits{i}", "logits", logits))
        if i == 3:
            break
        loss.backward()
        if i == 0:
            table += [digest("node", name, y) for name, y in seen.items()]
            table += [digest("gradient", n, p.grad) for n, p in model.named_parameters()]
        step.step()
    return table + [digest("after", n, p) for n, p in model.named_parameters()]


def cams(model, images, size, slices):
    """Class activation maps of a study's logit of `any`, at the end of each layer: Grad-CAM (Selvaraju et al. 2017),
    Grad-CAM++ (Chattopadhay et al. 2018, of exp(logit)), LayerCAM (Jiang et al. 2021)."""
    fill(model)
    model.eval()
    maps = {}
    for name in ("layer1", "layer2", "layer3", "layer4"):
        getattr(model, name).register_forward_hook(lambda _, __, y, name=name: maps.update({name: y}))
    x = torch.from_numpy(numbers(images, slices * size * size * 3).reshape(slices, size, size, 3)).permute(0, 3, 1, 2)
    score = model(x, [slices])[0, 0]
    table = []
    for (name, a), g in zip(maps.items(), torch.autograd.grad(score, list(maps.values()))):
        total = a.sum((2, 3), keepdim=True)
        share = torch.where(g == 0, torch.zeros_like(g), g**2 / (2 * g**2 + total * g**3))
        weights = {"gradcam": g.mean((2, 3), keepdim=True),
                   "gradcam++": (share * F.relu(g)).sum((2, 3), keepdim=True),
                   "layercam": F.relu(g)}
        table += [digest(method, name, F.relu((w * a).sum(1))) for method, w in weights.items()]
    return table


def write(file, table):
    with open(HERE / file, "w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["stage", "name", "norm", "probe"] + [f"s{i}" for i in range(6)])
        for row in table:
            out.writerow(row[:2] + [f"{v:.12g}" for v in row[2:]])


def tell_calm(file, table, noisy):
    """The worst relative change of any digest, by stage."""
    worst = {}
    for row, other in zip(table, noisy):
        worst[row[0]] = max(worst.get(row[0], 0), *(abs(a - b) / row[2] for a, b in zip(row[2:4], other[2:4])))
    print(file, ", ".join(f"{stage} {change:.0e}" for stage, change in worst.items()))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def adamw(model):
    # eps is large so that a step depends smoothly on the gradient and two implementations can be compared;
    # weight decay on weights only, as in Ichor.
    cnn, head = ([], []), ([], [])
    for name, p in model.named_parameters():
        group = head if name.split(".")[0] in ("lstm", "attention", "classifier", "fc") else cnn
        group[p.dim() > 1].append(p)
    settings = [dict(params=group[decay], lr=lr, weight_decay=0.01 * decay)
                for group, lr in ((cnn, 1e-4), (head, 1e-3)) for decay in (0, 1)]
    return torch.optim.AdamW(settings, eps=1e-3)


if __name__ == "__main__":
    for file, make, *settings in (
            ("resnet18.csv", lambda: ResNet([2, 2, 2, 2], 1, True), "images5", 75, [3], sgd, True, False),
            ("resnet50.csv", lambda: ResNet([3, 4, 6, 3], 4, True), "images8", 45, [2], adamw, False, False),
            ("mil.csv", lambda: Mil([2, 2, 2, 2], 1), "images13", 65, [5, 1, 7], adamw, False, True)):
        made = run(make(), *settings)
        if "--calm" in sys.argv:
            tell_calm(file, made, run(make(), *settings, noise=3e-6))
        else:
            write(file, made)
    write("cams.csv", cams(Mil([2, 2, 2, 2], 1), "images13", 65, 5))
