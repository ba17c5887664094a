#!/usr/bin/python3
"""Loads a model of Ichor's into torch and checks a dump of `ichor audit MODEL INPUT --backward --dump DIR` against it:
every node's output to 1e-4 of its largest value, every gradient to 1e-3. Torch works in double precision. A ReLU has
no derivative at 0, and where an activation stands nearer to it than float can tell, float and double rightly differ:
for the gradients torch therefore lets pass what Ichor's ReLUs let pass. And a network that has hardly learned may feed
its LSTM large numbers: so a value may also be off by ten times what torch's own float value is off.

Knows the models from torchvision's definitions, which are short enough to be written out; nothing is taken from Ichor
but model.safetensors and the dump.

    torch_check.py MODEL.safetensors DUMP DATASET STUDY      status 77: torch or numpy are not installed
"""
import csv
import json
import pathlib
import struct
import sys

try:
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

LABELS = ["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]
WEIGHTS = torch.tensor([2.0, 1, 1, 1, 1, 1], dtype=torch.float64)


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    meta = header.pop("__metadata__")
    body = data[8 + length:]
    tensors = {}
    for name, t in header.items():
        assert t["dtype"] == "F32"
        a, b = t["data_offsets"]
        tensors[name] = torch.from_numpy(np.frombuffer(body[a:b], "<f4").reshape(t["shape"]).copy())
    return tensors, meta


def is_buffer(name):
    return "running_" in name or name == "gp.inducing"


class Net:
    """Functional torch, that notes each value under Ichor's name."""

    def __init__(self, params, meta, dtype, relus=None):
        self.recipe = dict(line.split(" = ") for line in meta["recipe"].splitlines() if " = " in line)
        self.arch, self.heads, self.dtype, self.relus, self.seen = meta["arch"], meta["heads"], dtype, relus, {}
        self.p = {name: value.to(dtype).clone().requires_grad_(not is_buffer(name)) for name, value in params.items()}

    def note(self, name, value):
        assert name not in self.seen, name
        self.seen[name] = value
        return value

    def conv(self, name, x, stride=1, pad=0, groups=1):
        return self.note(name, F.conv2d(x, self.p[name + ".weight"], None, stride, pad, 1, groups))

    def norm(self, name, x):
        p = [self.p[f"{name}.{s}"] for s in ("running_mean", "running_var", "weight", "bias")]
        return self.note(name, F.batch_norm(x, *p, False, 0.1, 1e-5))

    def relu(self, name, x):
        return self.note(name, F.relu(x) if self.relus is None else x * self.relus(name).to(self.dtype))

    def resnet(self, x, blocks, bottleneck, groups):
        x = self.relu("relu", self.norm("bn1", self.conv("conv1", x, 2, 3)))
        x = self.note("maxpool", F.max_pool2d(x, 3, 2, 1))
        for stage, count in enumerate(blocks):
            for i in range(count):
                at, stride = f"layer{stage + 1}.{i}.", 2 if stage and not i else 1
                if bottleneck:
                    y = self.relu(at + "relu1", self.norm(at + "bn1", self.conv(at + "conv1", x)))
                    y = self.conv(at + "conv2", y, stride, 1, groups)
                    y = self.relu(at + "relu2", self.norm(at + "bn2", y))
                    y = self.norm(at + "bn3", self.conv(at + "conv3", y))
                else:
                    y = self.relu(at + "relu1", self.norm(at + "bn1", self.conv(at + "conv1", x, stride, 1)))
                    y = self.norm(at + "bn2", self.conv(at + "conv2", y, 1, 1))
                if at + "downsample.0.weight" in self.p:
                    x = self.norm(at + "downsample.1", self.conv(at + "downsample.0", x, stride))
                x = self.relu(at + ("relu3" if bottleneck else "relu2"), self.note(at + "add", y + x))
        return x

    def densenet(self, x, blocks):
        f = "features."
        x = self.relu(f + "relu0", self.norm(f + "norm0", self.conv(f + "conv0", x, 2, 3)))
        x = self.note(f + "pool0", F.max_pool2d(x, 3, 2, 1))
        for b, count in enumerate(blocks, 1):
            for i in range(1, count + 1):
                at = f"{f}denseblock{b}.denselayer{i}."
                y = self.conv(at + "conv1", self.relu(at + "relu1", self.norm(at + "norm1", x)))
                y = self.conv(at + "conv2", self.relu(at + "relu2", self.norm(at + "norm2", y)), 1, 1)
                x = self.note(at + "concat", torch.cat([x, y], 1))
            if b < len(blocks):
                at = f"{f}transition{b}."
                x = self.conv(at + "conv", self.relu(at + "relu", self.norm(at + "norm", x)))
                x = self.note(at + "pool", F.avg_pool2d(x, 2, 2))
        return self.relu(f + "relu5", self.norm(f + "norm5", x))

    def cnn(self, x):
        arch = self.arch
        if arch == "densenet121":
            x = self.densenet(x, [6, 12, 24, 16])
        else:
            bottleneck = arch in ("resnet50", "resnext50_32x4d")
            blocks = [2, 2, 2, 2] if arch == "resnet18" else [3, 4, 6, 3]
            x = self.resnet(x, blocks, bottleneck, 32 if "resnext" in arch else 1)
        return self.note("avgpool", x.mean((2, 3), keepdim=True)).flatten(1)

    def linear(self, name, params, x):
        return self.note(name, F.linear(x, self.p[params + ".weight"], self.p[params + ".bias"]))

    def lstm(self, x):
        weights = {k[5:]: v for k, v in self.p.items() if k.startswith("lstm.")}
        module = nn.LSTM(x.shape[1], weights["weight_hh_l0"].shape[1], bidirectional=True).to(self.dtype)
        for name, value in weights.items():
            delattr(module, name)
            setattr(module, name, value)
        module._flat_weights = [weights[n] for n in module._flat_weights_names]
        return self.note("lstm", module(x)[0])

    def self_attention(self, x):
        x = self.linear("context.embed", "context.embed", x)
        p = {name: self.p["context." + name] for name in (
            "norm.weight", "norm.bias", "attention.in_proj_weight", "attention.in_proj_bias",
            "attention.out_proj.weight", "attention.out_proj.bias")}
        n = self.note("context.norm", F.layer_norm(x, x.shape[1:], p["norm.weight"], p["norm.bias"]))
        seen = F.multi_head_attention_forward(
            n, n, n, n.shape[1], 4, p["attention.in_proj_weight"], p["attention.in_proj_bias"], None, None, False, 0,
            p["attention.out_proj.weight"], p["attention.out_proj.bias"])[0]
        return self.note("context.add", x + self.note("context.attention", seen))

    def roughness(self, f):
        step = f.diff(dim=0)
        if self.recipe["smooth-order"] == "2":  # L f: at the ends one difference, elsewhere two
            step = torch.cat([-step[:1], -step.diff(dim=0), step[-1:]])
        s = step.square().sum(0).mean() / len(f)
        self.note("attention.smoothness", (float(self.recipe["smooth"]) * s).reshape(1, 1))

    def attend(self, h):
        m = torch.tanh(F.linear(h, self.p["attention.V.weight"], self.p["attention.V.bias"]))
        if "attention.U.weight" in self.p:
            m = m * torch.sigmoid(F.linear(h, self.p["attention.U.weight"], self.p["attention.U.bias"]))
        energy = F.linear(m, self.p["attention.w.weight"])
        if float(self.recipe["smooth"]) > 0:
            self.roughness(energy - energy.logsumexp(0))
        a = self.note("attention", torch.softmax(energy, 0))
        return self.note("attention.pool", (a.mean(1, keepdim=True) * h).sum(0, keepdim=True))

    def gaussian_process(self, suffix, x):
        points, m, rho, amplitude, bias = (
            self.p["gp." + name] for name in ("inducing", "mean", "log_deviation", "log_amplitude", "bias"))
        x = self.note("gp.norm" + suffix, F.layer_norm(x, x.shape[1:], self.p["gp.norm.weight"], self.p["gp.norm.bias"]))
        x = self.note("gp.features" + suffix, torch.tanh(self.linear("gp.map" + suffix, "gp.map", x)))

        def kernel(a, b):
            return torch.exp(-(a[:, None] - b[None]).square().sum(2) / (2 * x.shape[1] / 3))

        alpha, s = amplitude.exp(), (2 * rho).exp()
        factor = torch.linalg.cholesky(kernel(points, points) + 1e-3 * torch.eye(len(points), dtype=self.dtype))
        a = torch.linalg.solve_triangular(factor, kernel(points, x), upper=False)
        mean = bias + alpha * (a.T @ m.T)
        variance = alpha**2 * (1 - a.square().sum(0)[:, None] + a.T.square() @ s.T)
        divergence = ((s + m.square() - 1 - 2 * rho).sum(1) / 2).expand(len(x), -1)
        self.note("gp" + suffix, torch.cat([mean, variance, divergence], 1))
        if not suffix:
            self.note("gp.kl", divergence.sum(1, keepdim=True) / 7)
        return self.note("classifier" + suffix, mean / torch.sqrt(1 + np.pi / 8 * variance))

    def study_head(self, x):
        contexts = {"lstm": self.lstm, "self-attention": self.self_attention, "none": lambda x: x}
        h = contexts[self.recipe["context"]](x)
        if self.recipe["classifier"] == "gp":
            self.gaussian_process(".slices", h)
            return self.gaussian_process("", self.attend(h))
        if self.recipe["pool"] == "attention":
            self.linear("classifier.slices", "classifier", h)
            return self.linear("classifier", "classifier", self.attend(h))
        x = self.linear("classifier", "classifier", h)
        pools = {"mean": lambda: x.mean(0, keepdim=True),
                 "max": lambda: x.max(0, keepdim=True).values,
                 "top-k": lambda: x.topk(min(int(self.recipe["top"]), len(x)), 0).values.mean(0, keepdim=True),
                 "noisy-or": lambda: torch.logit(1 - (1 - x.double().sigmoid()).prod(0, keepdim=True)).to(x.dtype)}
        return self.note("classifier.pool", pools[self.recipe["pool"]]())

    def run(self, images, label):
        """Notes every value and gradient; returns the loss."""
        x = torch.from_numpy(images).permute(0, 3, 1, 2).to(self.dtype)
        features = self.cnn(self.note("input", x))
        logits = self.linear("fc", "fc", features) if "image" in self.heads else None
        if "study" in self.heads:
            logits = self.study_head(features)
        loss = loss_of(logits.max(0).values if len(logits) > 1 else logits[0], label)
        loss.backward()
        return float(loss)

    def gradient(self, name):
        g = self.p[name].grad
        return np.zeros(self.p[name].shape) if g is None else g.double().numpy()


def loss_of(logits, target):
    known = ~torch.isnan(target)
    logits = logits.double()
    each = F.binary_cross_entropy_with_logits(logits, torch.where(known, target, torch.zeros(()).double()),
                                              reduction="none")
    return (each * WEIGHTS * known).sum() / 7


def label_of(dataset, study):
    with open(pathlib.Path(dataset) / "studies.csv", newline="", encoding="utf-8") as f:
        row = next(r for r in csv.DictReader(f) if r["study_id"] == study)
    return torch.tensor([float(row[name]) if row[name] else float("nan") for name in LABELS], dtype=torch.float64)


def distance(got, want):
    scale = np.abs(want).max()
    return np.abs(got - want).max() / (scale if scale > 0 else 1)


def check(what, got, want, bound, worst):
    assert got.dtype == np.float32 and got.shape == want.shape, f"{what}: {got.dtype} {got.shape}, not {want.shape}"
    error = distance(got.astype(float), want)
    if not error <= bound:
        sys.exit(f"{what}: differs from torch by {error:.2g} of its largest value, {np.abs(want).max():.3g}")
    return max(worst, (error, what))


def bound_of(floor, rough, want):
    """What float may be off: `floor`, or ten times what torch is in float."""
    return max(floor, 10 * distance(rough, want))


def in_our_layout(value):
    return (value.permute(0, 2, 3, 1) if value.dim() == 4 else value).detach().double().numpy()


def check_nodes(dump, net, rough):
    with open(dump / "nodes.csv", newline="", encoding="ascii") as f:
        rows = list(csv.DictReader(f))
    assert {r["name"] for r in rows} == set(net.seen), "other nodes than torch's"
    worst = (0, "")
    for i, row in enumerate(rows):
        assert int(row["index"]) == i and row["file"] == f"{i}_{row['name']}.npy"
        got, want, plain = np.load(dump / row["file"]), *(in_our_layout(n.seen[row["name"]]) for n in (net, rough))
        worst = check(row["name"], got, want, bound_of(1e-4, plain, want), worst)
        assert row["shape"] == "x".join(map(str, got.shape))
        assert np.float32(row["min"]) == got.min() and np.float32(row["max"]) == got.max()
        assert abs(float(row["mean"]) - got.mean(dtype=float)) <= 1e-6 * np.abs(got).max() + 1e-30
        assert abs(float(row["l2"]) - np.linalg.norm(got.astype(float))) <= 1e-6 * float(row["l2"])
    print(f"{len(rows)} nodes agree with torch, the worst, {worst[1]}, to {worst[0]:.2g}")


def check_gradients(dump, net, rough):
    worst = (0, "")
    learning = [name for name, p in net.p.items() if p.requires_grad]
    for name in learning:
        want = net.gradient(name)
        got = np.load(dump / "grad" / f"{name}.npy")
        worst = check(name, got, want, bound_of(1e-3, rough.gradient(name), want), worst)
    print(f"{len(learning)} gradients agree with torch, the worst, {worst[1]}, to {worst[0]:.2g}")


def main(model, dump, dataset, study):
    dump = pathlib.Path(dump)
    params, meta = read_safetensors(model)
    images, label = np.load(dump / "input.npy"), label_of(dataset, study)
    files = {path.name.partition("_")[2]: path for path in dump.glob("[0-9]*_*.npy")}

    def passed(relu):
        return torch.from_numpy(np.load(files[relu + ".npy"]) > 0).permute(0, 3, 1, 2)

    exact, rough, followed, followed_roughly = nets = [
        Net(params, meta, dtype, relus) for relus in (None, passed) for dtype in (torch.float64, torch.float32)]
    losses = [net.run(images, label) for net in nets]
    check_nodes(dump, exact, rough)
    check("loss", np.load(dump / "loss.npy"), np.array(losses[:1]), bound_of(1e-5, losses[1], losses[0]), (0, ""))
    check_gradients(dump, followed, followed_roughly)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: torch_check.py MODEL.safetensors DUMP DATASET STUDY")
    main(*sys.argv[1:])
