from xml.etree import ElementTree

import pytest

from ismila.use.ask.sidecars import DC, RDF, SidecarError, set_keyword, sidecar_of

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


def test_which_side_file_is_a_photos(tmp_path):
    photo = tmp_path / "a.jpg"
    assert sidecar_of(photo).name == "a.jpg.xmp"
    (tmp_path / "a.xmp").touch()
    assert sidecar_of(photo).name == "a.xmp"
    (tmp_path / "a.jpg.xmp").touch()
    assert sidecar_of(photo).name == "a.jpg.xmp"
