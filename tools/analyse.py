#!/usr/bin/env python3
"""Static analysis of the project's own C by cppcheck, clang-tidy (.clang-tidy) and gcc's -fanalyzer. Prints each
finding; exit status 1 where there is one, 77 without the tools.

    tools/analyse.py              all sources of the rooms
    tools/analyse.py --changed    cppcheck on all; the others, which are slow, on what differs from the commit before
    tools/analyse.py FILE.c ...   clang-tidy and gcc on those

It reads build/compile_commands.json, so configure first: cmake --preset release.
"""
import concurrent.futures
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOMS = "tensor layers optim data infer audit train cli tools".split()
MODEL = os.path.abspath("tools/analysis_model.h")  # what gcc must know of other files
# Left out of cppcheck:
NO_CPPCHECK = [
    "uninitvar", "legacyUninitvar",  # an array filled in a loop is empty to it; gcc, clang and valgrind know better
    "invalidPointerCast",  # a panel holds floats or pairs of bfloat16, and an arena anything
    "missingIncludeSystem",
]
FOR_GCC = [  # gcc gives up on long functions before it has seen all ways through; forty times its limit found nothing true
    "-O0", "-U_FORTIFY_SOURCE",  # functions and expressions as they are written
    "-fno-openmp", "-Wno-unknown-pragmas", "-Wno-unused",  # a loop stays one: no function of its own with half its values
    "-Wno-analyzer-shift-count-overflow",  # gcc 12 takes a vector of eight integers for an integer of three bits
]


def own_sources(build):
    """The compile command of each source of a room; of kernels, compiled for many processors, the first."""
    try:
        with open(build + "/compile_commands.json") as file:
            commands = json.load(file)
    except OSError as why:
        sys.exit(f"tools/analyse.py: {why}: run cmake --preset release")
    found = {}
    for command in commands:
        name = os.path.relpath(command["file"])
        if name.split("/")[0] in ROOMS and name.endswith(".c"):
            found.setdefault(name, command)
    return found


def run(words, folder=None):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def cppcheck(database):
    _, _, said = run(["cppcheck", f"--project={database}", "--quiet", "--std=c11", f"-j{os.cpu_count()}",
                      "--enable=warning,performance,portability", "--template={file}:{line}: {message} [{id}]"]
                     + [f"--suppress={id}" for id in NO_CPPCHECK])
    return said


def clang_tidy(name, folder):
    status, said, trouble = run(["clang-tidy", "-p", folder, "--quiet", "--warnings-as-errors=*", name])
    return said or (trouble if status else "")


def gcc(name, command):
    words = [word for word in shlex.split(command["command"]) if "ccache" not in word and word != "-c"]
    at = words.index("-o")
    words = words[:at] + words[at + 2:] + ["-S", "-o", "/dev/null", "-fanalyzer"] + FOR_GCC
    words += [] if name == "tensor/error.c" else ["-include", MODEL]
    status, _, said = run(words, command["directory"])
    return said or (f"{name}: gcc ends with {status}\n" if status else "")


def changed(sources):
    _, differs, _ = run("git diff --name-only HEAD~".split())
    _, fresh, _ = run("git ls-files --others --exclude-standard".split())
    return [name for name in (differs + fresh).split() if name in sources]


def main(arguments):
    for tool in ("cppcheck", "clang-tidy"):
        if not shutil.which(tool):
            print(f"{tool} is missing: tools/packages.sh analysis")
            return 77
    sources = own_sources("build")
    names = changed(sources) if arguments == ["--changed"] else arguments or list(sources)
    unknown = [name for name in names if name not in sources]
    if unknown:
        sys.exit(f"tools/analyse.py: {unknown[0]} is no source of a room that build/ knows")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        database = folder + "/compile_commands.json"
        with open(database, "w") as file:
            json.dump(list(sources.values()), file)
        jobs = [pool.submit(gcc, name, sources[name]) for name in names]
        jobs += [pool.submit(clang_tidy, name, folder) for name in names]
        if not arguments or arguments == ["--changed"]:
            jobs.append(pool.submit(cppcheck, database))
        findings = [job.result() for job in jobs]
    print("".join(findings), end="")
    return 1 if any(findings) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
