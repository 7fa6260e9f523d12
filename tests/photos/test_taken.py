"""When photos were taken: the forms and places that cameras and programs write it in."""

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import draw_photo
from PIL import Image, PngImagePlugin

from ismila.photos.album import Album
from ismila.photos.images import read_header
from ismila.photos.taken import (
    CaptureTime,
    DateTags,
    burst_in_name,
    read_time,
    taken_of,
    time_in_name,
)

SHARED = Path(os.environ.get("ISMILA_SHARED", Path(__file__).parents[3] / "shared"))
PLAIN = datetime(2016, 2, 8, 10, 28, 33)
AHEAD = timezone(timedelta(hours=1))
EXIF = 0x8769
ORIGINAL, DIGITIZED, CHANGED = 0x9003, 0x9004, 0x0132


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016:02:08 10:28:33", PLAIN),
        ("2016-02-08 10:28:33", PLAIN),
        ("2016/02/08 10:28:33", PLAIN),
        ("2016.02.08 10.28.33", PLAIN),
        ("2016:2:8 10:28:33", PLAIN),
        ("2016: 2: 8 10:28:33", PLAIN),
        ("2016-02-08T10:28:33", PLAIN),
        ("20160208T102833", PLAIN),
        ("20160208102833", PLAIN),
        ("2016:02:08 10:28:33 AM", PLAIN),
        ("2016:02:08 10:28:33 a.m.", PLAIN),
        ("2016:02:08 오전 10:28:33", PLAIN),
        ("2016年02月08日 10時28分33秒", PLAIN),
        ("08.02.2016 10:28:33", PLAIN),
        ("Mon Feb  8 10:28:33 2016", PLAIN),
        ("2016:02:08 10:28:33+99:00", PLAIN),
        ("2016:02:08 12:28:33 AM", PLAIN.replace(hour=0)),
        ("2016:02:08 10:28:33 PM", PLAIN.replace(hour=22)),
        ("2016:02:08 下午 10:28:33", PLAIN.replace(hour=22)),
        ("2016:02:08 24:28:33", PLAIN.replace(hour=0)),
        ("2016:02:08  1:28:33", PLAIN.replace(hour=1)),
        ("2016:02:08 10:28:60", PLAIN.replace(minute=29, second=0)),
        ("2016:02:08 10:28", PLAIN.replace(second=0)),
        ("2016:02:08", datetime(2016, 2, 8)),
        ("2016:02:08 10:28:33.86", PLAIN.replace(microsecond=860_000)),
        ("2016-02-08T10:28:33,123456789", PLAIN.replace(microsecond=123_456)),
        ("2016:02:08 10:28:33+01:00", PLAIN.replace(tzinfo=AHEAD)),
        ("2016-02-08T10:28:33Z", PLAIN.replace(tzinfo=UTC)),
        ("Mon, 08 Feb 2016 10:28:33 +0100", PLAIN.replace(tzinfo=AHEAD)),
        ("Mon Feb 08 10:28:33 GMT+01:00 2016", PLAIN.replace(tzinfo=AHEAD)),
        ("2016:13:45", None),
        ("2016:13:05 10:28:33", None),
        ("2016:02:30 10:28:33", None),
        ("2016:02:08 25:28:33", None),
        ("2016:02:08 10:61:33", None),
        ("10:28:33", None),
        ("1454927313", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_is_read_in_any_form(text, expected):
    assert read_time(text) == expected
    assert getattr(read_time(text), "tzinfo", None) == getattr(expected, "tzinfo", None)


@pytest.mark.parametrize(
    "value",
    [
        "2016:02:08 10:28:33\0\0",
        "2016:02:08 10:28:33\0rest of another tag",
        b"2016:02:08 10:28:33\0",
        "２０１６：０２：０８ １０：２８：３３",
        "٢٠١٦:٠٢:٠٨ ١٠:٢٨:٣٣",
        "٢٠١٦:٠٢:٠٨ ١٠:٢٨:٣٣".encode().decode("latin-1"),
        ["2016:02:08 10:28:33"],
    ],
)
def test_a_value_may_be_bytes_or_in_other_digits(value):
    assert taken_of(DateTags({ORIGINAL: value})) == CaptureTime("2016-02-08T10:28:33")


@pytest.mark.parametrize(
    "nothing",
    [None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "\0" * 19, "0001-01-01T00:00:00"],
)
def test_nothing_beside_a_time_is_nothing_and_no_mistake(nothing):
    assert taken_of(DateTags({ORIGINAL: nothing})) == CaptureTime()
    there = DateTags({ORIGINAL: nothing, CHANGED: "2016:02:08 10:28:33"})
    assert taken_of(there) == CaptureTime("2016-02-08T10:28:33")


def test_the_likeliest_time_counts_and_a_date_less_than_a_time():
    digitized = {DIGITIZED: "2016:02:08 10:28:33"}
    good = CaptureTime("2016-02-08T10:28:33")
    assert taken_of(DateTags(digitized | {CHANGED: "2020:01:01 10:00:01"})) == good
    assert taken_of(DateTags(digitized | {ORIGINAL: "2016:02:08"})) == good
    assert taken_of(DateTags(digitized | {ORIGINAL: "2019:13:45"})) == good
    assert taken_of(DateTags(digitized | {ORIGINAL: "2002:12:08 12:00:00"})) == good
    assert taken_of(DateTags({ORIGINAL: "2016:02:08"})) == CaptureTime("2016-02-08T00:00:00")
    assert taken_of(DateTags({ORIGINAL: "2019:13:45"})) == CaptureTime(unread="2019:13:45")
    assert taken_of(DateTags({ORIGINAL: "2002:12:08 12:00:00"})).unread == "2002:12:08 12:00:00"


def test_zone_and_fraction_stand_in_tags_of_their_own():
    tags = {ORIGINAL: "2016:02:08 10:28:33", 0x9011: "+01:00", 0x9291: "86"}
    assert taken_of(DateTags(tags)).when == "2016-02-08T10:28:33.860000+01:00"
    assert taken_of(DateTags(tags | {0x9011: "   :  "})).when == "2016-02-08T10:28:33.860000"


def test_satellites_iptc_and_a_pngs_text_tell_it_too():
    gps = {29: "2016:02:08", 7: (10.0, 28.0, 33.4)}
    assert taken_of(DateTags(gps=gps)).when == "2016-02-08T10:28:33+00:00"
    assert taken_of(DateTags(gps=gps | {7: (float("nan"), 1, 2)})).when == "2016-02-08T00:00:00"
    iptc = {(2, 55): b"20160208", (2, 60): b"102833+0100"}
    assert taken_of(DateTags(iptc=iptc)).when == "2016-02-08T10:28:33+01:00"
    texts = {"Creation Time": "Mon, 08 Feb 2016 10:28:33 +0100"}
    assert taken_of(DateTags(texts=texts)).when == "2016-02-08T10:28:33+01:00"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif", "a.heic"])
def test_every_format_tells_when_it_was_taken(tmp_path, name):
    exif = Image.Exif()
    exif.get_ifd(EXIF)[ORIGINAL] = "2016-02-08T10:28:33"
    with Image.open(draw_photo(tmp_path / "drawn.png", 0, True)) as photo:
        photo.save(tmp_path / name, exif=exif.tobytes())
    assert read_header((tmp_path / name).read_bytes()).taken == CaptureTime("2016-02-08T10:28:33")


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" %s</rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    "stated",
    [
        "><exif:DateTimeOriginal>2016-02-08T10:28:33</exif:DateTimeOriginal></rdf:Description>",
        'xmp:CreateDate="2016-02-08T10:28:33" xmp:ModifyDate="2020-01-01T10:00:01"/>',
        'photoshop:DateCreated="2016-02-08T10:28:33" xmp:CreateDate="2017-01-01T10:00:01"/>',
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_xmp_alone_tells_it(tmp_path, stated, name):
    packet = XMP % stated
    with Image.open(draw_photo(tmp_path / "drawn.png", 0, True)) as photo:
        if name == "a.jpg":
            photo.save(tmp_path / name, xmp=packet.encode())
        else:
            info = PngImagePlugin.PngInfo()
            info.add_itxt("XML:com.adobe.xmp", packet)
            photo.save(tmp_path / name, pnginfo=info)
    assert read_header((tmp_path / name).read_bytes()).taken == CaptureTime("2016-02-08T10:28:33")


@pytest.mark.parametrize(
    ("names", "same"),
    [
        (["IMG_20180914_094602055_BURST000_COVER", "IMG_20180914_094602055_BURST001"], True),
        (["00001IMG_00001_BURST20171111030039", "00015IMG_00015_BURST20171111030039_COVER"], True),
        (["DSC_0001_BURST20230709220904977", "DSC_0052_BURST20230709220904977_COVER"], True),
        (["DSCPDC_0000_BURST20180619163426901", "DSCPDC_0003_BURST20180619163426901_COVER"], True),
        (["20231207_101605_001", "20231207_101605_039"], True),
        (["PXL_20231207_032111247.RAW-01.COVER", "PXL_20231207_032111247.RAW-02"], True),
        (["IMG_20231014_183246_Burst01", "IMG_20231014_183246_burst02"], True),
        (["IMAG0123_BURST001", "IMAG0123_BURST002_COVER"], True),
        (["IMAG0123_BURST001", "IMAG0124_BURST001"], False),
        (["DSC_0001_BURST20230709220904977", "DSC_0001_BURST20230709220905977"], False),
        (["20231207_101605", "20231207_101606"], False),
        (["sunburst 1", "sunburst 2"], False),
        (["IMG_0001", "IMG_0002"], False),
    ],
)
def test_names_of_one_burst_have_something_in_common(names, same):
    one, other = (burst_in_name(f"mila/{name}.jpg") for name in names)
    assert (one == other != "") is same


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20180914_094602", "2018-09-14T09:46:02"),
        ("PXL_20180914_094602055.MP", "2018-09-14T09:46:02.055000"),
        ("2018-09-14 09.46.02-1", "2018-09-14T09:46:02"),
        ("WhatsApp Image 2018-09-14 at 09.46.02", "2018-09-14T09:46:02"),
        ("signal-2018-09-14-094602", "2018-09-14T09:46:02"),
        ("IMG-20180914-WA0001", ""),
        ("20181314_094602", ""),
        ("12345678_123456789012_1234567890_n", ""),
    ],
)
def test_a_name_may_hold_a_time(name, expected):
    assert time_in_name(f"mila/{name}.jpg") == expected


@pytest.mark.skipif(not (SHARED / "cases/exif-dates").is_dir(), reason="no ../shared/cases")
def test_the_cases_that_people_report_are_grouped_rightly(tmp_path):
    root = SHARED / "cases/exif-dates"
    index = Album.open(root, "mila", tmp_path).update()
    groups = index.set_index(index["path"].map(lambda path: Path(path).stem))["group"]
    pairs = {name.removesuffix("_1") for name in groups.index if name.endswith("_1")}
    for name in pairs - {"sametime"}:
        assert groups[f"{name}_1"] == groups[f"{name}_2"], name
    assert groups[[name for name in groups.index if "BURST" in name]].nunique() == 1
    # 2002:12:08 12:00:00 is what Android phones write that do not know the time
    assert groups[[name for name in groups.index if "sametime" in name]].nunique() == 4
