"""What a part of ismila needs installed, read from its own imports, so that no list of packages is forgotten."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path

SOURCE = Path(__file__).parents[2]
OURS = "ismila"


def requirements_of(modules: Sequence[str], lazily: bool = True) -> list[str]:
    """`NAME==VERSION` of each package that is installed here and that modules of ismila import, by name.

    Extras that are not installed are nothing that whoever runs these modules here could have used.

    Args:
        modules: whose imports are followed through ismila, such as `ismila.runs.served`.
        lazily: also imports within functions.
    """
    installed = packages_distributions()
    names = {
        name for top in imported(modules, lazily) for name in _named(top, installed.get(top, []))
    }
    # without the part after +, which names a build (+cu130) that the index may call otherwise
    return [f"{name}=={version(name).partition('+')[0]}" for name in sorted(names)]


def imported(modules: Sequence[str], lazily: bool = True) -> set[str]:
    """Top-level names of what is imported that is neither ismila's nor Python's own."""
    seen: set[str] = set()
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        file = _file_of(module)
        if module in seen or file is None:
            continue
        seen.add(module)
        waiting.append(module.rpartition(".")[0])
        for name in _imports(ast.parse(file.read_text(encoding="utf-8")), lazily):
            top = name.partition(".")[0]
            if top == OURS:
                waiting.append(name)
            elif top not in sys.stdlib_module_names:
                found.add(top)
    return found


def _file_of(module: str) -> Path | None:
    """A module's source; None where the name is that of something within one."""
    place = SOURCE.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if module and file.is_file()), None)


def _imports(tree: ast.Module, lazily: bool) -> Iterator[str]:
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif lazily or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def _named(top: str, distributions: Sequence[str]) -> list[str]:
    """Those of several packages that share a top-level name (mlflow, mlflow-skinny) which bear it."""
    names = sorted({_canonical(name) for name in distributions})
    return [name for name in names if name == _canonical(top)] or names


def _canonical(name: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()
