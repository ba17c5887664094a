#!/usr/bin/env python3
"""How fast `ichor import rsna` is, and what it needs, on a folder in RSNA 2019's exact shape: loose DICOM slices of
512 x 512, uncompressed, and one CSV with six rows an image.

    benchmarks/import_rsna.py [--slices 50000] [--ichor build/ichor] [--work DIR]      needs numpy, 0.8 GB a 1,000 slices

The slices are phantoms with noise, in shuffled order and with a few duplicate rows, as in the original. The import is
killed when half of its studies are done and run again; a second import, never killed, must give the same bytes.
"""
import argparse
import gzip
import hashlib
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time

import numpy as np

SUBTYPES = ["epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any"]
ALL_OF_RSNA = 752803
SLICES_A_STUDY = 35


def element(group, number, vr, value):
    """One element, explicit VR, little endian (PS3.5, 7.1.2)."""
    value += (b"\0" if vr in ("UI", "OB", "OW") else b" ") * (len(value) % 2)
    if vr in ("OB", "OW"):
        return struct.pack("<HH2sHI", group, number, vr.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr.encode(), len(value)) + value


def text(group, number, vr, value):
    return element(group, number, vr, str(value).encode())


def short(group, number, value):
    return element(group, number, "US", struct.pack("<H", value))


def dicom(study, index, pixels):
    image = f"1.2.3.{study}.1.{index}"
    meta = (text(2, 2, "UI", "1.2.840.10008.5.1.4.1.1.2") + text(2, 3, "UI", image) +
            text(2, 0x10, "UI", "1.2.840.10008.1.2.1"))
    meta = element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    body = [
        text(8, 0x18, "UI", image), text(8, 0x60, "CS", "CT"), text(0x10, 0x20, "LO", f"ID_{study % 9973:08x}"),
        text(0x20, 0xd, "UI", f"1.2.3.{study}"), text(0x20, 0xe, "UI", f"1.2.3.{study}.1"),
        text(0x20, 0x10, "SH", ""), text(0x20, 0x32, "DS", f"-125\\-112\\{index * 5 - 80}"),
        text(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0"), short(0x28, 2, 1), text(0x28, 4, "CS", "MONOCHROME2"),
        short(0x28, 0x10, 512), short(0x28, 0x11, 512), text(0x28, 0x30, "DS", "0.48828125\\0.48828125"),
        short(0x28, 0x100, 16), short(0x28, 0x101, 16), short(0x28, 0x102, 15), short(0x28, 0x103, 1),
        text(0x28, 0x1050, "DS", "40"), text(0x28, 0x1051, "DS", "80"), text(0x28, 0x1052, "DS", "-1024"),
        text(0x28, 0x1053, "DS", "1"), element(0x7fe0, 0x10, "OW", pixels)]
    return b"\0" * 128 + b"DICM" + meta + b"".join(body)


def phantoms(ichor, folder):
    """Slices of synthetic heads at 512 x 512 with a scanner's noise, as stored values (HU + 1024)."""
    subprocess.run([ichor, "synth", folder, "--studies", "3", "--size", "128", "--seed", "1", "--quiet"], check=True)
    noise = np.random.default_rng(1)
    images = []
    for path in sorted((folder / "volumes").glob("*.nii.gz")):
        raw = gzip.decompress(path.read_bytes())
        nx, ny, nz = struct.unpack_from("<3h", raw, 42)
        volume = np.frombuffer(raw, "<i2", offset=352).reshape(nz, ny, nx)
        for plane in volume:
            fine = plane.repeat(512 // nx, 1).repeat(512 // ny, 0) + noise.normal(0, 5, (512, 512))
            images.append((np.clip(fine, -1024, 3071) + 1024).astype("<i2").tobytes())
    return images


def make(root, count, images):
    folder = root / "stage_2_train"
    folder.mkdir(parents=True)
    names = [f"ID_{hashlib.sha256(b'%d' % i).hexdigest()[:9]}" for i in range(count)]
    chance = random.Random(2)
    with open(root / "stage_2_train.csv", "w") as table:
        table.write("ID,Label\n")
        for i in chance.sample(range(count), count):
            bleeds = [int(chance.random() < 0.03) for _ in range(5)]
            rows = "".join(f"{names[i]}_{t},{v}\n" for t, v in zip(SUBTYPES, bleeds + [max(bleeds)]))
            table.write(rows * (2 if i % 20011 == 7 else 1))  # the original repeats a few images' rows
    for i, name in enumerate(names):
        study, index = divmod(i, SLICES_A_STUDY)
        (folder / f"{name}.dcm").write_bytes(dicom(study + 1, index, images[i % len(images)]))


def tree_memory(pid):
    """Resident pages of a process and its children, MiB; pages that they share count once (proportional set size)."""
    pids, total = [pid], 0
    while pids:
        p = pids.pop()
        try:
            pids += map(int, pathlib.Path(f"/proc/{p}/task/{p}/children").read_text().split())
            rollup = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()
            total += int(rollup.split("Pss:")[1].split()[0])
        except (OSError, IndexError):
            pass  # it ended meanwhile
    return total // 1024


def run(command, stop_when=lambda: False):
    """Seconds, peak MiB of the whole process tree, whether it was stopped."""
    start, peak, stopped = time.time(), 0, False
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        if not stopped and stop_when():
            os.killpg(process.pid, signal.SIGKILL)
            stopped = True
        time.sleep(0.1)
    seconds = time.time() - start
    if not stopped and process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {process.returncode}")
    return seconds, peak, stopped


def fingerprint(folder):
    """Of every file's name and bytes."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slices", type=int, default=50000)
    parser.add_argument("--ichor", default="build/ichor")
    parser.add_argument("--work", help="folder for the files [a temporary one]")
    args = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="ichor-import-", dir=args.work))
    try:
        make(work / "rsna", args.slices, phantoms(args.ichor, work / "phantoms"))
        os.sync()
        size = sum(p.stat().st_size for p in (work / "rsna/stage_2_train").iterdir()) / 1e9
        print(f"{args.slices} slices, {size:.1f} GB, {len(os.sched_getaffinity(0))} processors")

        command = [args.ichor, "import", "rsna", work / "rsna", work / "whole", "--quiet"]
        seconds, peak, _ = run(command)
        rate = args.slices / seconds
        print(f"whole: {seconds:.1f} s, {rate:.0f} slices/s, peak {peak} MiB; "
              f"all {ALL_OF_RSNA}: {ALL_OF_RSNA / rate / 60:.0f} min at this rate")
        whole = fingerprint(work / "whole")
        shutil.rmtree(work / "whole")

        half, volumes = args.slices // SLICES_A_STUDY // 2, work / "killed" / "volumes"
        command[4] = work / "killed"
        first, _, stopped = run(command, lambda: volumes.exists() and len(list(volumes.glob("*.nii.gz"))) >= half)
        second, _, _ = run(command)
        same = fingerprint(work / "killed") == whole
        print(f"killed: {'yes' if stopped else 'no'}, after {first:.1f} s; run again: {second:.1f} s; "
              f"{'same bytes' if same else 'OTHER BYTES'} as the whole one")
        return 0 if same and stopped else 1
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    raise SystemExit(main())
