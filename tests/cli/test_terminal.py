import subprocess
import sys

from ismila.cli.terminal import say_each


def test_many_lines_are_counted_not_listed(capsys):
    say_each("left out", [str(number) for number in range(23)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "left out: 3 more"


def test_leaving_writes_what_was_printed_and_keeps_the_code():
    code = "from ismila.cli.terminal import leave; print('x' * 100_000); leave(7)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == 7
    assert len(ended.stdout) == 100_001
