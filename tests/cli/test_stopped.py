import subprocess
import sys

import pytest

PLACES = {
    "hydra": "ismila.train",
    "argparse": "ismila.cli",
}
"""A module that a command imports, and the command."""


@pytest.mark.parametrize("module", PLACES)
def test_ctrl_c_during_the_imports_is_one_line(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    command = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[0] = 'x'; "
    command += f"runpy.run_module({PLACES[module]!r}, run_name='__main__')"
    said = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert said.stderr == "stopped before anything was done\n"
    assert said.returncode == 130


def test_a_mistake_of_ours_still_shows_its_traceback():
    command = "import ismila.cli.stopped; 1 / 0"
    said = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert said.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "Traceback" in said.stderr
