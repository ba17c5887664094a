#!/usr/bin/python3
"""torch as Ichor's peer: the same work, with the settings that are fastest in torch.

    peer_torch.py model --arch resnet18 --mode train     the row of `ichor bench model`
    peer_torch.py model --arch bilstm_attention --mode train --batch 35 --size 512
    peer_torch.py study SCAN.nii.gz --out DIR            one study, from its file to probabilities and heatmaps
    peer_torch.py onnx FILE.onnx --arch resnet18         the same network for ONNX Runtime
    peer_torch.py scan IN.nii.gz OUT.nii.gz --slices 35  a volume cut, or repeated, to so many slices

bilstm_attention is one study: `batch` is its slices, `size` the features of each. Allocators (LD_PRELOAD) and
limits to the processor come from outside: compare.py. Needs Debian's python3-torch, python3-nibabel, python3-pil.
"""
import argparse
import contextlib
import csv
import os
import threading
import time

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import torch_recipe
from torch_recipe import LABELS, WEIGHTS

WARM_UP, MIN_STEPS = 4, 3  # torch's tracer profiles the first two runs
HEAD, DENSE = "bilstm_attention", "densenet121"


# -- the networks ------------------------------------------------------------------------------------------
class DenseLayer(nn.Module):
    """Huang et al. 2016, arXiv 1608.06993, with torchvision's names."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y), inplace=True))], 1)


def sequence(**layers):
    named = nn.Sequential()
    for name, layer in layers.items():
        named.add_module(name, layer)
    return named


class DenseNet121(nn.Module):
    def __init__(self, growth=32, channels=64):
        super().__init__()
        self.features = sequence(conv0=nn.Conv2d(3, channels, 7, 2, 3, bias=False), norm0=nn.BatchNorm2d(channels),
                                 relu0=nn.ReLU(inplace=True), pool0=nn.MaxPool2d(3, 2, 1))
        for i, depth in enumerate([6, 12, 24, 16], 1):
            layers = {f"denselayer{j + 1}": DenseLayer(channels + j * growth, growth) for j in range(depth)}
            self.features.add_module(f"denseblock{i}", sequence(**layers))
            channels += depth * growth
            if i < 4:
                self.features.add_module(f"transition{i}", sequence(
                    norm=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True),
                    conv=nn.Conv2d(channels, channels // 2, 1, bias=False), pool=nn.AvgPool2d(2)))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, len(LABELS))

    def forward(self, x):
        return self.classifier(F.relu(self.features(x), inplace=True).mean((2, 3)))


class Maps(nn.Module):
    """A resnet up to its last feature maps, which the heatmaps need."""

    def __init__(self, cnn):
        super().__init__()
        self.cnn = cnn

    def forward(self, x):
        return self.cnn.maps(x)


def build(arch, size):
    torch.manual_seed(0)
    if arch == HEAD:
        return torch_recipe.StudyHead(size)
    return DenseNet121() if arch == DENSE else torch_recipe.ResNet(arch)


def for_inference(net, x):
    """Batch norm folded, ReLU and sums inside the convolutions, weights in oneDNN's own layout."""
    with torch.no_grad():
        return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net.eval(), x)))


def loss_of(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, WEIGHTS / WEIGHTS.sum())


# -- measuring ---------------------------------------------------------------------------------------------
def status_kib(key):
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key))


def held():
    """KiB held now; the recorded peak falls to it (proc(5))."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as f:
        f.write("5")
    return status_kib("VmRSS")


def measure(args, mode, images, step, before, warm_up=WARM_UP):
    for _ in range(warm_up):
        step()
    steps, elapsed, started = 0, 0.0, time.perf_counter()
    while steps < MIN_STEPS or elapsed < args.seconds:
        step()
        steps += 1
        elapsed = time.perf_counter() - started
    print("arch,mode,batch,size,threads,images_per_second,rss_mib")
    print(f"{args.arch},{mode},{images},{args.size},{args.threads},{steps * images / elapsed:.2f},"
          f"{(status_kib('VmHWM') - before) / 1024:.1f}")


# -- model -------------------------------------------------------------------------------------------------
def cnn_step(args):
    layout = getattr(torch, args.layout)
    net = build(args.arch, args.size).to(memory_format=layout)
    x = torch.randn(args.batch, 3, args.size, args.size).contiguous(memory_format=layout)
    if args.mode == "infer":
        net = for_inference(net, x)
        return lambda: net(x)
    y = torch.randint(0, 2, (args.batch, len(LABELS))).float()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-6, weight_decay=1e-2)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(net(x), y).backward()
        optimizer.step()

    return step


def head_step(args):
    """Forward of one study, or forward and backward down to the features, where the CNN goes on."""
    head = build(args.arch, args.size)
    f = torch.randn(args.batch, args.size)
    if args.mode == "infer":
        head = torch.jit.freeze(torch.jit.trace(head.eval(), f))
        return lambda: head(f)
    y = torch.randint(0, 2, (len(LABELS),)).float()
    f.requires_grad_()

    def step():
        f.grad = None
        head.zero_grad(set_to_none=True)
        loss_of(head(f)[0], y).backward()

    return step


def model(args):
    before = held()
    with torch.set_grad_enabled(args.mode == "train"):
        step = (head_step if args.arch == HEAD else cnn_step)(args)
        measure(args, args.mode, args.batch, step, before)


# -- study -------------------------------------------------------------------------------------------------
def place(pixels, mm, square_mm, size, cells):
    """[pixels, cells]: bilinear weights from a feature map's cells to a slice's pixels. Cell i is centred on
    the network's pixel 32 i (infer/heatmap.h)."""
    scale = square_mm / mm / size
    network = (torch.arange(pixels) + 0.5 - (pixels - scale * size) / 2) / scale - 0.5
    cell = (network / 32).clamp(0, cells - 1)
    return (1 - (cell[:, None] - torch.arange(cells)).abs()).clamp(0)


def heat_of(maps, gradient, hu, spacing, size):
    """Grad-CAM on the volume's own pixels, [T, rows, columns], as infer/heatmap.h defines it."""
    heat = torch.einsum("tchw,tc->thw", maps, gradient).clamp_(0)
    heat /= heat.max().clamp(min=1e-30)
    rows, columns = hu.shape[2:]
    square_mm = max(rows * spacing[1], columns * spacing[0])
    down = place(rows, spacing[1], square_mm, size, heat.shape[1])
    across = place(columns, spacing[0], square_mm, size, heat.shape[2])
    return (down @ heat @ across.T).mul_(1024).round_().div_(1024)


RAMP = np.clip(np.linspace(0, 3, 256, dtype=np.float32)[:, None] - np.arange(3, dtype=np.float32), 0, 1) * 255
RAMP = torch.from_numpy(RAMP)  # black, red, yellow, white


def write_overlays(hu, heat, stored, folder):
    for brain, h, index in zip(hu[:, 0], heat, stored):
        grey = ((brain - 40) * (255 / 80) + 127.5).clamp_(0, 255)[..., None]
        colour = RAMP[(h * 255).long()]
        rgb = torch.lerp(grey.expand_as(colour), colour, 0.7 * h[..., None]).round_().byte()
        Image.fromarray(rgb.numpy()).save(os.path.join(folder, f"{index:03d}.png"), compress_level=1)


def write_tables(study, slices, attention, stored, out):
    with open(os.path.join(out, "studies.csv"), "w", newline="", encoding="ascii") as f:
        csv.writer(f).writerows([["study_id", "n_slices", *LABELS], ["study", len(slices), *study.tolist()]])
    with open(os.path.join(out, "slices.csv"), "w", newline="", encoding="ascii") as f:
        rows = ([k, *p, a] for k, p, a in zip(stored, slices.tolist(), attention.tolist()))
        csv.writer(f).writerows([["slice_index", *LABELS, "attention"], *rows])


def one_study(args, maps_of, head):
    hu, image, back = torch_recipe.read_volume(args.scan)
    spacing, stored = torch_recipe.spacing_of(image), torch_recipe.stored_slices(image)
    with torch.no_grad():
        maps = maps_of(network_input(torch_recipe.resample(hu, spacing, args.size), args.layout))
    features = maps.mean((2, 3)).requires_grad_()
    study, slices, attention = head(features)
    gradient, = torch.autograd.grad(study[0], features)  # of `any`, through the head alone
    with torch.no_grad():
        heat = heat_of(maps, gradient, hu, spacing, args.size)
        folder = os.path.join(args.out, "heatmaps", "study")
        os.makedirs(folder, exist_ok=True)
        values = nibabel.orientations.apply_orientation(heat.permute(2, 1, 0).numpy(), back)
        volume = threading.Thread(target=nibabel.save, args=(nibabel.Nifti1Image(values, image.affine),
                                                             folder + ".nii.gz"))
        volume.start()  # deflates beside the pictures, without Python's lock
        write_overlays(hu, heat, stored, folder)
        write_tables(study.sigmoid(), slices.sigmoid(), attention, stored, args.out)
        volume.join()
    return len(stored)


def network_input(x, layout):
    return x.float().div_(63.75).sub_(2).contiguous(memory_format=getattr(torch, layout))


def study(args):
    before = held()
    layout = getattr(torch, args.layout)
    cnn = build(args.arch, args.size).to(memory_format=layout)
    head = build(HEAD, cnn.fc.in_features)
    example = torch.zeros(args.batch, 3, args.size, args.size).contiguous(memory_format=layout)
    traced = for_inference(Maps(cnn), example)

    def maps_of(x):
        return torch.cat([traced(chunk) for chunk in x.split(args.batch)])

    images = one_study(args, maps_of, head)
    measure(args, "study", images, lambda: one_study(args, maps_of, head), before, warm_up=1)


# -- files for the other peers -----------------------------------------------------------------------------
def onnx(args):
    x = torch.zeros(args.batch, 3, args.size, args.size)
    torch.onnx.export(build(args.arch, args.size).eval(), x, args.file, opset_version=13,
                      input_names=["images"], output_names=["logits"])


def scan(args):
    image = nibabel.load(args.source)
    slices = np.arange(args.slices) % image.shape[2]
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[:, :, slices], image.affine, image.header), args.file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for run, positional in ((model, []), (study, ["scan"]), (onnx, ["file"]), (scan, ["source", "file"])):
        verb = verbs.add_parser(run.__name__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        verb.set_defaults(run=run)
        for name in positional:
            verb.add_argument(name)
        if run is scan:
            verb.add_argument("--slices", type=int, default=35)
            continue
        archs = [*torch_recipe.ARCHS] + ([DENSE] if run is not study else []) + ([HEAD] if run is model else [])
        verb.add_argument("--arch", default="resnet18", choices=archs)
        verb.add_argument("--size", type=int, default=224, help="pixels")
        verb.add_argument("--batch", type=int, default=16, help="images at a time")
        verb.add_argument("--seconds", type=float, default=10, help="time to measure for, at least")
        verb.add_argument("--threads", type=int, default=2)
        verb.add_argument("--layout", default="channels_last", choices=["channels_last", "contiguous_format"])
    verbs.choices["model"].add_argument("--mode", default="infer", choices=["train", "infer"])
    verbs.choices["study"].add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(getattr(args, "threads", 1))
    args.run(args)


if __name__ == "__main__":
    main()
