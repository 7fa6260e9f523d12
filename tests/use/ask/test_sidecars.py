import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from ismila.use.ask.sidecars import (
    DC,
    HIERARCHY,
    RDF,
    SHORT,
    TAGS,
    SidecarError,
    has_regions,
    set_keyword,
    sidecar_of,
)

PADDING = (" " * 100 + "\n") * 20
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    "<!-- made by a camera -->\n"
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk=\'Adobe "XMP" Core\'>\r\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n'
    '  <rdf:Description rdf:about=""\n'
    '    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
    f'    xmlns:dc="{DC}"\n'
    '   xmp:Rating="5">\n'
    "   <dc:subject>\n    <rdf:Bag>\n     <rdf:li>beach</rdf:li>\n    </rdf:Bag>\n   </dc:subject>\n"
    "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    f'{PADDING}<?xpacket end="w"?>\n'
)


def keywords(path):
    items = ElementTree.parse(path).iterfind(f".//{{{DC}}}subject/{{{RDF}}}Bag/{{{RDF}}}li")
    return [item.text for item in items]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_what_others_wrote_stays_byte_for_byte(tmp_path, encoding):
    side = tmp_path / "a.xmp"
    mark = "" if encoding == "utf-8" else "\ufeff"
    before = (mark + PACKET).encode(encoding)
    side.write_bytes(before)
    set_keyword(side, "mila", True)
    once = side.read_bytes().decode(encoding)
    assert keywords(side) == ["beach", "mila"]
    assert once.startswith(mark + PACKET[: PACKET.index("</rdf:Bag>") - 5])
    assert once.endswith(PACKET[PACKET.index("</x:xmpmeta>") :])
    assert "\n     <rdf:li>mila</rdf:li>\n    </rdf:Bag>" in once
    set_keyword(side, "mila", True)
    assert side.read_bytes().decode(encoding) == once
    set_keyword(side, "mila", False)
    assert side.read_bytes() == before


def test_a_keyword_carries_no_attribute(tmp_path):
    side = tmp_path / "a.xmp"
    side.write_text(PACKET)
    set_keyword(side, "mila", True)
    plain = [dict(li.attrib) for li in ElementTree.parse(side).iter(f"{{{RDF}}}li")]
    assert plain and not any(plain)  # exiv2 drops the whole file where a keyword carries one


def test_a_persons_own_keyword_is_never_taken_out(tmp_path):
    side = tmp_path / "a.xmp"
    side.write_bytes(PACKET.encode())
    set_keyword(side, "beach", True)
    set_keyword(side, "beach", False)
    assert side.read_bytes() == PACKET.encode()


def test_a_keyword_that_a_person_took_out_is_not_put_back(tmp_path):
    side = tmp_path / "a.jpg.xmp"
    set_keyword(side, "mila", True)
    tree = ElementTree.parse(side)
    [bag] = tree.iterfind(f".//{{{DC}}}subject/{{{RDF}}}Bag")
    bag.remove(bag[0])
    tree.write(side)
    set_keyword(side, "mila", True)
    assert keywords(side) == []


def test_a_new_side_file_is_made_only_for_a_keyword(tmp_path):
    side = sidecar_of(tmp_path / "b.jpg")
    set_keyword(side, "mila & <co>", False)
    assert not side.exists()
    set_keyword(side, "mila & <co>", True)
    assert keywords(tmp_path / "b.jpg.xmp") == ["mila & <co>"]
    set_keyword(side, "mila & <co>", False)
    assert b"ismila" not in side.read_bytes()
    assert keywords(side) == []


def test_an_element_without_content_and_other_prefixes_are_understood(tmp_path):
    side = tmp_path / "a.xmp"
    side.write_text(f'<r:RDF xmlns:r="{RDF}"><r:Description\n r:about="a>b" /></r:RDF>')
    set_keyword(side, "mila", True)
    set_keyword(side, "mia", True)
    assert keywords(side) == ["mila", "mia"]
    assert side.read_text().startswith(f'<r:RDF xmlns:r="{RDF}"><r:Description\n r:about="a>b">')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not xml", "not XML"),
        (b"<html/>", "holds no RDF"),
        (b'<?xml version="1.0" encoding="utf-8"?><a>\xff</a>', "encoding"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b"<a>" * 50_000 + b"</a>" * 50_000, "holds no RDF"),
    ],
)
def test_a_side_file_that_is_none_is_left_as_it_is(tmp_path, content, reason):
    side = tmp_path / "a.jpg.xmp"
    side.write_bytes(content)
    with pytest.raises(SidecarError, match=reason):
        set_keyword(side, "mila", True)
    assert side.read_bytes() == content


OTHERS = (
    '   <lr:hierarchicalSubject xmlns:lr="http://ns.adobe.com/lightroom/1.0/">\n'
    "    <rdf:Bag>\n     <rdf:li>places|beach</rdf:li>\n    </rdf:Bag>\n   </lr:hierarchicalSubject>\n"
    '   <digiKam:TagsList xmlns:digiKam="http://www.digikam.org/ns/1.0/">\n'
    "    <rdf:Seq>\n     <rdf:li>places/beach</rdf:li>\n    </rdf:Seq>\n   </digiKam:TagsList>\n"
)


def items(path, tag):
    namespace, name = tag.split(" ")
    return [
        li.text for li in ElementTree.parse(path).iterfind(f".//{{{namespace}}}{name}//{{{RDF}}}li")
    ]


def test_a_keyword_joins_the_lists_of_other_programs_and_leaves_them_as_they_were(tmp_path):
    side = tmp_path / "a.xmp"
    before = PACKET.replace("  </rdf:Description>", OTHERS + "  </rdf:Description>").encode()
    side.write_bytes(before)
    set_keyword(side, "mila", True)
    assert items(side, HIERARCHY) == ["places|beach", "mila"]
    assert items(side, TAGS) == ["places/beach", "mila"]
    once = side.read_bytes()
    set_keyword(side, "mila", True)
    assert side.read_bytes() == once
    set_keyword(side, "mila", False)
    assert side.read_bytes() == before


def test_what_a_person_took_out_of_one_list_or_put_there_stays_so(tmp_path):
    side = tmp_path / "a.xmp"
    side.write_bytes(
        PACKET.replace("  </rdf:Description>", OTHERS + "  </rdf:Description>").encode()
    )
    set_keyword(side, "mila", True)
    text = side.read_text()
    side.write_text(
        text.replace("\n     <rdf:li>mila</rdf:li>\n    </rdf:Seq>", "\n    </rdf:Seq>")
    )
    set_keyword(side, "mila", True)
    assert (items(side, HIERARCHY), items(side, TAGS)) == (
        ["places|beach", "mila"],
        ["places/beach"],
    )
    set_keyword(side, "places/beach", True)
    set_keyword(side, "places/beach", False)
    assert items(side, TAGS) == ["places/beach"]


REGIONS = (
    '   <mwg-rs:Regions xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"'
    ' xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"'
    ' xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" rdf:parseType="Resource">\n'
    '    <mwg-rs:AppliedToDimensions stDim:w="160" stDim:h="120" stDim:unit="pixel"/>\n'
    "    <mwg-rs:RegionList>\n     <rdf:Bag>\n"
    '      <rdf:li><rdf:Description mwg-rs:Name="Ann" mwg-rs:Type="Face"><mwg-rs:Area stArea:x="0.5"'
    ' stArea:y="0.5" stArea:w="0.1" stArea:h="0.1" stArea:unit="normalized"/></rdf:Description></rdf:li>\n'
    '      <rdf:li rdf:parseType="Resource"><mwg-rs:Name>Bob</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type>'
    '<mwg-rs:Area stArea:x="0.2" stArea:y="0.2" stArea:w="0.1" stArea:h="0.1" stArea:unit="normalized"/>'
    "</rdf:li>\n"
    "     </rdf:Bag>\n    </mwg-rs:RegionList>\n   </mwg-rs:Regions>\n"
)
BOX = (0.1, 0.2, 0.5, 0.8)


@pytest.fixture
def with_regions(tmp_path):
    side = tmp_path / "a.xmp"
    side.write_bytes(
        PACKET.replace("  </rdf:Description>", REGIONS + "  </rdf:Description>").encode()
    )
    return side


def test_a_box_joins_the_regions_once_and_goes_again(with_regions):
    before = with_regions.read_bytes()
    assert has_regions(with_regions)
    set_keyword(with_regions, 'Mila "M"', True, BOX)
    once = with_regions.read_text()
    assert once.count('mwg-rs:Type="Pet"') == 1
    assert 'stArea:x="0.300000" stArea:y="0.500000" stArea:w="0.400000" stArea:h="0.600000"' in once
    set_keyword(with_regions, 'Mila "M"', True, (0, 0, 1, 1))
    assert with_regions.read_text() == once
    set_keyword(with_regions, 'Mila "M"', False)
    assert with_regions.read_bytes() == before


@pytest.mark.parametrize("name", ["Ann", "Bob"])
def test_a_persons_own_region_is_left_alone(with_regions, name):
    before = with_regions.read_bytes()
    set_keyword(with_regions, name, True, BOX)
    assert b'"Pet"' not in with_regions.read_bytes()
    set_keyword(with_regions, name, False)
    assert with_regions.read_bytes() == before


def test_a_file_without_regions_gets_none(tmp_path):
    side = tmp_path / "a.xmp"
    side.write_bytes(PACKET.encode())
    set_keyword(side, "mila", True, BOX)
    assert not has_regions(side)
    assert not has_regions(tmp_path / "none.xmp")


def test_exiftool_and_exiv2_read_the_region(with_regions):
    if not (shutil.which("exiftool") and shutil.which("exiv2")):
        pytest.skip("exiftool or exiv2 is not installed")
    set_keyword(with_regions, "Mila", True, BOX)
    command = ["exiftool", "-j", "-n", "-RegionName", "-RegionType", "-RegionAreaX", with_regions]
    [said] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert said["RegionName"] == ["Ann", "Bob", "Mila"]
    assert said["RegionType"] == ["Face", "Face", "Pet"]
    assert said["RegionAreaX"] == [0.5, 0.2, 0.3]
    command = ["exiv2", "-PXkt", with_regions]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"RegionList\[3\]/mwg-rs:Name +Mila", said)


def test_a_file_with_our_keywords_only_gets_the_list_that_immich_reads(tmp_path):
    side = tmp_path / "a.jpg.xmp"
    set_keyword(side, "mila", True)
    set_keyword(side, "rex", True)
    assert items(side, TAGS) == keywords(side) == ["mila", "rex"]
    set_keyword(side, "mila", False)
    assert items(side, TAGS) == keywords(side) == ["rex"]
    set_keyword(side, "rex", False)
    assert b"digikam" not in side.read_bytes()
    with_beach = tmp_path / "b.jpg.xmp"
    with_beach.write_bytes(PACKET.encode())
    set_keyword(with_beach, "mila", True)
    assert items(with_beach, TAGS) == []  # a reader of that list would no longer see the beach


@pytest.mark.parametrize("program", ["exiftool", "exiv2"])
def test_other_programs_read_the_keywords(tmp_path, program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    old = tmp_path / "old.xmp"
    old.write_bytes(
        PACKET.replace("  </rdf:Description>", OTHERS + "  </rdf:Description>").encode()
    )
    new = tmp_path / "a.jpg.xmp"
    for side in (old, new):
        set_keyword(side, "Mila & Müller", True)
    if program == "exiftool":
        command = ["exiftool", "-j", "-Subject", "-HierarchicalSubject", "-TagsList", old, new]
        said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert said[0]["Subject"] == ["beach", "Mila & Müller"]
        assert said[0]["HierarchicalSubject"] == ["places|beach", "Mila & Müller"]
        assert said[0]["TagsList"] == ["places/beach", "Mila & Müller"]
        assert said[1]["Subject"] == said[1]["TagsList"] == "Mila & Müller"
        return
    for side, subject, tags in ((old, "beach, ", "places/beach, "), (new, "", "")):
        command = ["exiv2", "-PXkyt", side]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = {
            line.split(maxsplit=2)[0]: line.split(maxsplit=2)[1:] for line in said.splitlines()
        }
        assert lines["Xmp.dc.subject"] == ["XmpBag", f"{subject}Mila & Müller"]
        assert lines["Xmp.digiKam.TagsList"] == ["XmpSeq", f"{tags}Mila & Müller"]


def test_which_side_file_is_a_photos(tmp_path):
    photo = tmp_path / "a.jpg"
    assert sidecar_of(photo).name == "a.jpg.xmp"
    assert sidecar_of(photo, SHORT).name == "a.xmp"
    (tmp_path / "a.xmp").touch()
    assert sidecar_of(photo).name == "a.xmp"
    (tmp_path / "a.jpg.xmp").touch()
    assert sidecar_of(photo).name == "a.jpg.xmp"
    assert sidecar_of(photo, SHORT).name == "a.xmp"
    (tmp_path / "a.xmp").unlink()
    assert sidecar_of(photo, SHORT).name == "a.jpg.xmp"
