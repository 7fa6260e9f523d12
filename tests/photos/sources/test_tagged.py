import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from adding import add, draw, whys
from PIL import Image
from somebody import somebody

from ismila.photos.add import add_photos
from ismila.photos.album import Album
from ismila.photos.sources.opening import SourceOptions
from ismila.photos.sources.tagged import Tagged, json_tags
from ismila.photos.xmp import Tag

EXIFTOOL = shutil.which("exiftool")
EXIV2 = shutil.which("exiv2")
REGION = (
    "-RegionInfo={AppliedToDimensions={W=64,H=48,Unit=pixel},RegionList=["
    "{Area={X=0.5,Y=0.5,W=0.1,H=0.1,Unit=normalized},Name=Rex,Type=Face},"
    "{Area={X=0.25,Y=0.5,W=0.3,H=0.5,Unit=normalized},Name=Mila,Type=Pet}]}"
)
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
   <dc:subject><rdf:Bag><rdf:li>Mila</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""
OSXPHOTOS = {
    "SourceFile": "a.jpg",
    "ExifTool:ExifToolVersion": "12.00",
    "File:FileName": "a.jpg",
    "IPTC:Keywords": ["Garden", "Mila"],
    "XMP:Subject": ["Garden", "Mila"],
    "XMP:TagsList": ["Garden", "Mila"],
    "XMP:PersonInImage": ["Mila", "_UNKNOWN_"],
    "XMP:RegionAppliedToDimensionsW": 64,
    "XMP:RegionName": ["Mila"],
    "XMP:RegionType": ["Face"],
    "XMP:RegionAreaX": [0.5],
    "XMP:RegionAreaY": [0.5],
    "XMP:RegionAreaW": [0.5],
    "XMP:RegionAreaH": [0.25],
    "XMP:RegionAreaUnit": ["normalized"],
}
"""As `osxphotos export --sidecar json` writes it."""


def found(folder, name):
    return {
        photo.name: photo for photo in Tagged("tags", str(folder), SourceOptions()).photos(name)
    }


def exiftool(*commands):
    """One process for all: a Perl takes half a second to start."""
    words = [str(word) for command in commands for word in (*command, "-execute")]
    common = ["-common_args", "-q", "-overwrite_original"]
    subprocess.run([EXIFTOOL, *words[:-1], *common], check=True)


@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed")
def test_what_exiftool_writes_is_read_in_photos_and_beside_them(tmp_path):
    photos = {name: draw(tmp_path / f"{name}.jpg", seed) for seed, name in enumerate("abcdefg")}
    exiftool(
        ("-XMP-dc:Subject=Mila", photos["a"]),
        ("-IPTC:Keywords=Mila", photos["b"]),
        ("-XMP-lr:HierarchicalSubject=Pets|Dogs|Mila", photos["c"]),
        ("-XMP-digiKam:TagsList=People/Mila", "-XMP-dc:Subject=Mila", photos["d"]),
        ("-XMP-iptcExt:PersonInImage=Mila", f"{photos['e']}.xmp"),
        (REGION, tmp_path / "f.xmp"),
        ("-XMP-dc:Subject=Milanese", "-XMP-dc:Title=Mila", photos["g"]),
    )
    said = {name: photo.why for name, photo in found(tmp_path, "mila").items()}
    assert said == {
        "a.jpg": "tag Mila",
        "b.jpg": "tag Mila",
        "c.jpg": "tag Pets|Dogs|Mila",
        "d.jpg": "tag People/Mila",
        "e.jpg": "person Mila",
        "f.jpg": "region Mila",
    }
    assert list(found(tmp_path, "pets/dogs/mila")) == ["c.jpg"]
    assert found(tmp_path, "Mila")["f.jpg"].box == (0.1, 0.25, 0.4, 0.75)


@pytest.mark.skipif(EXIV2 is None, reason="exiv2 is not installed")
def test_what_exiv2_writes_is_read(tmp_path):
    photo = draw(tmp_path / "a.jpg", 1)
    change = "set Xmp.lr.hierarchicalSubject XmpBag Pets|Mila"
    subprocess.run([EXIV2, "-M", change, photo], check=True)
    assert found(tmp_path, "Mila")["a.jpg"].why == "tag Pets|Mila"
    assert found(tmp_path, "Pets") == {}


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "heic", "avif"])
def test_xmp_is_found_in_every_format(tmp_path, suffix):
    import pillow_heif

    photo = Image.open(draw(tmp_path / "a.jpg", 1))
    target = tmp_path / f"b.{suffix}"
    if suffix == "heic":
        pillow_heif.from_pillow(photo).save(target, xmp=XMP.encode())
    elif suffix == "png":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP)
        photo.save(target, pnginfo=text)
    elif suffix == "tif":
        photo.save(target, tiffinfo={700: XMP.encode()})
    else:
        photo.save(target, xmp=XMP.encode())
    assert list(found(tmp_path, "Mila")) == [f"b.{suffix}"]


def test_boxes_come_into_labels_csv_once(tmp_path):
    for seed, name in enumerate("abc"):
        draw(tmp_path / f"export/{name}.jpg", seed)
        (tmp_path / f"export/{name}.jpg.json").write_text(json.dumps([OSXPHOTOS]))
    turned = Image.open(tmp_path / "export/c.jpg")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "export/c.jpg", exif=exif)
    said = add(tmp_path, "tags", "export")
    assert "3 linked, 0 copied, 2 with a box, 0 skipped" in said.stdout
    assert set(whys(tmp_path).values()) == {"region Mila"}
    table = tmp_path / "album/labels.csv"
    assert "mila/a.jpg,,,0.25 0.375 0.75 0.625," in table.read_text().splitlines()
    assert (
        "c.jpg" not in table.read_text()
    )  # turned: programs do not agree on what a box means then
    table.write_text("path,label,closeup,box,note\n")  # a person takes them out again
    add(tmp_path, "tags", "export")
    assert table.read_text() == "path,label,closeup,box,note\n"


def test_osxphotos_own_names_are_read_too():
    held = {"persons": ["Mila"], "keywords": [], "albums": ["Best of Mila"], "Keywords": 7}
    assert json_tags(json.dumps(held).encode()) == [
        Tag("person", "Mila"),
        Tag("tag", "7"),
        Tag("album", "Best of Mila"),
    ]
    broken = {**OSXPHOTOS, "XMP:RegionAreaX": ["left"]}
    assert json_tags(json.dumps([broken]).encode())[0] == Tag("region", "Mila")
    assert json_tags(b"[]") == json_tags(b"3") == json_tags(b'[["Mila"]]') == []


def test_what_a_scan_of_ours_said_is_nobodys_label(tmp_path):
    from ismila.use.ask.sidecars import set_keyword, sidecar_of

    photo = draw(tmp_path / "a.jpg", 1)
    set_keyword(sidecar_of(photo), "Mila", True, (0.1, 0.1, 0.5, 0.5))
    assert found(tmp_path, "Mila") == {}
    sidecar_of(photo).write_text(XMP)
    set_keyword(sidecar_of(photo), "Mila", True)
    assert list(found(tmp_path, "Mila")) == ["a.jpg"]


def test_bad_side_files_and_missing_photos_are_named(tmp_path):
    photos = tmp_path / "photos"
    draw(photos / "a.jpg", 1)
    (photos / "a.jpg.xmp").write_text(XMP)
    (photos / "gone.jpg.xmp").write_text(XMP)
    (photos / "raw.cr2.xmp").write_text(XMP)
    (photos / "broken.jpg").write_bytes(b"no")
    (photos / "broken.xmp").write_text(XMP)
    (photos / "b.xmp").write_text("<no")
    (photos / "a.xmp").write_text("<!DOCTYPE x [<!ENTITY a 'Mila'>]><x>&a;</x>")
    (photos / "c.jpg.json").write_bytes(b"\xff")
    said = add(tmp_path, "tags", "photos")
    assert said.returncode == 0
    assert "1 linked, 0 copied, 1 skipped, 1 gone" in said.stdout
    assert said.stderr.splitlines() == [
        "side files that cannot be read: photos/a.xmp: declares a document type, and 1 more",
        "skipped: photos/broken.jpg: not a picture",
        "named by the source, but not there any more: photos/gone.jpg",
    ]


def test_names_that_are_not_utf8_and_closed_folders_end_nothing():
    with somebody() as folder:
        draw(folder / "photos/a.jpg", 1)
        (folder / "photos/a.jpg.xmp").write_text(XMP)
        odd = folder / "photos" / os.fsdecode(b"caf\xe9.jpg")
        draw(folder / "photos/b.jpg", 2).rename(odd)
        Path(f"{odd}.xmp").write_text(XMP)
        (folder / "photos/closed").mkdir(0)
        (folder / "photos/closed.jpg.xmp").write_text(XMP)
        (folder / "photos/closed.jpg.xmp").chmod(0)
        album = Album.open(folder / "album", "mila")
        added = add_photos(album, [Tagged("tags", "photos", SourceOptions())], "mila")
        assert added.linked + added.copied == 1
        assert dict(added.skipped) == {
            "photos/caf\\xe9.jpg": "its name is not UTF-8; rename it",
            "photos/closed": "this folder cannot be read: Permission denied",
        }
        assert added.notes == [
            "side files that cannot be read: photos/closed.jpg.xmp: Permission denied"
        ]


def test_a_name_nobody_has_shows_those_that_there_are_the_likest_first(tmp_path):
    draw(tmp_path / "photos/a.jpg", 1)
    many = "".join(f"<rdf:li>Pet {n}</rdf:li>" for n in range(20))
    (tmp_path / "photos/a.xmp").write_text(XMP.replace("<rdf:li>Mila", f"{many}<rdf:li>Milo"))
    said = add(tmp_path, "tags", "photos", "--name", "Mila")
    assert said.returncode == 1
    assert "there are Milo, Pet " in said.stderr
    assert said.stderr.endswith("... (9 more)\n")
