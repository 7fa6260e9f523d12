"""Where a run and a library's tags do not agree, as one page in the style of the report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ismila.evidence.intervals import Rate
from ismila.evidence.report import PAGE
from ismila.photos import UserError
from ismila.photos.files import write_aside
from ismila.photos.images import PhotoError, data_uri, jpeg_bytes, open_photo
from ismila.photos.names import counted
from ismila.use.ask.agreement import Compared, LabelAgreement

SHOWN = 200
"""So many photos of each sort have a picture on the page, the worst."""
SIDE_PX = 320
QUALITY = 78
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
"""


def write_agreement(agreement: LabelAgreement, root: Path, run: str, file: Path) -> None:
    """Write the page, which needs nothing else.

    Args:
        root: the library.

    Raises:
        UserError: the file cannot be written.
    """
    style = (PAGE / "report.css").read_text(encoding="utf-8")
    subject = agreement.subject
    title = f"Do {escape(root.name)}'s tags and the run agree about {escape(subject)}?"
    parts = [
        HEAD.format(title=title, style=style),
        f'<header><p class="eyebrow">run {run[:8]} · {escape(subject)} from {_percent(agreement.threshold)} on</p>',
        f"<h1>{title}</h1><section>",
        *(_bar(words, rate) for words, rate in agreement.rates().items() if rate.n),
        f'<p class="quiet">{escape(left_out(agreement))} Lines are 95 % intervals; photos of one day count as one '
        f"occasion. A photo without a tag is no proof that {escape(subject)} is not in it: few people tag them all.</p>"
        "</section></header><main>",
        _gallery("Tagged, but not found", agreement.missed, agreement, root),
        _gallery("Found, but not tagged", agreement.untagged, agreement, root),
        "</main>\n</body>\n</html>\n",
    ]
    try:
        write_aside(file, "\n".join(parts).encode())
    except OSError as error:
        reason = f"{error.strerror}; give a file that may be written"
        raise UserError(f"--html {file}: {reason}") from error


def left_out(agreement: LabelAgreement) -> str:
    """How many photos were left out and why, in a sentence."""
    counts = {
        "the run has seen them": agreement.in_training,
        "ismila itself wrote the tag": agreement.ours,
        "they cannot be read": agreement.unread,
    }
    said = [f"{count} since {reason}" for reason, count in counts.items() if count]
    return f"Left out: {', '.join(said)}." if said else "No photo was left out."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _bar(words: str, rate: Rate) -> str:
    low, high = (100 * end for end in (rate.low, rate.high))
    share = 100 * rate.value
    good = "" if words.startswith("untagged") else "good"
    label = f"{words}: {rate.hits} of {rate.n}, 95 % interval {low:.1f} to {high:.1f} %"
    return (
        f'<div class="bar" role="img" aria-label="{label}"><span>{words}</span><span class="number">{rate.hits} of '
        f'{rate.n} <span class="quiet">{low:.1f} – {high:.1f} %</span></span><div class="track">'
        f'<div class="fill {good}" style="width: {share:.2f}%"></div><div class="whisker" '
        f'style="left: {low:.2f}%; width: {high - low:.2f}%"></div></div></div>'
    )


def _gallery(title: str, photos: Sequence[Compared], agreement: LabelAgreement, root: Path) -> str:
    shown = [_figure(photo, agreement.threshold, root) for photo in photos[:SHOWN]]
    more = f", the first {SHOWN} of them" if len(photos) > SHOWN else ""
    body = "".join(shown) if shown else '<p class="quiet">None.</p>'
    return (
        f"<section><h2>{title} ({counted(len(photos), 'photo')}{more})</h2>"
        f'<div class="gallery large">{body}</div></section>'
    )


def _figure(photo: Compared, threshold: float, root: Path) -> str:
    said = f" · {escape(photo.tag)}" if photo.tag else ""
    return (
        f'<figure>{_picture(root / photo.path)}<div class="track"><div class="fill plain" '
        f'style="width: {100 * photo.probability:.2f}%"></div><div class="before" '
        f'style="left: {100 * threshold:.2f}%"></div></div><figcaption>{_percent(photo.probability)}'
        f"{said} · {escape(photo.path)}</figcaption></figure>"
    )


def _picture(file: Path) -> str:
    try:
        photo = open_photo(file, SIDE_PX)
    except PhotoError as error:
        return f'<div class="gone">{escape(str(error))}</div>'
    photo.thumbnail((SIDE_PX, SIDE_PX))
    return f'<img src="{data_uri(jpeg_bytes(photo, QUALITY))}" alt="" loading="lazy">'
