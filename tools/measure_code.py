"""Count over src/ismila what the style asks for. `make measure`. Numbers serve the reading: nothing fails on them.

.venv/bin/python tools/measure_code.py [FOLDER]     # another checkout's src/ismila, to compare
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/ismila"
LONG_FUNCTION = 60
MANY_PARAMETERS = 6
LONG_LINE = 100
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A file, read in the three ways in which it is counted."""

    path: Path
    text: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Module:
        text = path.read_text(encoding="utf-8")
        return cls(path, text, ast.parse(text))

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def words(self, word: str) -> int:
        """How often a type is written, its imports and quoted annotations included."""
        return len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", self.text))

    def full_line_comments(self) -> int:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(t.type == tokenize.COMMENT and t.line.lstrip().startswith("#") for t in tokens)


def modules(package: Path = PACKAGE) -> list[Module]:
    return [Module.read(path) for path in sorted(package.rglob("*.py"))]


def length(function: Function) -> int:
    """Lines from `def` to the end, its docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: Function) -> int:
    """All that a caller can give, also by keyword only; not self or cls."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    extra = [star for star in (given.vararg, given.kwarg) if star]
    return sum(arg.arg not in ("self", "cls") for arg in named) + len(extra)


def is_packed(assignment: ast.Assign) -> bool:
    """`a, b = x, y`: a tuple on both sides, so several assignments in one line."""
    return isinstance(assignment.value, ast.Tuple) and any(
        isinstance(target, ast.Tuple) for target in assignment.targets
    )


def without_test(package: Path = PACKAGE) -> list[str]:
    """Modules with code of their own and no tests/<room>/test_<module>.py."""
    tests = package.parents[1] / "tests"
    missing = []
    for module in modules(package):
        at = module.path.relative_to(package)
        says_nothing = all(map(only_gathers, module.tree.body))
        if not says_nothing and not mirror(tests, at).is_file():
            missing.append(at.as_posix())
    return missing


def only_gathers(node: ast.stmt) -> bool:
    """A docstring, an import or `__all__`: what a package's file has that only names what lies in others."""
    is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    return is_all or isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)


def mirror(tests: Path, at: Path) -> Path:
    """Where the test of `photos/folds.py` or `runs/__init__.py` lies."""
    if at.name in ("__init__.py", "__main__.py"):
        return tests / at.parent / f"test_{at.parent.name or 'ismila'}.py"
    return tests / at.parent / f"test_{at.name}"


def per_thousand(count: int, lines: int) -> str:
    return f"{1000 * count / lines:.1f} per 1,000 lines ({count})"


def share(count: int, of: int) -> str:
    return f"{100 * count / max(of, 1):.1f} % ({count} of {of})"


def measured(package: Path) -> Iterator[tuple[str, str]]:
    """(what, value), in the order of the issue's list."""
    read = modules(package)
    functions = [function for module in read for function in module.functions()]
    lengths = {function: length(function) for function in functions}
    longest = max(functions, key=lengths.__getitem__)
    most = max(functions, key=parameters)
    lines = [line for module in read for line in module.lines]
    nodes = (node for module in read for node in ast.walk(module.tree))
    assignments = [node for node in nodes if isinstance(node, ast.Assign)]
    yield "modules, lines", f"{len(read)}, {len(lines):,}"
    yield "functions", f"{len(functions)}"
    yield "  median lines", f"{statistics.median(lengths.values()):g}"
    yield f"  over {LONG_FUNCTION} lines", over(lengths.values(), LONG_FUNCTION + 1)
    yield "  longest", f"{lengths[longest]} lines, {longest.name}"
    counts = [parameters(function) for function in functions]
    yield f"  {MANY_PARAMETERS} or more parameters", over(counts, MANY_PARAMETERS)
    yield "  most parameters", f"{max(counts)}, {most.name}"
    yield "Any", per_thousand(sum(module.words("Any") for module in read), len(lines))
    yield (
        "dict[str, Any]",
        per_thousand(sum(module.words("dict[str, Any]") for module in read), len(lines)),
    )
    yield "packed assignments", share(sum(map(is_packed, assignments)), len(assignments))
    yield f"lines over {LONG_LINE} characters", over(map(len, lines), LONG_LINE + 1)
    comments = sum(module.full_line_comments() for module in read)
    yield "full-line comments", per_thousand(comments, len(lines))
    untested = without_test(package)
    yield "modules without a test", ", ".join([f"{len(untested)}", *untested])


def over(values: Iterable[int], least: int) -> str:
    counted = list(values)
    return share(sum(value >= least for value in counted), len(counted))


def main() -> None:
    package = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PACKAGE
    for what, value in measured(package):
        print(f"{what:<28} {value}")


if __name__ == "__main__":
    main()
