"""Tiny inputs for tests/faults, how two runs' files are compared, and which files are whole.

Called by faults.py and kill.py; calls ichor itself to make phantoms and models. Nothing but Python's library.
"""
import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile

LABELS = "any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural"


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")}
    return {**kept, "LC_ALL": "C", "OMP_WAIT_POLICY": "passive", **more}


def must(*command, status=(0,), cwd=None):
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True)
    if done.returncode not in status:
        raise SystemExit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done


def fresh_folder():
    """In memory where there is room: a run of thousands of small writes is no test of the disk."""
    where = os.environ.get("TMPDIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    return tempfile.mkdtemp(prefix="ichor-faults-", dir=where)


# -- DICOM, byte by byte --------------------------------------------------------------------------------------

def element(group, number, vr, value):
    value += b" " * (len(value) % 2) if vr != b"UI" else b"\0" * (len(value) % 2)
    if vr in (b"OB", b"OW"):
        return struct.pack("<HH2sHI", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def write_dicom(path, study, image, rows=32, columns=32):
    """One axial CT slice of a bright disc, explicit VR, little endian."""
    def us(n):
        return struct.pack("<H", n)
    uid = b"2.25.7.%d.%d" % (study, image)
    meta = (element(2, 2, b"UI", b"1.2.840.10008.5.1.4.1.1.2") + element(2, 3, b"UI", uid) +
            element(2, 16, b"UI", b"1.2.840.10008.1.2.1") + element(2, 18, b"UI", b"2.25.7"))
    pixels = b"".join(struct.pack("<h", 40 + study + image if (x - 16) ** 2 + (y - 16) ** 2 < 150 else -1000)
                      for y in range(rows) for x in range(columns))
    body = [(8, 8, b"CS", b"ORIGINAL\\PRIMARY\\AXIAL"), (8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.2"),
            (8, 0x18, b"UI", uid), (8, 0x60, b"CS", b"CT"), (0x10, 0x20, b"LO", b"patient%d" % study),
            (0x20, 0xd, b"UI", b"2.25.7.%d" % study), (0x20, 0xe, b"UI", b"2.25.7.%d.0" % study),
            (0x20, 0x11, b"IS", b"1"), (0x20, 0x13, b"IS", b"%d" % image),
            (0x20, 0x32, b"DS", b"-16\\-16\\%d" % (5 * image)), (0x20, 0x37, b"DS", b"1\\0\\0\\0\\1\\0"),
            (0x28, 2, b"US", us(1)), (0x28, 4, b"CS", b"MONOCHROME2"), (0x28, 0x10, b"US", us(rows)),
            (0x28, 0x11, b"US", us(columns)), (0x28, 0x30, b"DS", b"1\\1"), (0x28, 0x100, b"US", us(16)),
            (0x28, 0x101, b"US", us(16)), (0x28, 0x102, b"US", us(15)), (0x28, 0x103, b"US", us(1)),
            (0x28, 0x1052, b"DS", b"0"), (0x28, 0x1053, b"DS", b"1"), (0x7fe0, 0x10, b"OW", pixels)]
    with open(path, "wb") as f:
        f.write(b"\0" * 128 + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta)
        f.write(b"".join(element(*e) for e in body))


def dicom_folder(path, studies, slices):
    for study in range(1, studies + 1):
        for image in range(1, slices + 1):
            folder = f"{path}/{study}"
            os.makedirs(folder, exist_ok=True)
            write_dicom(f"{folder}/{image}.dcm", study, image)


REPORTS = ('study_id,report\n'
           'a,"HISTORY: SAH. FINDINGS: Left SDH, 5 mm. IMPRESSION: Left SDH."\n'
           'b,No acute intracranial hemorrhage.\n'
           'c,"A tiny subarachnoid hemorrhage cannot be excluded."\n')


def phantoms(ichor, path, studies=3, seed=1, split=True):
    must(ichor, "synth", path, "--studies", str(studies), "--size", "32", "--prevalence", "0.5", "--masks",
         "--seed", str(seed), "--quiet")
    if split:
        must(ichor, "split", path, "--fractions", "0.6,0.4,0", "--quiet")


# -- comparing --------------------------------------------------------------------------------------------------

CLOCKS = {"seconds", "seconds_waiting", "images_per_second", "milliseconds", "rss_mib"}


def mask_columns(text):
    rows = list(csv.reader(io.StringIO(text)))
    clocks = [i for i, name in enumerate(rows[0]) if name in CLOCKS] if rows else []
    for row in rows[1:]:
        for i in clocks:
            if i < len(row):
                row[i] = "TIME"
    return repr(rows)


def settled(path, data, here):
    """What must be the same in each run: no clock, not the folder that this run happened in."""
    data = data.replace(here.encode(), b"HERE")
    if path.endswith(".csv"):
        return mask_columns(data.decode("utf-8", "replace")).encode()
    if path.endswith(".html"):
        return re.sub(rb'"seconds":[0-9.e-]+', b'"seconds":0', data)
    return data


def settled_header(text):
    """The log that a checkpoint carries and its own clocks."""
    header = json.loads(text)
    meta = header.get("__metadata__", {})
    if meta.get("format", "").startswith("ichor-checkpoint/"):
        header["__metadata__"] = {k: mask_columns(v) if k == "log" else v for k, v in meta.items()
                                  if k not in ("seconds", "waited", "checksum")}
    return json.dumps(header, sort_keys=True).encode()


# -- a folder's files -------------------------------------------------------------------------------------------

class File:
    """`torn`: None where it is whole. `key`: equal where two runs' files are. Big ones are not kept."""

    def __init__(self, path, full, here):
        if path.endswith(".safetensors"):
            self.torn, self.key = look_at_weights(full)
            return
        with open(full, "rb") as f:
            data = f.read()
        self.torn = why_torn(path, data)
        self.key = data if self.torn else settled(path, data, here)
        if len(self.key) > 1 << 16:
            self.key = hashlib.sha1(self.key).digest()


def look_at_weights(full):
    with open(full, "rb") as f:
        try:
            n, = struct.unpack("<Q", f.read(8))
            text = f.read(n)
            header = settled_header(text)
            document = json.loads(text)
            left = max((t["data_offsets"][1] for k, t in document.items() if k != "__metadata__"), default=0)
            torn = None if os.fstat(f.fileno()).st_size == 8 + n + left else "too few bytes, or too many"
            left -= 8 * ("fnv1a" in document)  # a checkpoint's seal comes last and covers its clocks
        except (ValueError, KeyError, struct.error, MemoryError, OverflowError) as e:
            return f"{type(e).__name__}: {e}", b""
        digest = hashlib.sha1()
        while chunk := f.read(min(left, 1 << 20)):
            digest.update(chunk)
            left -= len(chunk)
        return torn, header + digest.digest()


known = {}  # weights that were looked at before: starts are hard links, and weights are large


def files_below(folder):
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(base, name)
            info = os.stat(full)
            path = os.path.relpath(full, folder)
            same = (info.st_ino, info.st_mtime_ns, info.st_size)
            if same not in known or not path.endswith(".safetensors"):
                known[same] = File(path, full, folder)
            found[path] = known[same]
    return found


def copy(start, here):
    """Hard links: what the program writes it renames into place."""
    shutil.copytree(start, here, copy_function=os.link)


def words_for(words, again, here, run="r"):
    """What a person types after a failure or a kill: --resume where there is a run to resume, else the same."""
    there = all(os.path.exists(f"{here}/{run}/{name}") for name in ("recipe.ini", "checkpoint/request.csv"))
    return again if there else words


# -- whole or torn ------------------------------------------------------------------------------------------------

def why_torn(path, data):
    """None if the bytes are a whole file of what their name says they are."""
    try:
        if path.endswith(".csv"):
            text = data.decode()
            widths = {len(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)}
            return None if text.endswith("\n") and len(widths) == 1 else f"csv: rows of {widths} fields"
        if path.endswith(".nii.gz"):
            volume = gzip.decompress(data)
            dims = struct.unpack_from("<8h", volume, 40)
            bits, = struct.unpack_from("<h", volume, 72)
            offset, = struct.unpack_from("<f", volume, 108)
            voxels = 1
            for d in dims[1:1 + dims[0]]:
                voxels *= d
            return None if len(volume) == offset + voxels * bits // 8 else "nii.gz: too few voxels"
        if path.endswith(".png"):
            whole = data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")
            return None if whole else "png: no IEND"
        if path.endswith(".npy"):
            n = struct.unpack_from("<H", data, 8)[0]
            shape = eval(data[10:10 + n], {"__builtins__": {}})["shape"]  # written by ichor, a tuple of numbers
            count = 1
            for d in shape:
                count *= d
            return None if len(data) == 10 + n + 4 * count else "npy: too few numbers"
        if path.endswith(".html"):
            return None if data.rstrip().endswith(b"</html>") else "html: no end"
        if path.endswith((".ini", ".md", ".svg")):
            return None if data.endswith(b"\n") else "no line's end"
        return None
    except (ValueError, KeyError, struct.error, EOFError, OSError, csv.Error, UnicodeDecodeError, SyntaxError) as e:
        return f"{type(e).__name__}: {e}"


def is_temporary(path):
    """What a run has only while it is at work: files being written, and the lock on its folder."""
    if os.path.basename(path) == ".ichor.lock":
        return True
    return os.path.basename(path).startswith(".ichor-") and path.endswith(".tmp")


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


# -- what the document says -----------------------------------------------------------------------------------------

def write_block(document, name, text):
    """Between the lines <!-- name --> and <!-- /name --> of a document stands what was measured last."""
    with open(document) as f:
        whole = f.read()
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    at, until = whole.index(begin) + len(begin), whole.index(end)
    with open(document, "w") as f:
        f.write(whole[:at] + text + whole[until:])
