import subprocess
import sys

STORY = """
import os, subprocess, sys, time
from pathlib import Path
from ismila.photos.streams import errors_into

open_before = len(os.listdir("/proc/self/fd"))
with errors_into(Path("errors")):
    os.write(2, b"native ")
    late = subprocess.Popen(["sh", "-c", "read line; echo late >&2"], stdin=subprocess.PIPE)
os.write(2, b"shown")
late.communicate(b"go")
try:
    with errors_into(Path("no folder/errors")):
        pass
except FileNotFoundError:
    pass
assert len(os.listdir("/proc/self/fd")) == open_before
"""


def test_what_native_code_and_processes_say_lies_in_the_file(tmp_path):
    said = subprocess.run([sys.executable, "-c", STORY], cwd=tmp_path, capture_output=True)
    assert said.stderr == b"shown"
    assert (tmp_path / "errors").read_text() == "native late\n"
