#!/usr/bin/env python3
"""kill -9 at random moments of training, of writing a checkpoint, of import and of predict, again and again.

    kill.py ICHOR [--kills 100] [--seed N] [--document FILE]        (ctest: faults.kill, with few)

At each kill no file under its final name may be torn. After a few kills the run goes on undisturbed, and all that it
leaves must be, byte for byte but for clocks, what a run leaves that nobody killed.
"""
import argparse
import collections
import os
import random
import shlex
import signal
import subprocess
import sys
import time

import world

KILLS_A_ROUND = 3  # then the run may finish


class Job:
    """`words` start it, `again` go on after a kill (the same, where None). `aim`: a folder; the kill then falls while a
    temporary file lies in it, that is, while a file is being written."""

    def __init__(self, name, words, again=None, aim=None, share=1):
        self.name, self.words, self.again, self.aim, self.share = name, words, again or words, aim, share


OFTEN = "--quiet --threads 2 --checkpoint-minutes 0.00001"
JOBS = [
    Job("pretrain", f"pretrain ../in/d --out r --size 32 --epochs 3 --batch 16 {OFTEN}",
        f"pretrain --resume r {OFTEN}", share=2),
    Job("finetune", f"finetune ../in/d --out r --init ../in/p --epochs 3 --studies 1 {OFTEN}",
        f"finetune --resume r {OFTEN}", share=2),
    Job("writing a checkpoint", f"pretrain ../in/d --out r --size 32 --epochs 3 --batch 16 {OFTEN}",
        f"pretrain --resume r {OFTEN}", aim="r/checkpoint", share=2),
    Job("import dicom", "import dicom ../in/dicom out --quiet --threads 2", share=2),
    Job("import nifti", "import nifti ../in/nifti out --quiet --threads 2", share=1),
    Job("predict", "predict ../in/f ../in/d --out a --heatmaps --quiet --threads 2", share=1),
]


def build_world(ichor, root):
    at = f"{root}/in"
    os.mkdir(at)
    world.phantoms(ichor, f"{at}/d", studies=4)
    world.must(ichor, "synth", "many", "--studies", "60", "--size", "64", "--quiet", cwd=at)
    os.rename(f"{at}/many/volumes", f"{at}/nifti")
    world.dicom_folder(f"{at}/dicom", 60, 12)
    for line in ("pretrain d --out p --size 32 --epochs 1", "finetune d --out f --init p --epochs 1"):
        world.must(ichor, *line.split(), "--quiet", cwd=at)


def start(ichor, words, here):
    return subprocess.Popen([ichor, *shlex.split(words)], cwd=here, env=world.environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def has_temporary(folder):
    try:
        return any(world.is_temporary(name) for name in os.listdir(folder))
    except FileNotFoundError:
        return False


def wait_for_moment(process, job, here, seconds, rng):
    """Until the instant of the kill, or the process's own end."""
    end = time.time() + rng.uniform(0, seconds)
    while time.time() < end and process.poll() is None:
        time.sleep(min(0.01, max(0.0, end - time.time())))
    if job.aim:
        while process.poll() is None and not has_temporary(f"{here}/{job.aim}"):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))


def torn_files(here):
    found = world.files_below(here)
    return [f"{path}: {file.torn}" for path, file in found.items() if file.torn and not world.is_temporary(path)]


def settled(here):
    return {p: f.key for p, f in world.files_below(here).items() if "/cache/" not in p and not world.is_temporary(p)}


def finish(ichor, job, here, clean):
    """None, or what is wrong with the end."""
    process = start(ichor, world.words_for(job.words, job.again, here), here)
    _, err = process.communicate(timeout=600)
    if process.returncode != 0:
        return f"goes on with status {process.returncode}: {err.strip()}"
    now = settled(here)
    differs = [p for p in sorted(set(now) | set(clean)) if now.get(p) != clean.get(p)]
    left = [p for p in world.files_below(here) if world.is_temporary(p) and "/cache/" not in p]  # runs may share those
    return f"other bytes: {differs}" if differs else f"left: {left}" if left else None


Told = collections.namedtuple("Told", "job kills rounds torn wrong halves")


def kill_job(ichor, root, job, kills, rng):
    whole = f"{root}/whole"
    world.remove(whole)
    os.mkdir(whole)
    began = time.time()
    world.must(ichor, *shlex.split(job.words), cwd=whole)
    seconds, clean = time.time() - began, settled(whole)
    done, rounds, torn, wrong, halves = 0, 0, [], [], 0
    while done < kills:
        here = f"{root}/here"
        world.remove(here)
        os.mkdir(here)
        for _ in range(min(KILLS_A_ROUND, kills - done)):
            process = start(ichor, world.words_for(job.words, job.again, here), here)
            wait_for_moment(process, job, here, seconds, rng)
            process.send_signal(signal.SIGKILL)
            _, err = process.communicate()
            if process.returncode == 0:
                continue  # it was faster than the kill
            if process.returncode != -signal.SIGKILL:
                wrong.append(f"status {process.returncode} after a kill: {err.strip()}")
            done += 1
            torn += torn_files(here)
            halves += any(world.is_temporary(p) for p in world.files_below(here))
        rounds += 1
        bad = finish(ichor, job, here, clean)
        if bad:
            wrong.append(bad)
    for line in torn + wrong:
        print(f"  {job.name}: {line}", flush=True)
    print(f"{job.name}: killed {done} times, {rounds} runs ended, {len(torn)} torn, {len(wrong)} wrong", flush=True)
    return Told(job.name, done, rounds, len(torn), len(wrong), halves)


def table_of(told, seed):
    rows = [f"{sum(t.kills for t in told)} kills, seed {seed}.\n",
            "| killed during | kills | of these, while a file was being written | runs that went on to the end | "
            "torn files | ends with other bytes |", "|---|---|---|---|---|---|"]
    rows += [f"| {t.job} | {t.kills} | {t.halves} | {t.rounds} | {t.torn} | {t.wrong} |" for t in told]
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ichor")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ICHOR_TEST_SEED", time.time_ns() % 32768)))
    parser.add_argument("--document")
    options = parser.parse_args()
    print(f"ICHOR_TEST_SEED={options.seed}", flush=True)
    rng, root, ichor = random.Random(options.seed), world.fresh_folder(), os.path.abspath(options.ichor)
    shares = sum(job.share for job in JOBS)
    try:
        build_world(ichor, root)
        told = [kill_job(ichor, root, job, -(-options.kills * job.share // shares), rng) for job in JOBS]
    finally:
        world.remove(root)
    if options.document:
        world.write_block(options.document, "kills", table_of(told, options.seed))
    print(table_of(told, options.seed))
    return 1 if any(t.torn or t.wrong for t in told) else 0


if __name__ == "__main__":
    sys.exit(main())
