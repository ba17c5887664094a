"""What test_python.sh asks of the module: answers against predict's tables, volumes turned round, mistakes."""
import csv
import ctypes
import gzip
import struct
import sys

import ichor
import numpy as np


def read(path):
    """A NIfTI-1 file as ichor synth writes it: int16, sform. nibabel would do, but need not be there."""
    raw = gzip.open(path).read()
    size = struct.unpack_from("<3h", raw, 42)
    affine = np.vstack([np.frombuffer(raw, "<f4", 12, 280).reshape(3, 4), [0, 0, 0, 1]])
    return np.frombuffer(raw, "<i2", int(np.prod(size)), 352).reshape(size, order="F"), affine


def rows(folder, table, study):
    with open(f"{folder}/{table}.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["study_id"] == study]


def nine(number):
    return f"{number:.9g}"


def answers(model, path, folder, study):
    names = (ctypes.c_char_p * len(ichor.LABELS)).in_dll(ichor._library, "ich_label_names")
    assert tuple(name.decode() for name in names) == ichor.LABELS
    with ichor.Model(model) as m:
        hu, affine = read(path)
        answer = m.predict(hu, affine)
        again = m.predict(hu.astype(np.float64), affine)
    assert (again.slices["any"] == answer.slices["any"]).all()
    (row,) = rows(folder, "studies", study)
    assert int(row["n_slices"]) == len(answer.attention) > 2
    assert all(nine(answer.study[label]) == row[label] for label in ichor.LABELS), (answer.study, row)
    for z, row in enumerate(rows(folder, "slices", study)):
        assert int(row["slice_index"]) == z
        assert all(nine(answer.slices[label][z]) == row[label] for label in ichor.LABELS), row
        assert nine(answer.attention[z]) == row["attention"]
    assert abs(answer.attention.sum() - 1) < 1e-6 and len(np.unique(answer.slices["any"])) > 1
    assert isinstance(answer.unlike, str)


def turned(model, path):
    m = ichor.Model(model)
    hu, affine = read(path)
    straight = m.predict(hu, affine)
    # the same head, stored from head to foot and with its axes in another order
    back = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, hu.shape[2] - 1], [0, 0, 0, 1]], float)
    flipped = m.predict(hu[:, :, ::-1], back)
    assert flipped.study == straight.study and (flipped.slices["any"] == straight.slices["any"][::-1]).all()
    moved = m.predict(np.transpose(hu, (2, 0, 1)), affine[:, [2, 0, 1, 3]])
    assert moved.study == straight.study and len(moved.attention) == hu.shape[2]
    ichor.set_threads(1)
    assert m.predict(hu, affine).study == straight.study
    holes = hu.astype(np.float32)
    holes[0, 0, 0] = np.nan
    air = hu.copy()
    air[0, 0, 0] = -1024
    assert m.predict(holes, affine).study == m.predict(air, affine).study


def refuses(word, call):
    try:
        call()
    except ichor.IchorError as error:
        assert word in str(error) and "\n" not in str(error), error
    else:
        raise AssertionError(f"no error that says {word}")


def mistakes(model):
    m = ichor.Model(model)
    refuses("nowhere", lambda: ichor.Model("nowhere"))
    refuses("3 axes", lambda: m.predict(np.zeros((4, 4)), np.eye(4)))
    refuses("singular", lambda: m.predict(np.zeros((4, 4, 4)), np.zeros((4, 4))))
    refuses("nan", lambda: m.predict(np.zeros((4, 4, 4)), np.full((4, 4), np.nan)))
    refuses("0 × 4 × 4", lambda: m.predict(np.zeros((0, 4, 4)), np.eye(4)))


{"answers": answers, "turned": turned, "mistakes": mistakes}[sys.argv[1]](*sys.argv[2:])
