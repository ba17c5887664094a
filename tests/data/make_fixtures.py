#!/usr/bin/python3
"""Makes tests/data/fixtures: tiny volumes of every kind and a table, and what nibabel, torch and Python's csv
say about them.

Debian: python3-nibabel, python3-numpy, python3-torch. Run from anywhere; the output does not change from run
to run.
"""
import csv
import gzip
import os
import random
import struct
import sys

import nibabel as nib
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "fixtures")
SHAPE = (5, 4, 3)
rng = np.random.default_rng(20240607)


def affine_of(codes, spacing=(0.5, 0.75, 4.0), origin=(-20.0, 11.0, 3.0)):
    """Voxel axes along the given directions, such as "LPS"; `spacing` is that of the voxel axes."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for i, (row, sign) in enumerate(nib.orientations.axcodes2ornt(codes)):
        affine[int(row), i] = sign * spacing[i]
    affine[:3, 3] = origin
    return affine


def rotation(x, y, z):
    """Rotation by degrees about x, then y, then z."""
    a, b, c = np.radians([x, y, z])
    rx = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    ry = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    rz = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(rz) @ ry @ rx


def ct(dtype=np.int16, low=-1000, high=1500):
    return rng.integers(low, high, SHAPE).astype(dtype)


def save(name, data, affine, slope=None, inter=None, klass=nib.Nifti1Image, forms=(1, 1), endian="<"):
    header = klass.header_class(endianness=endian)
    header.set_data_dtype(data.dtype)
    image = klass(data, affine, header)
    image.header.set_data_dtype(data.dtype)
    if hasattr(image.header, "set_sform"):
        image.set_sform(affine, forms[0])
        image.set_qform(affine, forms[1])
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    path = os.path.join(OUT, name)
    if name.endswith("gz"):  # without gzip's time and name, so that a second run gives the same bytes
        plain = path[:-3]
        nib.save(image, plain)
        parts = [".nii"] if plain.endswith(".nii") else [".hdr", ".img"]
        for part in parts:
            part = plain[:-4] + part
            with open(part, "rb") as f, open(part + ".gz", "wb") as packed:
                packed.write(gzip.compress(f.read(), mtime=0))
            os.remove(part)
    else:
        nib.save(image, path)
    return name


def patch(name, offset, fmt, *values):
    with open(os.path.join(OUT, name), "r+b") as f:
        f.seek(offset)
        f.write(struct.pack(fmt, *values))
    return name


def volumes():
    names = []
    for codes in ("RAS", "LPS", "LAI", "PIR", "SAL", "ILA"):
        names.append(save(f"{codes.lower()}.nii", ct(), affine_of(codes)))
    oblique = affine_of("LPS")
    oblique[:3, :3] = rotation(17, -9, 24) @ oblique[:3, :3]
    names.append(save("oblique.nii.gz", ct(), oblique, forms=(0, 1)))
    steep = affine_of("PSR")
    steep[:3, :3] = rotation(38, 31, -40) @ steep[:3, :3]
    names.append(save("steep.nii.gz", ct(), steep))
    tilt = affine_of("LPS")  # gantry tilt: the third axis leans by 20 degrees
    tilt[1, 2] = 4 * np.tan(np.radians(20))
    names.append(save("tilt.nii", ct(), tilt))

    names.append(save("uint8.nii", ct(np.uint8, 0, 256), affine_of("LPS"), 10.3, -1000))
    names.append(save("int8.nii", ct(np.int8, -128, 128), affine_of("RPS"), 3.1, 40))
    names.append(save("uint16.nii", ct(np.uint16, 0, 4096), affine_of("LAS"), 1, -1024))
    names.append(save("int32.nii", ct(np.int32, -40000, 40000), affine_of("LPS")))
    names.append(save("uint32.nii", ct(np.uint32, 0, 4000), affine_of("LPS"), 1, -1024))
    names.append(save("int64.nii", ct(np.int64), affine_of("LPS")))
    names.append(save("uint64.nii", ct(np.uint64, 0, 4000), affine_of("LPS"), -0.7, 1000))
    holes = (ct(np.float32) + np.float32(0.3)).astype(np.float32)
    holes[0, 0, 0], holes[1, 2, 0], holes[2, 2, 2], holes[4, 3, 2] = np.nan, np.inf, -np.inf, 1e30
    names.append(save("float32_holes.nii", holes, affine_of("RAS")))
    names.append(save("float64.nii", ct(np.float64) + 0.3, affine_of("LPS")))
    names.append(patch(save("nan_slope.nii", ct(), affine_of("LPS")), 112, "<ff", np.nan, np.nan))
    names.append(patch(save("zero_slope.nii", ct(), affine_of("LPS")), 112, "<ff", 0, 55))

    names.append(save("big_endian.nii", ct(), affine_of("LAI"), 2, -5, endian=">"))
    names.append(save("nifti2.nii", ct(), oblique, klass=nib.Nifti2Image))
    names.append(save("nifti2_big_endian.nii.gz", ct(np.float64) + 0.3, affine_of("PIR"),
                      klass=nib.Nifti2Image, endian=">"))
    names.append(save("no_form.nii", ct(), affine_of("RAS"), forms=(0, 0)))
    names.append(save("pair.img", ct(), affine_of("LAI"), 1, -1024, klass=nib.Nifti1Pair))
    names.append(save("packed_pair.img.gz", ct(), affine_of("PIR"), klass=nib.Nifti1Pair))
    names.append(save("analyze.img", ct(), np.diag([-0.5, 0.75, 4.0, 1.0]), klass=nib.AnalyzeImage))
    names.append(save("spm.img", ct(), np.diag([-0.5, 0.75, 4.0, 1.0]), klass=nib.Spm2AnalyzeImage))
    os.remove(os.path.join(OUT, "spm.mat"))  # the header alone shall speak
    patch("spm.hdr", 253, "<hhh", 3, 2, 1)
    patch("spm.hdr", 112, "<ff", 0.7, 4)
    names.append(save("spm_no_intercept.img", ct(), np.diag([-0.5, 0.75, 4.0, 1.0]), klass=nib.Spm2AnalyzeImage))
    os.remove(os.path.join(OUT, "spm_no_intercept.mat"))
    patch("spm_no_intercept.hdr", 112, "<ff", 0.7, np.nan)
    names.append(save("four_d.nii", ct()[..., None], affine_of("LPS")))
    return names


def describe(path):
    """What the reader must find: the volume turned to L, P, S by nibabel."""
    image = nib.load(path)
    data = image.get_fdata(dtype=np.float64)
    data = data.reshape(data.shape[:3])
    to_lps = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS"))
    turned = nib.orientations.apply_orientation(data, to_lps)
    hu = np.rint(np.clip(np.nan_to_num(turned, nan=-1024.0, posinf=1e9, neginf=-1e9), -32768, 32767))
    axis = [int(np.where(to_lps[:, 0] == a)[0][0]) for a in range(3)]
    flipped = [int(to_lps[axis[a], 1] < 0) for a in range(3)]
    spacing = np.sqrt((image.affine[:3, :3] ** 2).sum(axis=0))[axis]
    head = list(turned.shape) + [f"{v:.9g}" for v in spacing] + axis + flipped
    head += [f"{v:.9g}" for v in image.affine[:3].ravel()]
    return head, hu.astype(np.int16).transpose(2, 1, 0)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def write_volumes():
    with open(os.path.join(OUT, "volumes.txt"), "w") as out:
        for name in volumes():
            head, hu = describe(os.path.join(OUT, name))
            print(name, *head, *hu.ravel(), file=out)


def write_nibabel():
    """Debian's python3-nibabel brings volumes of other programs; only hashes of theirs are kept."""
    folder = os.path.join(os.path.dirname(nib.__file__), "tests", "data")
    with open(os.path.join(OUT, "nibabel.txt"), "w") as out:
        for name in ("anatomical.nii", "reoriented_anat_moved.nii", "resampled_anat_moved.nii", "standard.nii.gz"):
            head, hu = describe(os.path.join(folder, name))
            print(name, *head, fnv(hu.astype("<i2").tobytes()), file=out)


def write_orientations():
    with open(os.path.join(OUT, "orientations.txt"), "w") as out:
        for _ in range(400):
            spacing = rng.uniform(0.3, 5, 3)
            shear = np.eye(3) + np.triu(rng.uniform(-0.4, 0.4, (3, 3)), 1)
            matrix = rotation(*rng.uniform(-180, 180, 3)) @ shear @ np.diag(spacing * rng.choice([-1, 1], 3))
            matrix = np.round(matrix, 6)
            affine = np.eye(4)
            affine[:3, :3] = matrix
            to_lps = nib.orientations.ornt_transform(nib.io_orientation(affine),
                                                     nib.orientations.axcodes2ornt("LPS"))
            axis = [int(np.where(to_lps[:, 0] == a)[0][0]) for a in range(3)]
            print(*(f"{v:.6f}" for v in matrix.ravel()), *axis, *(int(to_lps[axis[a], 1] < 0) for a in range(3)),
                  file=out)


def write_resize():
    """height width size rows columns, HU, then [rows][columns][3] of 0 … 255: the part of the square that is
    not air, by torch's antialiased interpolation."""
    windows = ((40, 80), (80, 200), (40, 380))
    cases = [(23, 23, 11, 11, 11), (23, 23, 40, 40, 40), (17, 17, 17, 17, 17), (16, 32, 16, 8, 16),
             (30, 10, 12, 12, 4), (12, 24, 36, 18, 36), (21, 14, 13, 13, 13)]
    with open(os.path.join(OUT, "resize.txt"), "w") as out:
        for height, width, size, rows, columns in cases:
            hu = rng.normal(40, 120, (height, width)).round().astype(np.int16)
            windowed = [np.clip((hu - (c - w / 2)) / w, 0, 1) for c, w in windows]
            x = torch.tensor(np.array(windowed)[None], dtype=torch.float64)
            y = torch.nn.functional.interpolate(x, (rows, columns), mode="bilinear", align_corners=False,
                                                antialias=True)
            values = (255 * y[0]).permute(1, 2, 0).numpy()
            print(height, width, size, rows, columns, *hu.ravel(), *(f"{v:.2f}" for v in values.ravel()), file=out)


def write_table():
    """table.csv as Python's csv writes it, with all that needs quoting; table.txt: its cells in hexadecimal."""
    draw = random.Random(5)
    parts = ["a", "7", " ", ",", '"', '""', "\n", "\r\n", "\r", "\t", "'", ";", "ä", "出血"]
    rows = [[f"column {i}, \"{i}\"" for i in range(5)]]
    rows += [["".join(draw.choices(parts, k=draw.randrange(6))) for _ in range(5)] for _ in range(200)]
    with open(os.path.join(OUT, "table.csv"), "w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out).writerows(rows)
    with open(os.path.join(OUT, "table.txt"), "w") as out:
        for row in rows:
            print(*(cell.encode().hex() or "-" for cell in row), file=out)


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    write_volumes()
    write_nibabel()
    write_orientations()
    write_resize()
    write_table()
    sys.exit(0)
