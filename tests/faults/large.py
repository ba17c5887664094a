#!/usr/bin/env python3
"""Many studies, long studies, long runs: seconds, memory and descriptors, measured.

    large.py ICHOR [--document FILE]                    100,000 rows; 2,000 slices and one; 10,000 studies predicted
    large.py ICHOR --soak MINUTES [--document FILE]     fine-tuning and predict --watch, beside each other

Memory is VmRSS, descriptors are the entries of /proc/PID/fd, both sampled from outside.
"""
import argparse
import collections
import concurrent.futures
import gzip
import os
import random
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time

import world

LABELS = world.LABELS
ROWS, PREDICTED, LONG = 100_000, 10_000, 2_000


# -- inputs -------------------------------------------------------------------------------------------------------

def write_volume(path, slices, side=32, seed=0):
    """A .nii.gz of a bright disc and some noise, 1 mm apart."""
    rng = random.Random(seed)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, side, side, slices, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 5, 5, 1, 1, 1, 1, 1)
    struct.pack_into("<f2f", header, 108, 352, 1, 0)
    header[123] = 2  # mm
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, 5, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1, 0)
    header[344:348] = b"n+1\0"
    disc = [(x - side / 2) ** 2 + (y - side / 2) ** 2 < side * side / 6 for y in range(side) for x in range(side)]
    with gzip.open(path, "wb", 1) as f:
        f.write(header)
        for _ in range(slices):
            level = rng.randint(20, 60)
            f.write(struct.pack(f"<{side * side}h", *[level if inside else -1000 for inside in disc]))


def write_table(folder, paths, n):
    """n studies, of two to a patient, that share a few volumes; every third one bleeds."""
    with open(f"{folder}/studies.csv", "w") as f:
        f.write(f"study_id,patient_id,path,{LABELS},split\n")
        for i in range(n):
            bleeds = int(i % 3 == 0)
            split = "val" if i % 5 == 4 else "train"
            f.write(f"s{i:06d},p{i // 2:06d},{paths[i % len(paths)]},{bleeds},0,{bleeds},0,0,0,{split}\n")


def build_model(ichor, root):
    world.phantoms(ichor, f"{root}/d", studies=4)
    for line in ("pretrain d --out p --size 32 --epochs 1", "finetune d --out f --init p --epochs 1"):
        world.must(ichor, *line.split(), "--quiet", cwd=root)


# -- measuring ----------------------------------------------------------------------------------------------------

Sample = collections.namedtuple("Sample", "seconds mib descriptors")


def look(pid, began):
    try:
        with open(f"/proc/{pid}/status") as f:
            resident = [line.split()[1] for line in f if line.startswith("VmRSS")]
        return Sample(time.time() - began, int(resident[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")))
    except (OSError, IndexError):
        return None  # it has ended


def measure(ichor, words, here, pause=0.2, until=None, meanwhile=None):
    """(seconds, samples, status, peak MiB): runs to its end, or for `until` seconds, then SIGTERM."""
    began, samples = time.time(), []
    with open(f"{here}/err", "w+") as err:
        process = subprocess.Popen([ichor, *shlex.split(words)], cwd=here, env=world.environment(), stdout=subprocess.DEVNULL,
                                   stderr=err, stdin=subprocess.DEVNULL)
        while process.poll() is None:
            sample = look(process.pid, began)
            samples += [sample] if sample else []
            if until and time.time() - began > until:
                process.send_signal(signal.SIGTERM)
                process.wait()
                break
            if meanwhile:
                meanwhile()
            time.sleep(pause)
        err.seek(0)
        if process.returncode not in (0, 128 + signal.SIGTERM):
            raise SystemExit(f"{words}: status {process.returncode}: {err.read()}")
    return time.time() - began, samples, process.returncode


def span(samples, part):
    """Mean memory and most descriptors of a tenth of the run that begins at `part`."""
    at = samples[int(part * len(samples)):max(int(part * len(samples)) + len(samples) // 10, int(part * len(samples)) + 1)]
    return sum(s.mib for s in at) / len(at), max(s.descriptors for s in at)


# -- long and large -------------------------------------------------------------------------------------------------

Row = collections.namedtuple("Row", "what seconds peak note")


def tables(ichor, root):
    here = f"{root}/table"
    os.makedirs(f"{here}/volumes")
    write_volume(f"{here}/volumes/a.nii.gz", 2)
    write_table(here, ["volumes/a.nii.gz"], ROWS)
    yield "split", measure(ichor, "split . --seed 1 --quiet", here, 0.02), f"{ROWS:,} rows read, divided, written"
    with open(f"{here}/answers.csv", "w") as f:
        f.write(f"study_id,{LABELS}\n")
        rng = random.Random(0)
        for i in range(ROWS):
            f.write(f"s{i:06d}," + ",".join(f"{rng.random():.6f}" for _ in range(6)) + "\n")
    yield ("compare", measure(ichor, "compare answers.csv answers.csv studies.csv", here, 0.02),
           f"{ROWS:,} rows in each of three tables")


def long_studies(ichor, root):
    here = f"{root}/long"
    os.makedirs(f"{here}/volumes")
    for name, slices in (("long", LONG), ("one", 1), ("short", 12), ("other", 9)):
        write_volume(f"{here}/volumes/{name}.nii.gz", slices, seed=slices)
    write_table(here, [f"volumes/{n}.nii.gz" for n in ("long", "one", "short", "other", "one")], 5)
    for name, slices in (("long", LONG), ("one", 1)):
        words = f"predict ../f volumes/{name}.nii.gz --out a-{name} --heatmaps --quiet"
        yield f"predict --heatmaps, a study of {slices:,} slice{'s' * (slices > 1)}", measure(ichor, words, here), ""
    yield (f"finetune, an epoch of four studies, of {LONG:,}, 1, 12 and 9 slices",
           measure(ichor, "finetune . --out r --init ../p --epochs 1 --studies 1 --quiet", here), "validated on one of 1 slice")


def many_studies(ichor, root):
    here = f"{root}/many"
    os.makedirs(f"{here}/volumes")
    for i in range(4):
        write_volume(f"{here}/volumes/{i}.nii.gz", 2, seed=i)
    write_table(here, [f"volumes/{i}.nii.gz" for i in range(4)], PREDICTED)
    got = measure(ichor, "predict ../f . --out a --quiet", here)
    with open(f"{here}/a/studies.csv") as f:
        assert sum(1 for _ in f) == PREDICTED + 1
    (early, few), (late, more) = span(got[1], 0.1), span(got[1], 0.9)
    yield f"predict, {PREDICTED:,} studies of 2 slices", got, (
        f"{early:.1f} MiB and {few} descriptors after a tenth, {late:.1f} MiB and {more} at the end")


def large(ichor, root):
    rows = ["| what | seconds | peak MiB | |", "|---|---|---|---|"]
    for part in (tables, long_studies, many_studies):
        for what, (seconds, samples, status), note in part(ichor, root):
            peak = max(s.mib for s in samples)
            rows.append(f"| {what} | {seconds:.1f} | {peak:.0f} | {note} |")
            print(rows[-1], flush=True)
    return "\n".join(rows) + "\n"


# -- soak -----------------------------------------------------------------------------------------------------------

def feeder(here, pause):
    """Puts another volume into the inbox each `pause` seconds."""
    state = {"next": time.time(), "n": 0}

    def feed():
        if time.time() >= state["next"]:
            state["n"] += 1
            name = f"inbox/s{state['n']:05d}.nii.gz"
            shutil.copyfile(f"{here}/a.nii.gz", f"{here}/.copy")
            os.rename(f"{here}/.copy", f"{here}/{name}")
            state["next"] += pause
    return feed, state


def soak_row(what, got, note):
    seconds, samples, _ = got
    (early, few), (half, _), (late, more) = span(samples, 0.1), span(samples, 0.5), span(samples, 0.9)
    return (f"| {what} | {seconds / 60:.1f} | {early:.1f} | {half:.1f} | {late:.1f} | {few} | {more} | {note} |")


def soak_finetune(ichor, here, minutes):
    words = "finetune ../d --out r --init ../p --epochs 100000 --quiet --checkpoint-minutes 0.5 --threads 1"
    got = measure(ichor, words, here, 5, minutes * 60)
    with open(f"{here}/r/log.csv") as f:
        epochs = sum(line.split(",")[1] == "train" for line in f)
    return soak_row("finetune", got, f"{epochs} epochs, a checkpoint after each")


def soak_watch(ichor, here, minutes):
    write_volume(f"{here}/a.nii.gz", 2)
    feed, state = feeder(here, 2)
    got = measure(ichor, "predict ../f --watch inbox --out w --quiet --threads 1", here, 0.5, minutes * 60, feed)
    with open(f"{here}/w/studies.csv") as f:
        answered = sum(1 for _ in f) - 1
    return soak_row("predict --watch", got, f"{answered} of {state['n']} arrivals answered, one each 2 s")


def soak(ichor, root, minutes):
    """Both beside each other."""
    rows = ["| what | minutes | MiB after a tenth | at half | at the end | descriptors after a tenth | at the end | |",
            "|---|---|---|---|---|---|---|---|"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = []
        for name, job in (("train", soak_finetune), ("watch", soak_watch)):
            os.makedirs(f"{root}/{name}/inbox")
            jobs.append(pool.submit(job, ichor, f"{root}/{name}", minutes))
        rows += [job.result() for job in jobs]
    print("\n".join(rows), flush=True)
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ichor")
    parser.add_argument("--soak", type=float)
    parser.add_argument("--document")
    options = parser.parse_args()
    root, ichor = world.fresh_folder(), os.path.abspath(options.ichor)
    try:
        build_model(ichor, root)
        text = soak(ichor, root, options.soak) if options.soak else large(ichor, root)
    finally:
        world.remove(root)
    if options.document:
        world.write_block(options.document, "soak" if options.soak else "large", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
