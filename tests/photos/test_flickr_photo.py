from datetime import datetime

import pytest

from ismila.photos.flickr_photo import choose_url, normal_tag, number_in, record_of

PHOTO = {
    "id": "77",
    "owner": "12345@N00",
    "title": {"_content": "Mila\nasleep"},
    "tags": "mila Mila goldenretriever",
    "license": "4",
    "datetaken": "2019-05-01 10:20:30",
    "url_n": "https://live.example/77_n.jpg",
    "width_n": "480",
    "height_n": 320,
}


def test_a_photo_is_read_as_flickr_writes_it():
    record = record_of(PHOTO, "12345@N00")
    assert (record.id, record.owner, record.licence) == ("77", "12345@N00", "4")
    assert record.tags == ("mila", "goldenretriever")
    assert record.taken_at == datetime(2019, 5, 1, 10, 20, 30)
    assert "\n" not in record.title
    assert record.page == "https://www.flickr.com/photos/12345@N00/77/"
    assert record.url == PHOTO["url_n"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "../77"}, "the photo's id is not a number"),
        ({"media": "video"}, "77: a video, not a photo"),
        ({"url_n": "file:///etc/passwd"}, "77: Flickr gives no address for it"),
    ],
)
def test_what_cannot_be_used_says_why(changed, said):
    assert said in record_of({**PHOTO, **changed}, "12345@N00")


@pytest.mark.parametrize(
    "changed",
    [
        {"owner": "../../etc"},
        {"datetaken": "0000-00-00 00:00:00"},
        {"datetakenunknown": "1"},
        {"tags": None, "title": 5, "license": None},
    ],
)
def test_what_is_odd_is_left_out_and_the_photo_taken(changed):
    record = record_of({**PHOTO, **changed}, "12345@N00")
    assert record.owner == "12345@N00"
    assert record.taken_at is None or "datetaken" not in " ".join(changed)


def test_a_tag_is_compared_as_flickr_does():
    assert normal_tag("Golden Retriever_2!") == "goldenretriever2"


@pytest.mark.parametrize(
    ("value", "count"), [(5, 5), ("5", 5), ("-5", 0), (None, 0), ("9" * 30, 0), ("\u0665", 0)]
)
def test_a_count_is_a_number_or_a_text_of_digits(value, count):
    assert number_in({"total": value}, "total") == count


def test_the_size_is_the_smallest_with_320_px():
    sizes = {"n": (320, 240), "z": (640, 480), "l": (1024, 768)}
    photo = {f"url_{s}": f"https://x/{s}" for s in sizes}
    assert (
        choose_url(
            photo
            | {f"width_{s}": w for s, (w, _) in sizes.items()}
            | {f"height_{s}": str(h) for s, (_, h) in sizes.items()}
        )
        == "https://x/z"
    )
    assert choose_url({"url_m": "https://x/m", "width_m": 240, "height_m": 180}) == "https://x/m"
    assert choose_url({"url_m": "file:///etc/passwd"}) == ""
