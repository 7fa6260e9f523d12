"""Keywords in XMP side files (`photo.jpg.xmp`), which photo libraries read; the photo itself is never touched."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from ismila.photos.images import write_aside

X = "adobe:ns:meta/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
OURS = "https://ismila.invalid/xmp/"
"""Marks a keyword that a scan put there, so that only such a one is ever taken out again."""
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
            write_aside(path, etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True))
    except etree.XMLSyntaxError as error:
        raise SidecarError(f"{path.name}: not XML ({error.msg})") from error
    except OSError as error:
        raise SidecarError(f"{path.name}: {error.strerror}") from error


def _change(rdf: etree._Element, keyword: str, wanted: bool) -> bool:
    said = [item for item in rdf.iter(f"{{{RDF}}}li") if _is_subject(item) and (item.text or "") == keyword]
    if not wanted:
        ours = [item for item in said if item.get(f"{{{OURS}}}scan") is not None]
        for item in ours:
            parent = item.getparent()
            assert parent is not None
            parent.remove(item)
        return bool(ours)
    if said:
        return False
    bag = rdf.find(f".//{{{DC}}}subject/{{{RDF}}}Bag")
    if bag is None:
        described = rdf.find(f"{{{RDF}}}Description")
        if described is None:
            described = etree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
        subject = described.find(f"{{{DC}}}subject")
        if subject is None:
            subject = etree.SubElement(described, f"{{{DC}}}subject", nsmap={"dc": DC})
        bag = etree.SubElement(subject, f"{{{RDF}}}Bag")
    etree.SubElement(bag, f"{{{RDF}}}li", {f"{{{OURS}}}scan": "1"}, nsmap={"ismila": OURS}).text = keyword
    return True


def _is_subject(item: etree._Element) -> bool:
    bag = item.getparent()
    holder = bag.getparent() if bag is not None else None
    return holder is not None and holder.tag == f"{{{DC}}}subject"
