"""What a person writes after `data.root=`, before Hydra's grammar reads it.

Hydra takes a value for a list, a mapping, a function or a sweep where it holds one of many characters, and refuses
letters like umlauts. A path may hold any of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ismila.photos.names import as_text, is_text

TEXTS = ("data.root", "data.cache", "tracking.uri", "model.backbone", "subject")
"""Settings that are texts of a person's own choice."""
LISTED = ("subject", "model.backbone")
"""Those of them in which a comma can only mean several."""


def misread(words: Sequence[str], command: str = "python -m ismila.train") -> str:
    """What Hydra would read otherwise than it was meant, and the command that it reads right; empty if none.

    Args:
        words: of the command line, as the shell hands them on.
    """
    for word in words:
        if not is_text(word):
            return f"{as_text(word)}: not UTF-8; rename what it names"
    is_swept = any(word in ("-m", "--multirun") for word in words)
    wrong = [word for word in words if _is_misread(word, is_swept)]
    if not wrong:
        return ""
    return f"{wrong[0]}: needs quotes inside the shell's; write: {command} {written(words)}"


def written(words: Sequence[str]) -> str:
    """Settings as one writes them into a shell, with the quotes that Hydra wants inside the shell's."""
    is_swept = any(word in ("-m", "--multirun") for word in words)
    meant = (quoted(word) if _is_misread(word, is_swept) else word for word in words)
    return " ".join(map(_for_shell, meant))


def _is_misread(word: str, is_swept: bool) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, _, raw = word.partition("=")
    name = key.lstrip("+")
    if name not in TEXTS:
        return False
    try:
        override = OverridesParser.create().parse_override(word)
        value = override.value()
    except HydraException:
        return True
    if override.is_sweep_override():
        return not is_swept and name not in LISTED
    return not (value is None or isinstance(value, str) or str(value) == raw)


def _for_shell(word: str) -> str:
    """As `shlex.quote`, but readable where only single quotes stand in it."""
    is_plain = "'" in word and not set(word) & set('"$`\\!\n')
    return f'"{word}"' if is_plain else shlex.quote(word)


def quoted(word: str) -> str:
    """An override whose value Hydra's grammar takes as it stands."""
    from hydra.core.override_parser.types import Quote, QuotedString

    key, _, raw = word.partition("=")
    return f"{key}={QuotedString(raw, Quote.single).with_quotes()}"
