"""XMP as photo libraries write it, in side files and in photos: who and what a photo shows, and where.

The parser says where each element's bytes stand, so that who writes into such a file can leave every other
byte as it is.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from ismila.photos.boxes import DECIMALS

if TYPE_CHECKING:
    from ismila.photos.boxes import Box

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
OURS = "https://ismila.invalid/xmp/"
SUBJECT = f"{DC} subject"
LIGHTROOM = "http://ns.adobe.com/lightroom/1.0/"
DIGIKAM = "http://www.digikam.org/ns/1.0/"
HIERARCHY = f"{LIGHTROOM} hierarchicalSubject"
TAGS = f"{DIGIKAM} TagsList"
PERSONS = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ PersonInImage"
MICROSOFT = "http://ns.microsoft.com/photo/1.0/ LastKeywordXMP"
ADDED = f"{OURS} added"
"""The keywords, and beside them those that a scan put there: only these are ever taken out again. A list
of its own, since a mark on the keyword itself is something that Adobe's parser (exiv2, digiKam,
darktable) refuses."""
MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
AREA = "http://ns.adobe.com/xmp/sType/Area#"
EXIF = "http://ns.adobe.com/exif/1.0/"
DATES = (
    f"{EXIF} DateTimeOriginal",
    "http://ns.adobe.com/photoshop/1.0/ DateCreated",
    "http://ns.adobe.com/xap/1.0/ CreateDate",
    f"{EXIF} DateTimeDigitized",
)
"""When a photo was taken, the likeliest first."""
LISTS = (f"{RDF} Bag", f"{RDF} Seq")
ITEM = f"{RDF} li"
DESCRIPTION = f"{RDF} Description"
NON_SUBJECT_REGIONS = ("Focus", "BarCode")
"""Types of regions that show nobody."""
_START_TAG = re.compile(rb"""<[^\s/>]+(?:[^>"']|"[^"]*"|'[^']*')*?(/?)>""")
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class NotXmpError(Exception):
    """XML, but no XMP; the message says why."""


def encoding_of(content: bytes) -> str:
    """What the text of a packet is encoded in."""
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return encoding
    declared = re.match(rb"""[^<]{0,3}<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""", content)
    return declared[1].decode() if declared else "utf-8"


@dataclass
class Element:
    """One element and where it stands, in bytes from the beginning of the text.

    Attributes:
        name: with its namespace, `http://... li`.
        start, inside: of the start tag, and the first byte after it.
        end, after: of the end tag, and the first byte after it; of `<a/>` all but `start` are the same.
    """

    name: str
    start: int
    inside: int
    end: int = -1
    after: int = -1
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)

    def below(self, name: str) -> list[Element]:
        """Elements of this name at any depth, in the text's order."""
        waiting = [self]
        found = []
        while waiting:  # no recursion: a hostile file may be nested deeper than Python's stack
            element = waiting.pop()
            if element.name == name:
                found.append(element)
            waiting.extend(reversed(element.children))
        return found


def parse(text: bytes) -> Element:
    """The root element of UTF-8 text.

    Raises:
        ExpatError: it is not well-formed.
        NotXmpError: it declares a document type, which XMP has not and entities need.
    """
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    above: list[Element] = []
    roots: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        at = parser.CurrentByteIndex
        tag = _START_TAG.match(text, at)
        inside = tag.end() if tag else at
        element = Element(name, at, inside, attributes=attributes)
        (above[-1].children if above else roots).append(element)
        above.append(element)

    def end(_: str) -> None:
        element = above.pop()
        if text[element.inside - 2 : element.inside] == b"/>":
            element.end = element.after = element.inside
        else:
            element.end = parser.CurrentByteIndex
            element.after = text.index(b">", element.end) + 1

    def characters(data: str) -> None:
        above[-1].text += data

    def doctype(*_: object) -> None:
        raise NotXmpError("declares a document type")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(text, True)
    return roots[0]


def region_lists(root: Element) -> list[Element]:
    """Where regions with names are listed."""
    lists = root.below(f"{MWG} RegionList")
    return [bag for regions in lists for kind in LISTS for bag in regions.below(kind)]


def named_regions(root: Element, name: str) -> list[Element]:
    """Regions of this name, which stands in an attribute or in an element of its own."""
    return [region for region in _regions(root) if name in _region_names(region)]


def _regions(root: Element) -> list[Element]:
    return [item for bag in region_lists(root) for item in bag.children]


def _region_names(region: Element) -> list[str]:
    written = [element.text for element in region.below(f"{MWG} Name")]
    inside = [region, *region.below(DESCRIPTION)]
    return written + [element.attributes.get(f"{MWG} Name", "") for element in inside]


def texts(root: Element, tag: str) -> list[str]:
    """What stands in the lists of this name."""
    return [item.text for holder in root.below(tag) for item in holder.below(ITEM)]


@dataclass(frozen=True)
class Tag:
    """Somebody or something that a photo is said to show.

    Attributes:
        kind: `person`, `tag` or `region`.
        text: as it is written, with what stands above it: `People/Mila`, `Pets|Mila`.
        box: of a region, in the photo as its pixels are stored.
    """

    kind: str
    text: str
    box: Box | None = None

    @property
    def name(self) -> str:
        """Without what stands above it."""
        return re.split(r"[|/]", self.text)[-1].strip()


def read_tags(content: bytes) -> list[Tag]:
    """Who and what a packet of XMP says that its photo shows: regions, persons, then tags.

    What a scan of ours put there is left out: nobody has said that.

    Raises:
        NotXmpError: it is not XMP.
    """
    root = _root_of(content)
    tags = [*_region_tags(root), *(Tag("person", text) for text in texts(root, PERSONS))]
    for each in (HIERARCHY, TAGS, MICROSOFT, SUBJECT):
        tags += [Tag("tag", text) for text in texts(root, each)]
    ours = set(texts(root, ADDED))
    said = (Tag(tag.kind, tag.text.strip(), tag.box) for tag in tags if tag.text not in ours)
    return list(dict.fromkeys(tag for tag in said if tag.text))


def read_dates(content: bytes) -> list[str]:
    """What a packet of XMP says of when its photo was taken, as it is written, the likeliest first.

    Raises:
        NotXmpError: it is not XMP.
    """
    root = _root_of(content)
    return [date for date in (_value(root, name) for name in DATES) if date]


def _root_of(content: bytes) -> Element:
    try:
        text = content.decode(encoding_of(content)).strip("\0")
        return parse(text.encode())
    except expat.ExpatError as error:
        raise NotXmpError(f"not XML ({error})") from error
    except (UnicodeError, LookupError) as error:
        raise NotXmpError("not in the encoding that it names") from error


def _region_tags(root: Element) -> list[Tag]:
    tags = []
    for region in _regions(root):
        names = [name for name in _region_names(region) if name.strip()]
        if names and _value(region, f"{MWG} Type") not in NON_SUBJECT_REGIONS:
            tags.append(Tag("region", names[0], _box_of(region)))
    return tags


def _box_of(region: Element) -> Box | None:
    """Where a region is; None where it does not say so in shares of the picture."""
    areas = region.below(f"{MWG} Area")
    try:
        x, y, w, h = (float(_value(areas[0], f"{AREA} {side}")) for side in "xywh")
    except (IndexError, ValueError):
        return None
    return box_around(x, y, w, h) if _value(areas[0], f"{AREA} unit") != "pixel" else None


def box_around(x: float, y: float, w: float, h: float) -> Box | None:
    """The box of a region by its middle and its sides, in [0, 1]; None where nothing of it is in the picture."""
    sides = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    x0, y0, x1, y1 = (round(min(max(side, 0.0), 1.0), DECIMALS) for side in sides)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _value(holder: Element, name: str) -> str:
    """Of a simple property, which stands in an attribute or in an element of its own; empty where it is none."""
    inside = [holder, *holder.below(DESCRIPTION)]
    written = [element.attributes[name] for element in inside if name in element.attributes]
    return next(iter([*written, *(element.text for element in holder.below(name))]), "").strip()
