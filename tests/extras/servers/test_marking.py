import pytest
from conftest import draw_photo
from photo_servers import KEY, ImmichServer, PhotoPrismServer

from ismila.extras.servers.immich import Immich
from ismila.extras.servers.marking import Marking
from ismila.extras.servers.marks import MarksRecord
from ismila.extras.servers.photoprism import PhotoPrism
from ismila.extras.servers.server import ALBUM, TAG, Mark, ServerError
from ismila.photos.images import ImageSpec
from ismila.use.ask.judging import Scan
from ismila.use.ask.library import Library, StateRow, version_of
from ismila.vision.classifier import Classifier

FOUND = {
    "a.jpg": 0.9,
    "b/c.jpg": 0.95,
    "copy.jpg": 0.9,
    "d.jpg": 0.02,
    "e.jpg": 0.5,
    "here-only.jpg": 0.99,
}


@pytest.fixture
def library(tmp_path):
    """Photos of which a run has said: a.jpg, its copy, b/c.jpg and here-only.jpg are the subject."""
    root = tmp_path / "library"
    with Library(root_of(root), tmp_path / "state.sqlite") as library:
        for path, probability in FOUND.items():
            judge(library, path, probability)
        yield library


def root_of(root):
    for number, path in enumerate(FOUND):
        draw_photo(root / path, number, True)
    (root / "copy.jpg").write_bytes((root / "a.jpg").read_bytes())
    return root


def judge(library, path, probability):
    library.keep("run", [StateRow(path, version_of(library.root / path), probability, None)])


def scan_of(library):
    return Scan(library, Classifier({}, {}, ImageSpec(), "mila"), "run")


class Place:
    """A server and what is asked of it, for a kind of server and a kind of mark."""

    def __init__(self, server, kind, tmp_path):
        self.server = server
        self.is_immich = isinstance(server, ImmichServer)
        self.tmp_path = tmp_path
        self.mark = Mark(kind, "mila")
        tags = server.tags if self.is_immich else server.labels
        self.marks = tags if kind == TAG else server.albums

    def marking(self, server_dir=""):
        client = (Immich if self.is_immich else PhotoPrism)(self.server.address, KEY)
        record = MarksRecord(self.tmp_path / "state.servers.sqlite")
        return Marking(server=client, mark=self.mark, record=record, server_dir=server_dir)

    def run(self, library, is_plan=False, server_dir=""):
        marking = self.marking(server_dir)
        with marking.record:
            return marking.run(scan_of(library), is_plan)

    def undo(self, is_plan=False):
        marking = self.marking()
        with marking.record:
            return marking.undo(is_plan)

    def id_of(self, name):
        return self.server.id_of(name) if self.is_immich else self.server.uid_of(name)

    def carry(self, *names):
        self.marks["mila"] = self.marks.get("mila", set()) | {self.id_of(name) for name in names}

    def carrying(self):
        ids = {photo for photos in self.marks.values() for photo in photos}
        return {name for name in self.server.photos if self.id_of(name) in ids}


@pytest.fixture(
    params=[
        (ImmichServer, TAG),
        (ImmichServer, ALBUM),
        (PhotoPrismServer, TAG),
        (PhotoPrismServer, ALBUM),
    ],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)
def place(request, library, tmp_path):
    """A server that has the library's photos under names of its own, but for here-only.jpg."""
    server, kind = request.param
    names = {"a.jpg": "one.jpg", "b/c.jpg": "two.jpg", "d.jpg": "three.jpg", "e.jpg": "four.jpg"}
    photos = {name: (library.root / path).read_bytes() for path, name in names.items()}
    with server(photos) as running:
        yield Place(running, kind, tmp_path)


def test_photos_are_known_by_content_and_what_is_set_is_set_once(place, library):
    first = place.run(library)
    assert place.carrying() == {"one.jpg", "two.jpg"}
    assert first.found == 4
    assert first.set == ["a.jpg", "b/c.jpg"]  # the copy is the same photo
    assert first.missing == ["here-only.jpg"]
    changes = [
        name for name in place.server.calls if "PUT" in name or name.startswith("POST /photos")
    ]
    before = {name: place.server.calls[name] for name in changes}
    again = place.run(library)
    assert (again.set, again.taken, again.carried) == ([], [], 3)
    assert {name: place.server.calls[name] for name in changes} == before


def test_a_plan_changes_nothing(place, library):
    place.carry("two.jpg")
    planned = place.run(library, is_plan=True)
    assert (planned.set, planned.carried) == (["a.jpg"], 1)
    assert place.carrying() == {"two.jpg"}
    asked = {name.split()[0] for name in place.server.calls} - {"GET"}
    assert asked <= {"POST"}
    assert place.undo(is_plan=True).taken == []


def test_undo_takes_away_what_ismila_set_and_nothing_else(place, library):
    place.carry("two.jpg", "three.jpg")
    assert place.run(library).set == ["a.jpg"]
    assert place.undo(is_plan=True).taken == ["a.jpg"]
    assert place.carrying() == {"one.jpg", "two.jpg", "three.jpg"}
    assert place.undo().taken == ["a.jpg"]
    assert place.carrying() == {"two.jpg", "three.jpg"}
    assert place.undo().taken == []
    assert place.run(library).set == ["a.jpg"]


def test_what_somebody_takes_away_stays_away_and_what_they_set_after_that_is_theirs(place, library):
    place.run(library)
    place.marks[next(iter(place.marks))].discard(place.id_of("one.jpg"))
    again = place.run(library)
    assert (again.set, again.let_go) == ([], 2)  # the photo and its copy
    assert place.carrying() == {"two.jpg"}
    place.marks[next(iter(place.marks))].add(place.id_of("one.jpg"))
    place.run(library)
    assert place.undo().taken == ["b/c.jpg"]
    assert place.carrying() == {"one.jpg"}
    place.marks[next(iter(place.marks))].clear()
    assert place.run(library).set == [
        "a.jpg",
        "b/c.jpg",
    ]  # undo has forgotten that somebody took it away


def test_what_shows_her_no_more_loses_the_mark_that_ismila_set(place, library):
    place.carry("two.jpg")
    place.run(library)
    for path in ("a.jpg", "b/c.jpg"):
        judge(library, path, 0.01)
    assert place.run(library).taken == []  # its copy is still found
    judge(library, "copy.jpg", 0.01)
    assert place.run(library).taken == ["a.jpg"]
    assert place.carrying() == {"two.jpg"}
    (library.root / "a.jpg").unlink()
    assert place.run(library).taken == []


def test_a_server_that_goes_away_in_the_middle_costs_nothing(place, library):
    """Also where it did what it was told and could not say so."""
    calls = place.run(library, is_plan=True) and sum(place.server.calls.values())
    stopped = 0
    for number in range(1, calls + 4):
        place.server.faults["deaf after"] = sum(place.server.calls.values()) + number
        try:
            place.run(library)
        except ServerError:
            stopped += 1
        place.server.faults["deaf after"] = 0
        place.run(library)
        assert place.carrying() == {"one.jpg", "two.jpg"}
        place.server.faults["deaf after"] = sum(place.server.calls.values()) + number
        try:
            place.undo()
        except ServerError:
            stopped += 1
        place.server.faults["deaf after"] = 0
        place.undo()
        assert place.carrying() == set()
    assert stopped > 3


def test_immich_knows_photos_of_an_external_library_by_their_path(library, tmp_path):
    photos = {"one.jpg": (library.root / "a.jpg").read_bytes()}
    with ImmichServer(photos) as server:
        server.external["/mnt/photos/a.jpg"] = "one.jpg"
        place = Place(server, TAG, tmp_path)
        assert place.run(library, is_plan=True).set == []
        assert place.run(library, is_plan=True, server_dir="/mnt/photos").set == ["a.jpg"]
        server.trashed.add(server.id_of("one.jpg"))
        assert "a.jpg" in place.run(library, server_dir="/mnt/photos/").missing


def test_what_the_server_refuses_is_named_and_the_rest_is_done(library, tmp_path):
    photos = {path: (library.root / path).read_bytes() for path in ("a.jpg", "b/c.jpg")}
    with ImmichServer(photos) as server:
        server.others = {server.id_of("a.jpg")}
        place = Place(server, TAG, tmp_path)
        marked = place.run(library)
        assert marked.failed == ["a.jpg: Immich says: no_permission"]
        assert place.carrying() == {"b/c.jpg"}
    with PhotoPrismServer(photos) as server:
        server.vanishing = {server.uid_of("a.jpg")}
        place = Place(server, TAG, tmp_path)
        assert place.run(library).failed == ["a.jpg: no longer on the server"]
        assert place.carrying() == {"b/c.jpg"}
