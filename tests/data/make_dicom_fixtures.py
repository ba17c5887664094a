#!/usr/bin/python3
"""Makes tests/data/fixtures/dicom: one small CT picture in every transfer syntax that is supported, and its Hounsfield
units as pydicom and the encoders' own decoders have them.

Debian: python3-pydicom, python3-numpy, python3-pil, dcmtk (dcmconv, dcmcrle, dcmcjpeg, dcmcjpls, dcmdjpeg) and
libgdcm-tools (gdcmconv). Run from anywhere; the output does not change from run to run. Nobody was scanned for
it: the picture is a disc in a ring, and noise.
"""
import os
import subprocess
import warnings

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "fixtures", "dicom")
ROWS, COLUMNS = 24, 20
ROOT = "2.25.7"


def head(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    r = np.hypot((x - 9) / COLUMNS, (y - 12) / ROWS)
    hu = np.where(r < 0.36, 35, np.where(r < 0.43, 900, -1000)) + rng.normal(0, 8, (ROWS, COLUMNS))
    hu[:4, :5] += 150
    return np.round(hu).astype(int)


def picture(name, bits_allocated, bits_stored, signed, intercept, values, slope=1, **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.1"
    meta.ImplementationClassUID = f"{ROOT}.9"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d = FileDataset(name, {}, file_meta=meta, preamble=b"\0" * 128)
    d.is_little_endian, d.is_implicit_VR = True, False
    d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    d.ImageType, d.Modality = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT"
    d.PatientName, d.PatientID = "Phantom", "phantom"
    d.StudyInstanceUID, d.SeriesInstanceUID = f"{ROOT}", f"{ROOT}.1"
    d.SeriesNumber, d.InstanceNumber = 1, 1
    d.ImagePositionPatient, d.ImageOrientationPatient = [-4, -6, 12.5], [1, 0, 0, 0, 1, 0]
    d.PixelSpacing, d.SliceThickness = [0.5, 0.4], 5
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.Rows, d.Columns = values.shape[-2:]
    d.BitsAllocated, d.BitsStored, d.HighBit = bits_allocated, bits_stored, bits_stored - 1
    d.PixelRepresentation = int(signed)
    d.RescaleIntercept, d.RescaleSlope = intercept, slope
    for tag, value in tags.items():
        setattr(d, tag, value)
    kind = {8: "u1", 16: "<u2"}[bits_allocated]
    d.PixelData = (values & ((1 << bits_stored) - 1)).astype(kind).tobytes()
    d["PixelData"].VR = "OB" if bits_allocated == 8 else "OW"
    path = os.path.join(OUT, name + ".dcm")
    d.save_as(path, write_like_original=False)
    return path


def hounsfield(path):
    """What pydicom says, with the sign of fewer than 16 bits, which it leaves to its caller."""
    d = pydicom.dcmread(path)
    stored = d.pixel_array.astype(int)
    if d.PixelRepresentation and d.BitsStored < d.BitsAllocated:
        stored &= (1 << d.BitsStored) - 1
        stored -= (stored >> (d.BitsStored - 1)) << d.BitsStored
    return np.rint(stored * float(d.RescaleSlope) + float(d.RescaleIntercept)).astype("<i2")


def encode(name, source, command, decode=None):
    path = os.path.join(OUT, name + ".dcm")
    subprocess.run(command + [source, path], check=True, capture_output=True)
    if decode:
        plain = path + ".plain"
        subprocess.run(decode + [path, plain], check=True, capture_output=True)
        hu = hounsfield(plain)
        os.remove(plain)
    else:
        hu = hounsfield(source)
    hu.tofile(os.path.join(OUT, name + ".hu"))
    if "lossy" in name:  # a new picture, to GDCM: with an identifier of its own
        d = pydicom.dcmread(path)
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.2"
        d.save_as(path)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def sum_up_pydicom():
    """pydicom's own CT files stay where they are; only what they hold goes into the table: size, FNV-1a of the HU."""
    root = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
    names = ["CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"]
    for folder in ("dicomdirtests/77654033/CT2", "dicomdirtests/98892001/CT5N"):
        names += [f"{folder}/{name}" for name in sorted(os.listdir(os.path.join(root, folder)))]
    with open(os.path.join(OUT, "pydicom.txt"), "w") as table:
        for name in names:
            d = pydicom.dcmread(os.path.join(root, name))
            hu = np.rint(d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)).astype("<i2")
            print(name, d.Columns, d.Rows, fnv(hu.tobytes()), file=table)


def main():
    os.makedirs(OUT, exist_ok=True)
    for name in os.listdir(OUT):
        os.remove(os.path.join(OUT, name))
    signed = picture("explicit_signed16", 16, 16, True, 0, head(1))
    hounsfield(signed).tofile(signed[:-4] + ".hu")
    unsigned = picture("explicit_unsigned12", 16, 12, False, -1024, head(2) + 1024)
    hounsfield(unsigned).tofile(unsigned[:-4] + ".hu")
    bytes8 = picture("explicit_unsigned8", 8, 8, False, -1000, (head(3) + 1024) // 9, slope=8.5)
    hounsfield(bytes8).tofile(bytes8[:-4] + ".hu")
    signed12 = picture("explicit_signed12", 16, 12, True, 0, head(4))
    hounsfield(signed12).tofile(signed12[:-4] + ".hu")
    # The vendors' encoders write dates and names of their own into the file: only pixels matter here.
    for source, suffix in ((signed, "signed16"), (unsigned, "unsigned12"), (bytes8, "unsigned8")):
        encode("implicit_" + suffix, source, ["dcmconv", "+ti"])
        encode("big_endian_" + suffix, source, ["dcmconv", "+tb"])
        encode("deflated_" + suffix, source, ["dcmconv", "+td"])
        encode("rle_" + suffix, source, ["dcmcrle", "+un"])
        encode("jpeg_lossless_" + suffix, source, ["dcmcjpeg", "+e1", "+un"])
        encode("jpeg_lossless_any_" + suffix, source, ["dcmcjpeg", "+el", "+sv", "6", "+un"])
        encode("jpeg_ls_" + suffix, source, ["dcmcjpls", "+un"])
        encode("jpeg2000_" + suffix, source, ["gdcmconv", "--j2k"])
    encode("jpeg_ls_signed12", signed12, ["dcmcjpls", "+un"])
    encode("jpeg2000_signed12", signed12, ["gdcmconv", "--j2k"])
    encode("no_meta_signed16", signed, ["dcmconv", "-F", "+ti"])
    encode("jpeg_baseline_unsigned8", bytes8, ["dcmcjpeg", "+eb", "+un"], ["dcmdjpeg"])
    encode("jpeg_extended_unsigned12", unsigned, ["dcmcjpeg", "+ee", "+un"], ["dcmdjpeg"])
    encode("jpeg_ls_near_unsigned12", unsigned, ["dcmcjpls", "+en", "+md", "3", "+un"], ["dcmdjpls"])
    encode("jpeg2000_lossy_unsigned12", unsigned, ["gdcmconv", "--j2k", "--lossy", "-r", "4"], ["gdcmconv", "--raw"])
    sum_up_pydicom()


main()
