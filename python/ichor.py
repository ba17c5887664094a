"""Ichor from Python: load a model, predict a NumPy volume. One file over libichor's session.h, by ctypes.

    import ichor, nibabel
    model = ichor.Model("RUN")                           # or model.safetensors
    image = nibabel.load("head.nii.gz")
    answer = model.predict(image.get_fdata(), image.affine)
    answer.study["any"], answer.slices["any"], answer.attention

The numbers are those that `ichor predict` writes. For research and teaching only: no medical device.
"""
import ctypes
import ctypes.util
import os
import pathlib
from collections import namedtuple

import numpy as np

LABELS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")

Answer = namedtuple("Answer", "study slices attention unlike")
Answer.__doc__ = """What predict returns.
study      {label: probability} of the whole scan
slices     {label: probability of each slice}, along the volume's axis that runs from foot to head
attention  weight of each slice in the study's answer; sums to 1
unlike     how the scan is unlike those that the model learned from; "" if it is not"""


class IchorError(Exception):
    """What Ichor says in one line: which file or value, what is wrong, what to do."""


class _Error(ctypes.Structure):  # ich_error, tensor/error.h
    _fields_ = [("text", ctypes.c_char * 600)]


class _Reading(ctypes.Structure):  # ich_reading, infer/session.h
    _fields_ = [
        ("room", ctypes.c_int),
        ("slices", ctypes.c_int),
        ("study", ctypes.c_double * len(LABELS)),
        ("slice", ctypes.POINTER(ctypes.c_double)),
        ("attention", ctypes.POINTER(ctypes.c_double)),
        ("unlike", ctypes.c_char * 200),
    ]


def _load():
    """libichor: $ICHOR_LIBRARY, or that of the prefix whose share/ichor/python this file lies in, or the system's."""
    prefix = pathlib.Path(__file__).resolve().parents[3]
    beside = [*prefix.glob("lib*/libichor.so"), *prefix.glob("lib*/*/libichor.so")]
    name = os.environ.get("ICHOR_LIBRARY") or (str(beside[0]) if beside else ctypes.util.find_library("ichor"))
    if not name:
        raise IchorError("libichor was not found: set ICHOR_LIBRARY to the path of libichor.so")
    library = ctypes.CDLL(name)
    library.ich_session_open.restype = ctypes.c_void_p
    library.ich_session_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(_Error)]
    library.ich_session_close.restype = None
    library.ich_session_close.argtypes = [ctypes.c_void_p]
    library.ich_session_read.restype = ctypes.c_bool
    library.ich_session_read.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(ctypes.c_double),
        ctypes.POINTER(ctypes.c_int16),
        ctypes.POINTER(_Reading),
        ctypes.POINTER(_Error),
    ]
    library.ich_team_set.restype = None
    library.ich_team_set.argtypes = [ctypes.c_int]
    return library


_library = _load()


def set_threads(threads=0):
    """Cores to use; 0: all that the process may. Results do not depend on it."""
    _library.ich_team_set(threads)


set_threads()


def _pointer(array, kind):
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _hounsfield(volume):
    """int16 as libichor reads a file: NaN is air, halves go to the even, the rest is clipped."""
    volume = np.asarray(volume)
    if volume.dtype != np.int16:
        volume = np.where(np.isnan(volume), -1024, volume) if volume.dtype.kind == "f" else volume
        volume = np.rint(np.clip(volume, -32768, 32767)).astype(np.int16)
    return np.asfortranarray(volume)  # the first axis runs fastest, as in NIfTI


class Model:
    """A model file, or a RUN folder."""

    def __init__(self, path):
        error = _Error()
        self._session = _library.ich_session_open(os.fsencode(path), error)
        if not self._session:
            raise IchorError(error.text.decode())

    def predict(self, volume, affine):
        """volume [x, y, z]: Hounsfield units; affine [4, 4]: voxel -> mm, RAS. Both as nibabel has them."""
        hu, affine = _hounsfield(volume), np.ascontiguousarray(affine, dtype=np.float64)
        if hu.ndim != 3 or affine.shape != (4, 4):
            raise IchorError(f"the volume has shape {hu.shape} and the affine {affine.shape}: give 3 axes and 4 x 4")
        room = max(hu.shape)
        slices, attention = np.empty((room, len(LABELS))), np.empty(room)
        reading = _Reading(
            room=room,
            slice=_pointer(slices, ctypes.c_double),
            attention=_pointer(attention, ctypes.c_double),
        )
        error, size = _Error(), (ctypes.c_int * 3)(*hu.shape)
        if not _library.ich_session_read(
            self._session, size, _pointer(affine, ctypes.c_double), _pointer(hu, ctypes.c_int16), reading, error
        ):
            raise IchorError(error.text.decode())
        return Answer(
            study=dict(zip(LABELS, reading.study)),
            slices=dict(zip(LABELS, slices[: reading.slices].T)),
            attention=attention[: reading.slices],
            unlike=reading.unlike.decode(),
        )

    def close(self):
        """Gives the memory back; also at the end of `with` and when Python drops the model."""
        session, self._session = getattr(self, "_session", None), None
        if session:
            _library.ich_session_close(session)

    __del__ = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
