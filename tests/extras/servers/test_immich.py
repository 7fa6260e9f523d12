import pytest
from photo_servers import KEY, ImmichServer

from ismila.extras.servers.immich import Immich
from ismila.extras.servers.server import ALBUM, TAG, Mark, ServerError
from ismila.photos.http import FetchError

PHOTOS = {f"{number}.jpg": bytes([number]) * 9 for number in range(7)}


@pytest.fixture
def server():
    with ImmichServer(PHOTOS) as running:
        yield running


def immich_of(server):
    return Immich(server.address, KEY)


def test_a_name_may_be_a_persons_a_tags_and_an_albums(server):
    server.people["Mila"] = {server.id_of("0.jpg"), server.id_of("1.jpg")}
    server.tags["pets/mila"] = {server.id_of("1.jpg"), server.id_of("2.jpg")}
    server.albums["MILA"] = {server.id_of("3.jpg")}
    server.albums["Other"] = {server.id_of("4.jpg")}
    immich = immich_of(server)
    assert immich.names() == ["MILA", "Mila", "Other", "pets/mila"]
    assert {(photo.name, photo.why) for photo in immich.named("mila")} == {
        ("0.jpg", "person Mila"),
        ("1.jpg", "person Mila"),
        ("1.jpg", "tag pets/mila"),
        ("2.jpg", "tag pets/mila"),
        ("3.jpg", "album MILA"),
    }
    assert [*immich.named("nobody")] == []


def test_the_box_of_a_face_comes_with_its_person(server):
    ids = [server.id_of(f"{number}.jpg") for number in range(4)]
    server.people |= {"Mila": set(ids), "Rex": {ids[0]}}
    server.boxes = {
        ids[0]: [("Rex", (0, 0, 10, 10)), ("Mila", (100, 50, 600, 400))],
        ids[1]: [("Mila", (0, 0, 10, 10)), ("Mila", (20, 20, 40, 40))],  # twice: which is meant?
        ids[2]: [("Mila", (600, 50, 100, 400))],
    }
    boxes = {photo.name: photo.box for photo in immich_of(server).named("Mila")}
    assert boxes == {"0.jpg": (0.1, 0.1, 0.6, 0.8), "1.jpg": None, "2.jpg": None, "3.jpg": None}


def test_pages_are_gone_through_to_the_end(server):
    server.page_size = 3
    server.tags["mila"] = {server.id_of(name) for name in PHOTOS}
    server.people |= {f"Person {number}": set() for number in range(1500)}
    immich = immich_of(server)
    assert sorted(photo.name for photo in immich.named("mila")) == sorted(PHOTOS)
    assert server.calls["POST /search/metadata"] == 3
    assert len(immich.names()) == 1501


def test_a_page_is_asked_for_when_it_is_needed(server):
    server.tags["mila"] = set()
    server.endless = 3
    marked = immich_of(server).marked(Mark(TAG, "mila"), server.id_of("mark mila"))
    next(marked)
    assert server.calls["POST /search/metadata"] == 1
    assert len({*marked}) == 2_999


def test_an_original_comes_whole_or_says_why_not(server):
    assert immich_of(server).original(server.id_of("1.jpg")) == PHOTOS["1.jpg"]
    with pytest.raises(FetchError, match="status 404"):
        immich_of(server).original(server.id_of("none.jpg"))
    server.rights = {"asset.read"}
    with pytest.raises(ServerError, match="not the right for GET /assets"):
        immich_of(server).original(server.id_of("1.jpg"))


def test_marks_are_found_and_made(server):
    immich = immich_of(server)
    for mark in (Mark(TAG, "pets/mila"), Mark(ALBUM, "Mila")):
        assert immich.mark_id(mark) is None
        assert immich.make_mark(mark) == immich.mark_id(mark)
        mark_id = immich.mark_id(mark)
        ids = [server.id_of("0.jpg"), server.id_of("1.jpg")]
        assert immich.put(mark, mark_id, ids) == immich.put(mark, mark_id, ids) == {}
        assert set(immich.marked(mark, mark_id)) == set(ids)
        assert immich.take(mark, mark_id, ids) == immich.take(mark, mark_id, ids) == {}
        assert [*immich.marked(mark, mark_id)] == []


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b'{"assets": 3}', b'{"results": [3, {"id": 3}]}', b"null", b"[[]]"]
)
def test_answers_of_another_shape_are_refused_or_empty(server, content):
    server.content = content
    immich = immich_of(server)
    for ask in (
        lambda: immich.find(["0" * 40]),
        lambda: immich.mark_id(Mark(TAG, "mila")),
        lambda: immich.make_mark(Mark(ALBUM, "mila")),
        lambda: [*immich.named("mila")],
        lambda: immich.put(Mark(TAG, "mila"), server.id_of("x"), [server.id_of("0.jpg")]),
    ):
        try:
            assert ask() in ({}, None, [], {server.id_of("0.jpg"): "Immich says: unknown"})
        except ServerError as error:
            assert "not as Immich does" in str(error)
