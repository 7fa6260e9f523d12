import pytest
from conftest import call, draw_photo
from photo_servers import KEY, ImmichServer, PhotoPrismServer


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    monkeypatch.setenv("PHOTOPRISM_TOKEN", KEY)


@pytest.fixture
def library(tmp_path):
    for number in range(3):
        draw_photo(tmp_path / f"library/her{number}.jpg", number, True)
        draw_photo(tmp_path / f"library/other{number}.jpg", 1000 + number, False)
    return tmp_path / "library"


def photos_of(library):
    return {path.name: path.read_bytes() for path in library.iterdir()}


def scan(trained, library, *args):
    state = library.parent / "state.sqlite"
    return call(
        trained, "ismila.cli", "scan", library, "--state", state, "--run", "latest", *args
    )  # fmt: skip


@pytest.mark.slow
def test_what_a_scan_found_is_shown_then_set_and_taken_away_again(trained, library):
    with ImmichServer(photos_of(library)) as server:
        to = ("--to", "immich", "--server", f"{server.address}/api/")
        server.tags["mila"] = {server.id_of("her0.jpg")}
        before = {name: set(ids) for name, ids in server.tags.items()}
        first = scan(trained, library, *to)
        assert first.returncode == 0, first.stderr
        assert "tag mila: would be set on 2 of 3 photos found; 1 carry it already" in first.stdout
        assert "would set: her1.jpg\nwould set: her2.jpg\n" in first.stderr
        assert "same command with --apply" in first.stderr
        assert server.tags == before
        applied = scan(trained, library, *to, "--apply")
        assert "tag mila: set on 2 of 3 photos found; 1 carry it already" in applied.stdout
        again = scan(trained, library, *to)  # the first time is over
        assert "tag mila: set on 0 of 3 photos found; 3 carry it already" in again.stdout
        asked = scan(trained, library, *to, "--undo", "--dry-run")
        assert "would be taken from 2 photos" in asked.stdout
        undone = scan(trained, library, *to, "--undo")
        assert undone.stdout == f"{server.address}: tag mila: taken from 2 photos\n"
        assert server.tags == before
        assert not [address for address, _ in server.seen if KEY in address]
    said = (first, applied, again, asked, undone)
    assert not [one for one in said if KEY in one.stdout + one.stderr]


def test_an_album_a_label_and_photos_that_the_server_has_not(trained, library):
    photos = photos_of(library)
    del photos["her2.jpg"]
    with PhotoPrismServer(photos) as server:
        to = ("--to", "photoprism", "--server", server.address, "--apply")
        said = scan(trained, library, *to)
        assert "label mila: set on 2 of 3 photos found; 1 are not on the server" in said.stdout
        assert "not on the server: her2.jpg" in said.stderr
        assert (
            "album Our cats: set on 2" in scan(trained, library, *to, "--album", "Our cats").stdout
        )
        assert {name: len(uids) for name, uids in server.albums.items()} == {"Our cats": 2}
        assert scan(trained, library, *to[:4], "--undo").returncode == 0
        assert server.labels["Mila"] == set()
        assert len(server.albums["Our cats"]) == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--server", "http://nas"], "--server: give --to immich or --to photoprism, too"),
        (["--apply"], "--apply: give --to"),
        (["--undo"], "--undo: give --to"),
        (["--to", "immich"], "--server http://nas:2283"),
        (["--to", "immich", "--server", "http://nas", "--tag", " "], "expected a name"),
        (["--to", "photoprism", "--server", "nas", "--server-dir", "/x"], "only Immich needs it"),
        (
            ["--to", "immich", "--server", "nas", "--album", "x", "--subject", "mila,rex"],
            "--album x: expected a name, and one subject",
        ),
        (["--to", "immich", "--server", "nas", "--dry-run", "--apply"], "not allowed with"),
    ],
)
def test_wrong_usage(tmp_path, args, words):
    said = call(tmp_path, "ismila.cli", "scan", tmp_path, *args)
    assert said.returncode == 2
    assert words in said.stderr


def test_a_wrong_token_or_server_is_said_before_a_photo_is_judged(tmp_path, library, monkeypatch):
    with ImmichServer({}) as server, PhotoPrismServer({}) as other:
        for address, key, words in (
            (server.address, "wrong-one", "does not know this token"),
            (other.address, KEY, "answers, but not as Immich does"),
            ("http://127.0.0.1:9", KEY, "check that it runs"),
            ("ftp://nas", KEY, "expected the address of a server"),
        ):
            monkeypatch.setenv("IMMICH_API_KEY", key)
            said = call(
                tmp_path, "ismila.cli", "scan", library, "--to", "immich", "--server", address
            )
            assert said.returncode == 1
            [line] = said.stderr.splitlines()
            assert words in line
            assert "wrong-one" not in line
        server.rights = {"asset.upload", "tag.read"}
        monkeypatch.setenv("IMMICH_API_KEY", KEY)
        said = call(
            tmp_path, "ismila.cli", "scan", library, "--to", "immich", "--server", server.address,
            "--album", "x",
        )  # fmt: skip
        assert "has not the right for GET /albums" in said.stderr


def test_a_watch_outlives_its_server(trained, library, monkeypatch):
    with ImmichServer(photos_of(library)) as server:
        passes = iter(["whole", "down", "back"])

        def arrivals(_, every_s):
            for now in passes:
                server.faults["503"] = 99 if now == "down" else 0
                (library / f"{now}.jpg").write_bytes(photos_of(library)["her0.jpg"])
                yield True

        monkeypatch.setattr("ismila.use.ask.arrivals.arrivals", arrivals)
        said = call(
            trained, "ismila.cli", "watch", library, "--state", library.parent / "state.sqlite",
            "--run", "latest", "--to", "immich", "--server", server.address, "--apply",
        )  # fmt: skip
        assert said.returncode == 0
        assert said.stderr.count("status 503, 5 times") == 1
        assert said.stdout.count("tag mila: set on") == 2
        assert len(server.tags["mila"]) == 3
