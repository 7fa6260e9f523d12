import subprocess
import sys

NEEDS_TORCH = {"backbones", "hub"}


def test_photos_are_judged_without_torch_and_pandas():
    """`ismila predict` and `serve --model` import this room alone: seconds, and a gigabyte of a container."""
    code = """
import importlib, pkgutil, sys, ismila.vision
for module in pkgutil.iter_modules(ismila.vision.__path__, "ismila.vision."):
    if module.name.rpartition(".")[2] not in %r:
        importlib.import_module(module.name)
print([name for name in ("torch", "pandas", "mlflow", "sklearn", "scipy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code % NEEDS_TORCH], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
