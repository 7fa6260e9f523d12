import pytest

from ismila.photos.xmp import NotXmpError, Tag, box_around, read_tags

HEAD = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:dc="http://purl.org/dc/elements/1.1/">"""
TAIL = "</rdf:Description></rdf:RDF></x:xmpmeta>"
LIST = """<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>{}</rdf:Bag></mwg-rs:RegionList>
 </mwg-rs:Regions>"""
BY_ATTRIBUTES = """<rdf:li><rdf:Description mwg-rs:Name="Mila" mwg-rs:Type="Pet"><mwg-rs:Area stArea:x="0.5"
 stArea:y="0.5" stArea:w="0.2" stArea:h="0.4" stArea:unit="normalized"/></rdf:Description></rdf:li>"""
BY_ELEMENTS = """<rdf:li rdf:parseType="Resource"><mwg-rs:Area rdf:parseType="Resource"><stArea:x>0.5</stArea:x>
 <stArea:y>0.5</stArea:y><stArea:w>0.2</stArea:w><stArea:h>0.4</stArea:h></mwg-rs:Area>
 <mwg-rs:Name>Mila</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type></rdf:li>"""


def packet(*inside):
    return (HEAD + "".join(inside) + TAIL).encode()


@pytest.mark.parametrize("region", [BY_ATTRIBUTES, BY_ELEMENTS], ids=["digiKam", "Apple"])
def test_regions_are_read_however_they_are_written(region):
    assert read_tags(packet(LIST.format(region))) == [Tag("region", "Mila", (0.4, 0.3, 0.6, 0.7))]


def test_what_is_in_focus_is_nobody_and_a_box_of_pixels_is_none():
    focus = BY_ATTRIBUTES.replace("Pet", "Focus")
    pixels = BY_ATTRIBUTES.replace("normalized", "pixel")
    nonsense = BY_ELEMENTS.replace("0.4", "inf").replace("Mila", "Rex")
    read = read_tags(packet(LIST.format(focus + pixels + nonsense)))
    assert read == [Tag("region", "Mila"), Tag("region", "Rex", (0.4, 0.0, 0.6, 1.0))]


def test_boxes_are_cut_at_the_pictures_border():
    assert box_around(0, 0, 0.4, 0.4) == (0, 0, 0.2, 0.2)
    assert box_around(2, 2, 0.4, 0.4) is None
    assert box_around(float("nan"), 0.5, 0.1, 0.1) is None


def test_a_name_is_the_end_of_what_stands_above_it():
    assert [Tag("tag", text).name for text in ("Mila", "Pets|Mila", "Pets/Dogs/Mila")] == [
        "Mila"
    ] * 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"text",
        b"<a>",
        b"\xff\xfe<",
        b"<?xml version='1.0' encoding='klingon'?><a/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ],
)
def test_what_is_no_xmp_is_refused(content):
    with pytest.raises(NotXmpError):
        read_tags(content)


def test_packets_are_read_in_the_encodings_that_xmp_has():
    text = HEAD + "<dc:subject><rdf:Bag><rdf:li> Zoé </rdf:li></rdf:Bag></dc:subject>" + TAIL
    for content in (
        text.encode() + b"\0\0",
        ("\ufeff" + text).encode("utf-16-le"),
        ("\ufeff" + text).encode(),
    ):
        assert read_tags(content) == [Tag("tag", "Zoé")]
