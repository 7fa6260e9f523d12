"""Keywords in XMP side files (`photo.jpg.xmp`), which photo libraries read; the photo itself is never touched."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from ismila.photos.images import write_aside

X = "adobe:ns:meta/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
OURS = "https://ismila.invalid/xmp/"
SUBJECT, ADDED = f"{{{DC}}}subject", f"{{{OURS}}}added"
"""The keywords, and beside them those that a scan put there: only these are ever taken out again. A list of its own,
since a mark on the keyword itself is something that Adobe's parser (exiv2, digiKam, darktable) refuses."""
_DESCRIPTION = f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about=""/></rdf:RDF>'
_EMPTY = f'<x:xmpmeta xmlns:x="{X}">{_DESCRIPTION}</x:xmpmeta>'.encode()


class SidecarError(Exception):
    """A side file that cannot be read or written; the message says why."""


def sidecar_of(photo: Path) -> Path:
    """The photo's side file: one that is there (`a.jpg.xmp`, or `a.xmp` as Lightroom writes it), else `a.jpg.xmp`."""
    own, short = photo.with_name(f"{photo.name}.xmp"), photo.with_suffix(".xmp")
    return short if short.is_file() and not own.is_file() else own


def set_keyword(photo: Path, keyword: str, wanted: bool) -> None:
    """Add `keyword` to the side file's `dc:subject`, or take out the one that an earlier call added.

    Everything else in the file stays; a keyword that a person put there is left alone.

    Raises:
        SidecarError: the side file is not XMP, or cannot be written.
    """
    path = sidecar_of(photo)
    if not wanted and not path.is_file():
        return
    try:
        content = path.read_bytes() if path.is_file() else _EMPTY
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
        root = etree.fromstring(content, parser)
        rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f"{{{RDF}}}RDF")
        if rdf is None:
            raise SidecarError(f"{path.name}: holds no RDF; not an XMP file")
        if _change(rdf, keyword, wanted):
            write_aside(
                path,
                etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True),
            )
    except etree.XMLSyntaxError as error:
        raise SidecarError(f"{path.name}: not XML ({error.msg})") from error
    except OSError as error:
        raise SidecarError(f"{path.name}: {error.strerror}") from error


def _change(rdf: etree._Element, keyword: str, wanted: bool) -> bool:
    said, ours = (
        [item for item in _items(rdf, tag) if item.text == keyword] for tag in (SUBJECT, ADDED)
    )
    if wanted and not said and not ours:  # ours alone: a person took it out, and has the last word
        for tag in (SUBJECT, ADDED):
            etree.SubElement(_bag(rdf, tag), f"{{{RDF}}}li").text = keyword
        return True
    if wanted or not ours:
        return False
    for item in (*said, *ours):
        bag = item.getparent()
        assert bag is not None
        bag.remove(item)
        held = bag.getparent()
        if not len(bag) and held is not None and (described := held.getparent()) is not None:
            described.remove(held)
    return True


def _items(rdf: etree._Element, tag: str) -> list[etree._Element]:
    return rdf.findall(f".//{tag}/{{{RDF}}}Bag/{{{RDF}}}li")


def _bag(rdf: etree._Element, tag: str) -> etree._Element:
    bag = rdf.find(f".//{tag}/{{{RDF}}}Bag")
    if bag is not None:
        return bag
    described = rdf.find(f"{{{RDF}}}Description")
    if described is None:
        described = etree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    held = described.find(tag)
    if held is None:
        held = etree.SubElement(described, tag, nsmap={"dc": DC, "ismila": OURS})
    return etree.SubElement(held, f"{{{RDF}}}Bag")
