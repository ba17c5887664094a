#!/usr/bin/python3
"""The same recipe in torch: Ichor's peer in benchmarks, and the honest comparison of its results.

    torch_recipe.py pretrain DATASET --out RUN --size 96 --epochs 3
    torch_recipe.py finetune DATASET --init RUN --out RUN2 --size 96 --epochs 3
    torch_recipe.py predict RUN2 DATASET --out PREDICTIONS
    torch_recipe.py score PREDICTIONS DATASET

A dataset with a column `split` is learned from by its rows `train`, and the epoch that is best on its rows `val`
is kept. --init takes a run of this program, or a model.safetensors of Ichor's: the names of the weights are the same.

Model: slices -> resnet (torchvision's names) -> BiLSTM -> gated attention (Ilse et al. 2018,
arXiv:1802.04712) -> six logits. Needs torch, numpy, nibabel: Debian's python3-torch and python3-nibabel.
"""
import argparse
import copy
import csv
import json
import math
import os
import time

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

LABELS = ["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]
WEIGHTS = torch.tensor([2.0, 1, 1, 1, 1, 1])
WINDOWS = [(40, 80), (80, 200), (40, 380)]
ARCHS = {"resnet18": (False, [2, 2, 2, 2]), "resnet34": (False, [3, 4, 6, 3]), "resnet50": (True, [3, 4, 6, 3])}


# -- the network -------------------------------------------------------------------------------------------
class Block(nn.Module):
    """Basic or bottleneck block, with torchvision's attribute names."""

    def __init__(self, inputs, planes, stride, bottleneck):
        super().__init__()
        outputs = planes * 4 if bottleneck else planes
        kernels = [(inputs, planes, 1, 1), (planes, planes, 3, stride), (planes, outputs, 1, 1)] if bottleneck \
            else [(inputs, planes, 3, stride), (planes, outputs, 3, 1)]
        for i, (a, b, k, s) in enumerate(kernels, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, k, s, k // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.depth = len(kernels)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = F.relu(y, inplace=True)
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class ResNet(nn.Module):
    def __init__(self, arch="resnet18", channels=3):
        super().__init__()
        bottleneck, depths = ARCHS[arch]
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                blocks.append(Block(inputs, 64 << i, 2 if i and not j else 1, bottleneck))
                inputs = (64 << i) * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, len(LABELS))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return x

    def features(self, x):
        return self.maps(x).mean((2, 3))

    def forward(self, x):
        return self.fc(self.features(x))


class StudyHead(nn.Module):
    """Features of one study's slices [T, F] -> logits of study and slices, attention."""

    def __init__(self, features, hidden=128, attention=128):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, bidirectional=True)
        self.V = nn.Linear(2 * hidden, attention)
        self.U = nn.Linear(2 * hidden, attention)
        self.w = nn.Linear(attention, 1)
        self.classifier = nn.Linear(2 * hidden, len(LABELS))

    def forward(self, f):
        h = self.lstm(f[:, None])[0][:, 0]
        a = self.w(torch.tanh(self.V(h)) * torch.sigmoid(self.U(h)))[:, 0].softmax(0)
        return self.classifier(a @ h), self.classifier(h), a


# -- data --------------------------------------------------------------------------------------------------
def read_table(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def labels_of(row):
    return [float(row[l]) if row[l] else math.nan for l in LABELS]


def read_volume(path):
    """HU of the slices [T, 1, rows, columns], foot to head, in radiological display; how they lie in the file."""
    image = nibabel.load(path)
    axes = nibabel.orientations.io_orientation(image.affine)
    target = nibabel.orientations.axcodes2ornt("LPS")
    hu = nibabel.orientations.apply_orientation(np.asarray(image.dataobj),
                                                nibabel.orientations.ornt_transform(axes, target))
    hu = torch.from_numpy(np.ascontiguousarray(hu.transpose(2, 1, 0), dtype=np.float32))[:, None]
    if np.issubdtype(image.get_data_dtype(), np.floating):
        hu = torch.nan_to_num(hu, nan=-1024)
    return hu, image, nibabel.orientations.ornt_transform(target, axes)


def resample(hu, spacing, size):
    """HU -> bytes [T, 3, size, size]. Two slices at a time stay in the cache: five times as fast as all at once."""
    extent = [hu.shape[2] * spacing[1], hu.shape[3] * spacing[0]]
    fit = [max(1, round(size * e / max(extent))) for e in extent]
    top, left = (size - fit[0]) // 2, (size - fit[1]) // 2
    low = torch.tensor([centre - width / 2 for centre, width in WINDOWS])[:, None, None]
    gain = 255 / torch.tensor([float(width) for _, width in WINDOWS])[:, None, None]
    y = torch.zeros(len(hu), len(WINDOWS), size, size, dtype=torch.uint8)
    for x, to in zip(hu.split(2), y.split(2)):
        small = F.interpolate(((x - low) * gain).clamp_(0, 255), fit, mode="bilinear", antialias=True)
        to[:, :, top:top + fit[0], left:left + fit[1]] = small.round_()
    return y


def spacing_of(image):
    """Millimetres from one column, row and slice to the next, as read_volume lays them."""
    axes = nibabel.orientations.io_orientation(image.affine)
    return np.abs(image.affine[:3, :3]).max(0)[np.argsort(axes[:, 0])]


def stored_slices(image):
    """The index in the file of each slice from foot to head."""
    axes = nibabel.orientations.io_orientation(image.affine)
    stored = np.arange(image.shape[2])
    return stored[::-1] if axes[2, 1] < 0 else stored


def decode(path, size):
    """A volume as bytes [T, 3, size, size], foot to head, and the stored index of each slice."""
    hu, image, _ = read_volume(path)
    return resample(hu, spacing_of(image), size), stored_slices(image)


class Dataset:
    """Every volume of one split decoded once and kept in memory; without splits all are train."""

    def __init__(self, folder, size, split, slices=False):
        rows = read_table(os.path.join(folder, "studies.csv"))
        divided = any(r.get("split") for r in rows)
        self.studies = [r for r in rows if (r.get("split") if divided else "train") == split]
        self.y = torch.tensor([labels_of(r) for r in self.studies])
        decoded = [decode(os.path.join(folder, r["path"]), size) for r in self.studies]
        self.x, self.stored = [d[0] for d in decoded], [d[1] for d in decoded]
        if slices:
            found = {(r["study_id"], int(r["slice_index"])): labels_of(r)
                     for r in read_table(os.path.join(folder, "slices.csv"))}
            unknown = [math.nan] * len(LABELS)
            self.slice_y = [torch.tensor([found.get((r["study_id"], int(k)), unknown) for k in s])
                            for r, s in zip(self.studies, self.stored)]


def augment(x, warp, jitter, size):
    """Bytes [N, 3, s, s] -> network input, warped and jittered by rows of random numbers in -1 … 1."""
    angle, scale = warp[:, 0] * math.radians(10), 1 + 0.1 * warp[:, 1]
    flip = torch.where(warp[:, 4] < 0, -1.0, 1.0)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    shift = 2 * 0.05 * warp[:, 2:4]
    theta = torch.stack([flip * cos, -sin, shift[:, 0], flip * sin, cos, shift[:, 1]], 1).view(-1, 2, 3)
    x = F.grid_sample(x.float() / 255, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    widths = torch.tensor([float(w) for _, w in WINDOWS])
    x = x * (1 + 0.05 * jitter[:, :1, None, None]) + (4 * jitter[:, 1:] / widths)[:, :, None, None]
    return normalise(x.clamp(0, 1))


def normalise(x):
    return ((x - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def random_input(x, generator, study=False):
    n = 1 if study else len(x)
    r = torch.rand(n, 7, generator=generator) * 2 - 1
    r = r.expand(len(x), -1)
    return augment(x, r[:, :5], r[:, 5:], x.shape[-1])


def loss_of(logits, target):
    known = ~torch.isnan(target)
    cost = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(target), reduction="none")
    return (cost * WEIGHTS * known).sum() / (WEIGHTS.sum() * len(target))


# -- learning ----------------------------------------------------------------------------------------------
def read_weights(init):
    """Arrays by name: of a run of this program, or of a safetensors file or a run of Ichor's."""
    path = os.path.join(init, "model.pt")
    if os.path.exists(path):
        return torch.load(path)["cnn"]
    path = os.path.join(init, "model.safetensors") if os.path.isdir(init) else init
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    return {name: torch.from_numpy(np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).copy())
            .reshape(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def make_net(args):
    net = ResNet(args.arch).to(memory_format=torch.channels_last)
    if args.init:
        weights = read_weights(args.init)
        own = net.state_dict()  # num_batches_tracked is nobody's business but torch's
        missing = [n for n in own if n not in weights and not n.startswith("fc.") and "num_batches" not in n]
        if missing:
            raise SystemExit(f"{args.init}: has no {missing[0]}: give a model of {args.arch}")
        net.load_state_dict({n: weights[n] for n in own if n in weights}, strict=False)
    return net


def groups_of(named, lr):
    """Weights decay; biases and norms are spared."""
    named = list(named)
    return [{"params": [p for _, p in named if p.dim() > 1], "lr": lr, "weight_decay": 1e-2},
            {"params": [p for _, p in named if p.dim() <= 1], "lr": lr, "weight_decay": 0}]


class Best:
    """Keeps the weights of the epoch with the least validation loss; without validation those of the last."""

    def __init__(self, modules):
        self.modules, self.loss, self.state = modules, math.inf, None

    def offer(self, loss):
        if loss is None or loss < self.loss:
            self.loss = math.inf if loss is None else loss
            self.state = {k: copy.deepcopy(m.state_dict()) for k, m in self.modules.items()}


def pretrain(args):
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    data, val = (Dataset(args.dataset, args.size, split, slices=True) for split in ("train", "val"))
    x, y = torch.cat(data.x), torch.cat(data.slice_y)
    known = ~y.isnan().all(1)
    x, y = x[known], y[known]
    net = make_net(args)
    optimizer = torch.optim.AdamW(groups_of(net.named_parameters(), args.lr))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, args.epochs * math.ceil(len(x) / args.batch))
    best = Best({"cnn": net})
    for epoch in range(args.epochs):
        started, total = time.time(), 0.0
        net.train()
        for rows in torch.randperm(len(x), generator=generator).split(args.batch):
            loss = loss_of(net(random_input(x[rows], generator)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        report(epoch, total / len(x), len(x), started)
        best.offer(validation(val, lambda i: (net.eval()(normalise(val.x[i].float() / 255)), val.slice_y[i])))
    save(args, best.state)


def finetune(args):
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    data, val = (Dataset(args.dataset, args.size, split) for split in ("train", "val"))
    net = make_net(args).eval()  # batch norm on running statistics
    head = StudyHead(net.fc.in_features)
    cnn = [(n, p) for n, p in net.named_parameters() if not n.startswith("fc.")]
    optimizer = torch.optim.AdamW(groups_of(cnn, args.lr_cnn) + groups_of(head.named_parameters(), args.lr))
    steps = args.epochs * math.ceil(len(data.x) / args.studies)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [args.lr_cnn] * 2 + [args.lr] * 2, steps)
    best = Best({"cnn": net, "head": head})
    for epoch in range(args.epochs):
        started, total = time.time(), 0.0
        for group in torch.randperm(len(data.x), generator=generator).split(args.studies):
            optimizer.zero_grad()
            for i in group.tolist():
                features = net.features(random_input(data.x[i], generator, study=True))
                loss = loss_of(head(features)[0][None], data.y[i:i + 1]) / len(group)
                loss.backward()
                total += loss.item() * len(group)
            optimizer.step()
            schedule.step()
        report(epoch, total / len(data.x), sum(map(len, data.x)), started)
        best.offer(validation(val, lambda i: (head(net.features(normalise(val.x[i].float() / 255)))[0][None],
                                              val.y[i:i + 1])))
    save(args, best.state)


@torch.no_grad()
def validation(val, answer):
    """Mean loss over the rows of the studies' answers; None where there is nothing to validate on."""
    pairs = [answer(i) for i in range(len(val.x))]
    return sum(loss_of(*p).item() * len(p[1]) for p in pairs) / sum(len(p[1]) for p in pairs) if pairs else None


# -- verbs -------------------------------------------------------------------------------------------------
@torch.no_grad()
def predict(args):
    model = torch.load(os.path.join(args.model, "model.pt"))
    net = ResNet(model["arch"]).to(memory_format=torch.channels_last).eval()
    net.load_state_dict(model["cnn"])
    head = StudyHead(net.fc.in_features) if "head" in model else None
    if head:
        head.load_state_dict(model["head"])
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "studies.csv"), "w", newline="") as f, \
            open(os.path.join(args.out, "slices.csv"), "w", newline="") as g:
        studies, slices = csv.writer(f), csv.writer(g)
        studies.writerow(["study_id", "n_slices", *LABELS, "seconds"])
        slices.writerow(["study_id", "slice_index", "image_id", *LABELS, "attention"])
        for row in read_table(os.path.join(args.dataset, "studies.csv")):
            started = time.time()
            x, stored = decode(os.path.join(args.dataset, row["path"]), model["size"])
            features = torch.cat([net.features(normalise(c.float() / 255)) for c in x.split(32)])
            if head:
                study, each, attention = head(features)
            else:  # images only: the worst slice speaks for the study
                each = net.fc(features)
                study, attention = each.max(0)[0], torch.full((len(x),), 1 / len(x))
            for k, p, a in sorted(zip(stored.tolist(), each.sigmoid().tolist(), attention.tolist())):
                slices.writerow([row["study_id"], k, f"{row['study_id']}-{k}", *(f"{v:.6g}" for v in p), f"{a:.6g}"])
            studies.writerow([row["study_id"], len(x), *(f"{v:.6g}" for v in study.sigmoid().tolist()),
                              f"{time.time() - started:.3f}"])


def score(args):
    """AUC (Mann-Whitney, ties count half) of every label, by study and by slice."""
    for table, key in (("studies.csv", ("study_id",)), ("slices.csv", ("study_id", "slice_index"))):
        truth = {tuple(r[k] for k in key): r for r in read_table(os.path.join(args.dataset, table))}
        rows = [(r, truth[tuple(r[k] for k in key)]) for r in read_table(os.path.join(args.predictions, table))]
        for label in LABELS:
            pairs = [(float(p[label]), t[label] == "1") for p, t in rows if t[label]]
            good, bad = (np.array([v for v, t in pairs if t == side]) for side in (True, False))
            if len(good) and len(bad):
                auc = ((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())
                print(f"{table[:-4]},{label},{auc:.4f},{len(pairs)},{len(good)}")


def report(epoch, loss, images, started):
    seconds = time.time() - started
    print(f"epoch {epoch + 1}: loss {loss:.4f}, {seconds:.1f} s, {images / seconds:.0f} images/s", flush=True)


def save(args, state):
    os.makedirs(args.out, exist_ok=True)
    torch.save({**state, "arch": args.arch, "size": args.size}, os.path.join(args.out, "model.pt"))
    with open(os.path.join(args.out, "recipe.json"), "w") as f:
        json.dump({k: v for k, v in vars(args).items() if k != "run"}, f, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for run, positional in ((pretrain, ["dataset"]), (finetune, ["dataset"]), (predict, ["model", "dataset"]),
                            (score, ["predictions", "dataset"])):
        verb = verbs.add_parser(run.__name__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        verb.set_defaults(run=run)
        for name in positional:
            verb.add_argument(name)
        verb.add_argument("--threads", type=int, default=2)
        if run is not score:
            verb.add_argument("--out", required=True)
        if run in (pretrain, finetune):
            verb.add_argument("--arch", default="resnet18", choices=ARCHS)
            verb.add_argument("--size", type=int, default=224, help="pixels")
            verb.add_argument("--epochs", type=int, default=3)
            verb.add_argument("--seed", type=int, default=0)
            verb.add_argument("--init", help="run of this program, or model.safetensors or run of Ichor's")
            verb.add_argument("--lr", type=float, default=9e-4 if run is pretrain else 1e-3)
    verbs.choices["pretrain"].add_argument("--batch", type=int, default=32, help="slices a step")
    verbs.choices["finetune"].add_argument("--studies", type=int, default=4, help="studies a step")
    verbs.choices["finetune"].add_argument("--lr-cnn", type=float, default=3e-5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    started = time.time()
    args.run(args)
    if args.run is not score:
        print(f"{args.run.__name__}: {time.time() - started:.1f} s")


if __name__ == "__main__":
    main()
