"""A library in which a person has tagged photos, and what a scan says of it."""

import hashlib
from types import SimpleNamespace

from conftest import draw_photo

from ismila.photos.sources.opening import SourceOptions
from ismila.use.ask.agreement import compare_library
from ismila.use.ask.judging import Scan
from ismila.use.ask.library import Library, StateRow, version_of

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>
<rdf:li>garden</rdf:li><rdf:li>{}</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""
PHOTOS = {
    "both": 0.99,
    "missed": 0.2,
    "untagged": 0.95,
    "neither": 0.1,
    "trained": 0.99,
    "ours": 0.98,
}


def tag(photo, name="Mila"):
    photo.with_name(f"{photo.name}.xmp").write_text(XMP.format(name))


def tagged_scan(tmp_path):
    """A judged library in which three photos are tagged by a person."""
    root = tmp_path / "library"
    for seed, name in enumerate(PHOTOS):
        draw_photo(root / f"{name}.jpg", seed, True, (64, 48))
    for name in ("both", "missed", "trained"):
        tag(root / f"{name}.jpg")
    (root / "broken.jpg").write_text("no photo")
    library = Library(root, tmp_path / "state.sqlite")
    rows = [
        StateRow(f"{name}.jpg", version_of(root / f"{name}.jpg"), p, None)
        for name, p in PHOTOS.items()
    ]
    rows.append(StateRow("broken.jpg", version_of(root / "broken.jpg"), None, "not a picture"))
    library.keep("run", rows)
    return Scan(library, SimpleNamespace(subject="mila", threshold=0.9), "run")


def compared(scan, name="mila"):
    trained = (scan.library.root / "trained.jpg").read_bytes()
    seen = [hashlib.sha256(trained).hexdigest()]
    return compare_library(scan, name, seen, SourceOptions())
