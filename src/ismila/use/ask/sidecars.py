"""Keywords in XMP side files, which photo libraries read; the photo itself is never touched.

A side file belongs to others, too: it is not written anew from a parsed tree, which would lose its
packet wrapper, its comments and the way its lines are broken. The parser only says where the bytes of
the keywords stand, and these are put in or cut out; every other byte stays.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from ismila.photos.boxes import Box
from ismila.photos.files import write_aside
from ismila.photos.xmp import (
    ADDED,
    AREA,
    DC,
    DESCRIPTION,
    DIGIKAM,
    HIERARCHY,
    ITEM,
    LIGHTROOM,
    LISTS,
    MWG,
    OURS,
    RDF,
    SUBJECT,
    TAGS,
    Element,
    NotXmpError,
    encoding_of,
    named_regions,
    parse,
    region_lists,
    texts,
)

JOINED = (HIERARCHY, TAGS)
"""Lists in which other programs keep keywords, too, and which they believe more than `dc:subject`; Immich
reads nothing else. A keyword joins those that are there. A file whose keywords are all ours gets `TAGS`; one
with a person's own does not, since these would then be read from a list that lacks them."""
REGION_MARK = "mwg-rs:Regions"
"""Of a region that we put among those of other programs."""
PREFIXES = {
    SUBJECT: ("dc", DC, "subject"),
    HIERARCHY: ("lr", LIGHTROOM, "hierarchicalSubject"),
    TAGS: ("digiKam", DIGIKAM, "TagsList"),
    ADDED: ("ismila", OURS, "added"),
}
FULL = "a.jpg.xmp"
SHORT = "a.xmp"
"""What the side file of `a.jpg` is called: as darktable, digiKam and Immich do, or as Adobe does."""
EMPTY = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
  <rdf:RDF xmlns:rdf="{RDF}">
    <rdf:Description rdf:about=""/>
  </rdf:RDF>
</x:xmpmeta>
"""


class SidecarError(Exception):
    """A side file that cannot be read or written; the message says why."""


def sidecar_of(photo: Path, xmp_name: str = FULL) -> Path:
    """The photo's side file: the one that is there, by whichever name.

    Args:
        xmp_name: `FULL` or `SHORT`, for a file that is not there yet or is by both names.
    """
    full = photo.with_name(f"{photo.name}.xmp")
    short = photo.with_suffix(".xmp")
    wanted, other = (short, full) if xmp_name == SHORT else (full, short)
    return other if other.is_file() and not wanted.is_file() else wanted


def has_regions(sidecar: Path) -> bool:
    """Whether the side file says where in the photo somebody is, as the Metadata Working Group has it."""
    try:
        return MWG.encode() in sidecar.read_bytes().replace(b"\0", b"")  # also where it is UTF-16
    except OSError:
        return False


class OurWord(NamedTuple):
    """What a side file holds of a keyword that a scan put there.

    Attributes:
        is_marked: a scan put it there.
        stands: it is there still; a person may have taken it out.
    """

    is_marked: bool
    stands: bool


def our_word(sidecar: Path, keyword: str) -> OurWord:
    """Whether a scan of ours put the keyword there; a side file that cannot be read says nothing."""
    try:
        content = sidecar.read_bytes()
        root = parse(content.decode(encoding_of(content)).encode())
    except (OSError, ValueError, LookupError, expat.ExpatError, NotXmpError):
        return OurWord(False, False)
    is_marked = keyword in texts(root, ADDED)
    return OurWord(is_marked, is_marked and keyword in texts(root, SUBJECT))


def set_keyword(sidecar: Path, keyword: str, wanted: bool, box: Box | None = None) -> None:
    """Add `keyword` to the side file's `dc:subject` and to the lists of `JOINED` that it has, or take out
    what an earlier call added.

    Where the file has regions, the box joins them under the keyword's name. Every other byte stays. A
    keyword that a person put there is left alone, and one that a person took out is not put back.

    Args:
        box: where in the photo the subject is, in pixels as they are stored: of an upright photo.

    Raises:
        SidecarError: the side file is not XMP, or cannot be written.
    """
    if not wanted and not sidecar.is_file():
        return
    try:
        content = sidecar.read_bytes() if sidecar.is_file() else EMPTY.encode()
        encoding = encoding_of(content)
        before = content.decode(encoding).encode()
        after = _changed(before, keyword, wanted)
        after = _with_region(after, keyword, box) if wanted and box else after
        if after != before:
            write_aside(sidecar, after.decode().encode(encoding, "xmlcharrefreplace"))
    except expat.ExpatError as error:
        raise SidecarError(f"{sidecar.name}: not XML ({error})") from error
    except (UnicodeError, LookupError) as error:
        raise SidecarError(f"{sidecar.name}: not in the encoding that it names") from error
    except NotXmpError as error:
        raise SidecarError(f"{sidecar.name}: {error}; not an XMP file") from error
    except OSError as error:
        raise SidecarError(f"{sidecar.name}: {error.strerror}") from error


def _changed(text: bytes, keyword: str, wanted: bool) -> bytes:
    """The UTF-8 text of a side file with the keyword added or taken out, or as it was."""
    if not parse(text).below(f"{RDF} RDF"):
        raise NotXmpError("holds no RDF")
    change = _with if wanted else _without
    for tag in (SUBJECT, *JOINED):
        text = change(text, tag, keyword)
    return text if wanted else _without_region(text, keyword)


def _mark(tag: str, keyword: str) -> str:
    """What says in `ADDED` that the keyword in the list of this name is ours."""
    prefix, _, name = PREFIXES[tag]
    return keyword if tag == SUBJECT else f"{prefix}:{name} {keyword}"


def _with(text: bytes, tag: str, keyword: str) -> bytes:
    root = parse(text)
    mark = _mark(tag, keyword)
    # the mark alone: a person took the keyword out, and has the last word
    if _item(root, tag, keyword) or _item(root, ADDED, mark):
        return text
    if tag in JOINED and not _joins(root, tag, keyword):
        return text
    return _add(_add(text, tag, keyword), ADDED, mark)


def _with_region(text: bytes, keyword: str, box: Box) -> bytes:
    root = parse(text)
    mark = f"{REGION_MARK} {keyword}"
    lists = region_lists(root)
    is_settled = named_regions(root, keyword) or _item(root, ADDED, mark)
    if not lists or is_settled or not _item(root, ADDED, keyword):
        return text
    x0, y0, x1, y1 = box
    sides = {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "w": x1 - x0, "h": y1 - y0}
    area = " ".join(f'stArea:{name}="{value:.6f}"' for name, value in sides.items())
    region = (
        f'<rdf:li xmlns:rdf="{RDF}"><rdf:Description xmlns:mwg-rs="{MWG}" xmlns:stArea="{AREA}" '
        f'mwg-rs:Name={quoteattr(keyword)} mwg-rs:Type="Pet"><mwg-rs:Area {area} '
        'stArea:unit="normalized"/></rdf:Description></rdf:li>'
    )
    return _add(_append(text, lists[0], region.encode()), ADDED, mark)


def _without_region(text: bytes, keyword: str) -> bytes:
    root = parse(text)
    mark = f"{REGION_MARK} {keyword}"
    if not _item(root, ADDED, mark):
        return text
    for region in named_regions(root, keyword)[:1]:
        lead = len(_space_before(text, region))
        text = text[: region.start - lead] + text[region.after :]
    return _take_out(text, ADDED, mark)


def _joins(root: Element, tag: str, keyword: str) -> bool:
    """Whether a keyword that we put among the others belongs into this list, too."""
    ours = texts(root, ADDED)
    subjects = texts(root, SUBJECT)
    if keyword not in ours or keyword not in subjects:
        return False
    if _lists(root, tag):
        return True
    return (
        tag == TAGS
        and not any(_lists(root, each) for each in JOINED)
        and set(subjects) <= set(ours)
    )


def _without(text: bytes, tag: str, keyword: str) -> bytes:
    mark = _mark(tag, keyword)
    if not _item(parse(text), ADDED, mark):
        return text
    return _take_out(_take_out(text, tag, keyword), ADDED, mark)


def _lists(root: Element, tag: str) -> list[Element]:
    return [bag for holder in root.below(tag) for kind in LISTS for bag in holder.below(kind)]


def _item(rdf: Element, tag: str, keyword: str) -> Element | None:
    items = [item for holder in rdf.below(tag) for item in holder.below(ITEM)]
    return next((item for item in items if item.text == keyword), None)


def _add(text: bytes, tag: str, keyword: str) -> bytes:
    """Put the keyword at the end of the property's list; the property is made where there is none."""
    root = parse(text)
    prefix, namespace, name = PREFIXES[tag]
    if lists := _lists(root, tag):
        own_prefix = _written_name(text, lists[0]).rpartition(":")[0]
        item = f"{own_prefix}:li" if own_prefix else "li"
        return _append(text, lists[0], f"<{item}>{escape(keyword)}</{item}>".encode())
    kind = "Seq" if tag == TAGS else "Bag"
    holder = (
        f'<{prefix}:{name} xmlns:{prefix}="{namespace}" xmlns:rdf="{RDF}"><rdf:{kind}><rdf:li>'
        f"{escape(keyword)}</rdf:li></rdf:{kind}></{prefix}:{name}>"
    ).encode()
    descriptions = root.below(DESCRIPTION)
    if descriptions:
        return _append(text, descriptions[0], holder)
    described = f'<rdf:Description xmlns:rdf="{RDF}" rdf:about="">'.encode()
    [rdf, *_] = root.below(f"{RDF} RDF")
    return _append(text, rdf, described + holder + b"</rdf:Description>")


def _append(text: bytes, element: Element, new: bytes) -> bytes:
    """Put `new` after the element's last child, on a line of its own where the others have one."""
    if element.children:
        first, last = element.children[0], element.children[-1]
        lead = _space_before(text, first)
        return text[: last.after] + lead + new + text[last.after :]
    if element.end == element.inside == element.after:  # <a/>
        opened = text[: element.inside - 2].rstrip() + b">"
        closed = f"</{_written_name(text, element)}>".encode()
        return opened + new + closed + text[element.after :]
    return text[: element.inside] + new + text[element.inside :]


def _written_name(text: bytes, element: Element) -> str:
    """The element's name with the prefix that it is written with."""
    tag = text[element.start + 1 : element.inside].decode()
    return re.split(r"[\s/>]", tag, maxsplit=1)[0]


def _take_out(text: bytes, tag: str, keyword: str) -> bytes:
    """Cut the keyword out, and the property with it when nothing else is in its list."""
    root = parse(text)
    for holder in root.below(tag):
        items = holder.below(ITEM)
        for item in items:
            if item.text == keyword:
                gone = item if len(items) > 1 else holder
                lead = len(_space_before(text, gone))
                return text[: gone.start - lead] + text[gone.after :]
    return text


def _space_before(text: bytes, element: Element) -> bytes:
    before = text[: element.start]
    return before[len(before.rstrip(b" \t\r\n")) :]
