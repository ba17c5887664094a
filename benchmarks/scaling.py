#!/usr/bin/env python3
"""One process and two on this machine: speed, the same loss curve, what hides behind what; and what a cluster
would do by a cost model that is checked against the former.

    benchmarks/scaling.py [--ichor build/ichor] [--rounds 3] [--out docs]

Writes OUT/scaling-timeline.svg and prints the tables of docs/scaling.md. Needs mpirun. Figures are from runs in
turns; the model's numbers are measured here (compute, latency, bandwidth between processes of one machine) or
given (a cluster's network).
"""
import argparse, csv, math, os, statistics, subprocess, tempfile

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--ichor", default="build/ichor")
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--out", default="docs")
ap.add_argument("--arch", default="resnet18")
ap.add_argument("--size", type=int, default=224)
args = ap.parse_args()
ichor = os.path.realpath(args.ichor)
out = os.path.realpath(args.out)
env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
           OMPI_MCA_rmaps_base_oversubscribe="1")
BATCH = 16


def run(ranks, threads, *words):
    head = ["mpirun", "--bind-to", "core" if threads == 1 else "none", "-np", str(ranks)] if ranks > 1 else []
    return subprocess.run([*head, ichor, *words, "--threads", str(threads), "--quiet"], env=env, check=True,
                          capture_output=True, text=True).stdout


def log(folder, split="train"):
    with open(f"{folder}/log.csv") as f:
        return [r for r in csv.DictReader(f) if r["split"] == split]


def pretrain(folder, ranks, threads, *more):
    run(ranks, threads, "pretrain", "d", "--out", folder, "--arch", args.arch, "--size", str(args.size), "--batch",
        str(BATCH), "--cache", "cache", *more)


def speed(folder):
    """images a second after the first epoch"""
    rows = log(folder)[1:]
    return sum(float(r["images_per_second"]) * float(r["seconds"]) for r in rows) / sum(float(r["seconds"]) for r in rows)


def timeline(folder):
    with open(f"{folder}/timeline.csv") as f:
        return [dict(r, rank=int(r["rank"]), step=int(r["step"]), begin=float(r["begin"]), end=float(r["end"]))
                for r in csv.DictReader(f)]


COLOURS = {"forward": "#4477aa", "backward": "#66ccee", "sum": "#ee6677", "wait": "#bbbbbb", "update": "#228833"}


def draw(rows, step, path):
    """A step of all ranks: work above, the sums of gradients below."""
    rows = [r for r in rows if r["step"] == step]
    zero, end = min(r["begin"] for r in rows), max(r["end"] for r in rows)
    ranks = sorted({r["rank"] for r in rows})
    sums = max(sum(r["what"].startswith("sum") for r in rows if r["rank"] == k) for k in ranks)
    width, left, lane, bar = 900, 70, 26, 5
    block = lane + sums * (bar + 1) + 22
    scale = (width - left - 20) / (end - zero)
    x = lambda t: left + (t - zero) * scale
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {60 + block * len(ranks)}" '
           f'font-family="sans-serif" font-size="12"><title>A training step on {len(ranks)} ranks</title>'
           f'<rect width="100%" height="100%" fill="#fff"/>']
    for i, (name, colour) in enumerate(COLOURS.items()):
        label = {"sum": "sums of gradients", "wait": "waiting for them"}.get(name, name)
        svg.append(f'<rect x="{left + i * 150}" y="8" width="12" height="12" fill="{colour}"/>'
                   f'<text x="{left + 17 + i * 150}" y="18" fill="#222">{label}</text>')
    for k in ranks:
        top, n = 32 + k * block, 0
        svg.append(f'<text x="8" y="{top + 16}" fill="#222">rank {k}</text>')
        for r in (r for r in rows if r["rank"] == k):
            kind = r["what"].split()[0]
            y, h = top, lane - 6
            if kind == "sum":
                y, h, n = top + lane + n * (bar + 1), bar, n + 1
            svg.append(f'<rect x="{x(r["begin"]):.1f}" y="{y}" width="{max(0.5, (r["end"] - r["begin"]) * scale):.1f}" '
                       f'height="{h}" fill="{COLOURS[kind]}"/>')
    y = 32 + block * len(ranks)
    for i in range(6):
        t = zero + (end - zero) * i / 5
        svg.append(f'<text x="{x(t):.0f}" y="{y + 12}" fill="#222" text-anchor="middle">{1000 * (t - zero):.0f} ms</text>')
    open(path, "w").write("\n".join(svg) + "\n</svg>\n")


def median_sum(rows, what):
    """seconds a step of one kind, median over steps, of rank 0, without the first step"""
    steps = sorted({r["step"] for r in rows})[1:]
    return statistics.median(sum(r["end"] - r["begin"] for r in rows if r["rank"] == 0 and r["step"] == s and
                                 r["what"].split()[0] == what) for s in steps)


def busy(rows, rank, step):
    """seconds in which at least one sum was on its way"""
    spans = sorted((r["begin"], r["end"]) for r in rows if r["rank"] == rank and r["step"] == step and
                   r["what"].startswith("sum"))
    total, last = 0, -math.inf
    for b, e in spans:
        total += max(0, e - max(b, last))
        last = max(last, e)
    return total


def main():
    os.chdir(tempfile.mkdtemp())
    run(1, 2, "synth", "d", "--studies", "6", "--size", str(args.size), "--prevalence", "0.5", "--seed", "1")
    kinds = {"1 rank × 1 thread": (1, 1), "1 rank × 2 threads": (1, 2), "2 ranks × 1 thread": (2, 1)}
    speeds = {k: [] for k in kinds}
    for r in range(args.rounds):
        for i, (k, (ranks, threads)) in enumerate(kinds.items()):
            pretrain(f"r{r}{i}", ranks, threads, "--epochs", "2", "--timeline", "12")
            speeds[k].append(speed(f"r{r}{i}"))
    print("| | images/s, median (range) | of 1 rank × 2 threads, median of rounds |\n|---|---|---|")
    for k, s in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(s, speeds["1 rank × 2 threads"]))
        print(f"| {k} | {statistics.median(s):.1f} ({min(s):.1f}–{max(s):.1f}) | {ratio:.2f} |")

    rows = timeline(f"r{args.rounds - 1}2")
    draw(rows, max(r["step"] for r in rows) // 2, f"{out}/scaling-timeline.svg")
    steps = sorted({r["step"] for r in rows})[1:]
    on_the_way = statistics.median(busy(rows, 0, s) for s in steps)
    wait, forward, backward, update = (median_sum(rows, w) for w in ("wait", "forward", "backward", "update"))
    print(f"\nA step of 2 ranks: forward {1e3 * forward:.0f} ms, backward {1e3 * backward:.0f} ms, update "
          f"{1e3 * update:.0f} ms; sums on their way for {1e3 * on_the_way:.0f} ms, waited for {1e3 * wait:.0f} ms")

    # -- the same loss curve
    more = ("--epochs", "10", "--size", "64", "--arch", "resnet18")
    small = lambda folder, ranks, *extra: run(ranks, 1, "pretrain", "d", "--out", folder, "--batch", "32", "--cache",
                                              "cache64", *more, *extra)
    small("two", 2), small("parts", 1, "--parts", "2"), small("one", 1)
    steps_of = len(log("two")) * math.ceil(int(subprocess.run(["grep", "-c", "", "d/slices.csv"], capture_output=True,
                                                             text=True).stdout) / 32)
    worst = lambda a, b: max(abs(float(x["loss"]) - float(y["loss"])) / float(x["loss"]) for x, y in zip(log(a), log(b)))
    same = open("two/model.safetensors", "rb").read() == open("parts/model.safetensors", "rb").read()
    print(f"\n2 ranks against 1 rank over about {steps_of} steps, largest relative difference of an epoch's loss: with "
          f"--parts 2 {worst('parts', 'two'):.1e} (model file: {'the same bytes' if same else 'other bytes'}); without "
          f"{worst('one', 'two'):.1e}")

    # -- the cost model
    costs = list(csv.DictReader(run(2, 1, "bench", "ranks").splitlines()))
    print("\n| sum over 2 ranks of this machine | bytes | µs |\n|---|---|---|")
    for c in costs:
        print(f"| {c['what']} | {c['bytes']} | {float(c['microseconds']):.1f} |")
    one = [r for r in timeline(f"r{args.rounds - 1}0")]
    compute = (median_sum(one, "forward") + median_sum(one, "backward")) / BATCH  # seconds an image, one core
    step_times = [sum(r["end"] - r["begin"] for r in one if r["step"] == s and r["what"] != "wait")
                  for s in sorted({r["step"] for r in one})[1:]]
    sigma = statistics.pstdev(step_times) / statistics.mean(step_times)
    bytes_ = float(next(c["bytes"] for c in reversed(costs)))
    shared = bytes_ / (1e-6 * float(costs[-1]["microseconds"]))  # bytes a second of a sum that nothing hides
    small_sum = 1e-6 * float(costs[1]["microseconds"])
    NORMS, UPDATE = 20, median_sum(one, "update")
    backward_share = median_sum(one, "backward") / (compute * BATCH)

    def step(ranks, per_rank, latency, bandwidth, spread):
        """seconds of a step: compute of the slowest, batch norm's sums, what of the gradients' sum nothing hides"""
        work = compute * per_rank * (1 + spread * math.sqrt(2 * math.log(ranks)) if ranks > 1 else 1)
        norms = 0 if ranks == 1 else 2 * NORMS * latency * math.ceil(math.log2(ranks))
        ring = 0 if ranks == 1 else 2 * (ranks - 1) / ranks * bytes_ / bandwidth + 2 * (ranks - 1) * latency
        hidden = 0.8 * backward_share * compute * per_rank
        return work + norms + max(0, ring - hidden) + UPDATE

    for ranks in (1, 2):
        measured = BATCH / statistics.median(speeds["1 rank × 1 thread" if ranks == 1 else "2 ranks × 1 thread"])
        predicted = step(ranks, BATCH / ranks, small_sum, shared, sigma)
        print(f"\nmodel, {ranks} rank{'s' * (ranks > 1)} × 1 thread: {1e3 * predicted:.0f} ms a step of {BATCH}, measured "
              f"{1e3 * measured:.0f} ms ({100 * (predicted / measured - 1):+.0f} %)")
    print("\n| nodes | slices a rank and step | global batch | ms a step | images/s | efficiency | RSNA's 752,803 slices, an "
          "epoch |\n|---|---|---|---|---|---|---|")
    for nodes in (1, 8, 64, 512):
        for per_rank in (8, 2):
            ranks = 2 * nodes
            seconds = step(ranks, per_rank, 3e-6 if nodes > 1 else small_sum, 12.5e9 if nodes > 1 else shared, sigma)
            rate = ranks * per_rank / seconds
            alone = per_rank / (compute * per_rank + UPDATE)
            print(f"| {nodes} | {per_rank} | {ranks * per_rank} | {1e3 * seconds:.0f} | {rate:.0f} | "
                  f"{100 * rate / (alone * ranks):.0f} % | {752803 / rate / 60:.1f} min |")
    print(f"\n(compute {1e3 * compute:.1f} ms an image and core, update {1e3 * UPDATE:.0f} ms, spread of steps "
          f"{100 * sigma:.1f} %, gradients {bytes_ / 2**20:.0f} MiB)")


main()
