import hashlib

import pytest
from photo_servers import KEY, PhotoPrismServer

from ismila.extras.servers.photoprism import PhotoPrism
from ismila.extras.servers.server import ALBUM, TAG, Mark, ServerError
from ismila.photos.http import FetchError

PHOTOS = {f"{number}.jpg": bytes([number]) * 9 for number in range(7)}


@pytest.fixture
def server():
    with PhotoPrismServer(PHOTOS) as running:
        yield running


def photoprism_of(server):
    return PhotoPrism(server.address, KEY)


def sha1_of(name):
    return hashlib.sha1(PHOTOS[name]).hexdigest()


def test_a_name_may_be_a_persons_a_labels_an_albums_and_a_keyword(server):
    server.people["Mila"] = {server.uid_of("0.jpg")}
    server.labels["Mila"] = {server.uid_of("0.jpg"), server.uid_of("1.jpg")}
    server.albums["mila"] = {server.uid_of("2.jpg")}
    server.keywords["mila"] = {server.uid_of("3.jpg"), server.uid_of("4.jpg")}
    server.roots["4.jpg"] = "sidecar"  # made by PhotoPrism from a HEIC or a film
    photoprism = photoprism_of(server)
    assert photoprism.names() == ["Mila", "mila"]
    assert {(photo.name, photo.why) for photo in photoprism.named("MILA")} == {
        ("2026/0.jpg", "person Mila"),
        ("2026/0.jpg", "label Mila"),
        ("2026/1.jpg", "label Mila"),
        ("2026/2.jpg", "album mila"),
        ("2026/3.jpg", "keyword mila"),
    }


def test_pages_are_gone_through_to_the_end(server, monkeypatch):
    monkeypatch.setattr("ismila.extras.servers.photoprism.PER_PAGE", 3)
    server.labels |= {
        "mila": {server.uid_of(name) for name in PHOTOS},
        "a": set(),
        "b": set(),
        "c": set(),
    }
    assert {photo.sha1 for photo in photoprism_of(server).named("mila")} == set(
        map(sha1_of, PHOTOS)
    )


def test_photos_are_found_by_content_in_portions(server, monkeypatch):
    monkeypatch.setattr("ismila.extras.servers.photoprism.HASHES_PER_CALL", 2)
    asked = [sha1_of("1.jpg"), "0" * 40, sha1_of("5.jpg")]
    assert photoprism_of(server).find(asked) == {
        sha1_of("1.jpg"): server.uid_of("1.jpg"),
        sha1_of("5.jpg"): server.uid_of("5.jpg"),
    }


def test_an_original_needs_the_servers_own_token_in_its_address_and_never_ours(server):
    photoprism = photoprism_of(server)
    assert photoprism.original(sha1_of("1.jpg")) == PHOTOS["1.jpg"]
    assert not [address for address, _ in server.seen if KEY in address]
    with pytest.raises(FetchError, match="status 404"):
        photoprism.original("0" * 40)
    server.download_token = ""
    with pytest.raises(FetchError, match="may not download"):
        photoprism_of(server).original(sha1_of("1.jpg"))


def test_marks_are_found_and_made(server):
    photoprism = photoprism_of(server)
    photos = [server.uid_of("0.jpg"), server.uid_of("1.jpg")]
    for mark in (Mark(TAG, "mila"), Mark(ALBUM, "Mila")):
        assert photoprism.mark_id(mark) is None
        mark_id = photoprism.make_mark(mark)
        assert photoprism.put(mark, mark_id, photos) == photoprism.put(mark, mark_id, photos) == {}
        mark_id = photoprism.mark_id(mark)
        assert set(photoprism.marked(mark, mark_id)) == set(photos)
        assert (
            photoprism.take(mark, mark_id, photos) == photoprism.take(mark, mark_id, photos) == {}
        )
        assert [*photoprism.marked(mark, mark_id)] == []


@pytest.mark.parametrize("content", [b"{}", b"[]", b"null", b'[{"UID": 3}]', b"3"])
def test_answers_of_another_shape_are_refused_or_empty(server, content):
    server.content = content
    photoprism = photoprism_of(server)
    for ask in (
        lambda: photoprism.find(["0" * 40]),
        lambda: photoprism.mark_id(Mark(TAG, "mila")),
        lambda: photoprism.make_mark(Mark(ALBUM, "mila")),
        lambda: [*photoprism.named("mila")],
        lambda: photoprism.take(Mark(TAG, "mila"), "mila", [server.uid_of("0.jpg")]),
        photoprism.check,
    ):
        try:
            assert ask() in ({}, None, [])
        except ServerError as error:
            assert "not as PhotoPrism does" in str(error)


def test_a_label_that_photoprism_calls_otherwise_is_refused(server):
    server.renames = True
    with pytest.raises(ServerError, match="gives a label called m!la another name"):
        photoprism_of(server).put(
            Mark(TAG, "m!la"), "", [server.uid_of("0.jpg"), server.uid_of("1.jpg")]
        )
    assert server.calls["POST /photos/UID/label"] == 1
