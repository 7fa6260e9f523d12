from pathlib import Path

import pandas as pd
import pytest
from conftest import call, draw_photo
from photo_servers import KEY, ImmichServer, PhotoPrismServer

from ismila.extras.servers.immich import Immich
from ismila.extras.servers.marks import REMOVED_BY_USER, SET, Carried, MarksRecord
from ismila.extras.servers.server import TAG, Mark, ServerError
from ismila.extras.servers.source import FromImmich


@pytest.fixture
def photos(tmp_path):
    drawn = {
        f"{number}.jpg": draw_photo(tmp_path / f"drawn/{number}.jpg", number, True)
        for number in range(4)
    }
    return {name: path.read_bytes() for name, path in drawn.items()}


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("IMMICH_API_KEY", KEY)
    monkeypatch.setenv("PHOTOPRISM_TOKEN", KEY)


def add(folder: Path, kind, server, *args):
    return call(
        folder, "ismila.cli", "add", "--from", kind, server.address, "--name", "Mila", "--as", "mila",
        "--root", "album", *args,
    )  # fmt: skip


def records(folder):
    return pd.read_parquet(folder / "album/added.parquet")


def test_labels_out_of_immich(tmp_path, photos):
    with ImmichServer(photos) as server:
        ids = [server.id_of(name) for name in photos]
        server.people["Mila"] = set(ids[:2])
        server.boxes[ids[0]] = [("Mila", (100, 50, 600, 400))]
        server.tags["pets/mila"] = set(ids[1:3])
        would = add(tmp_path, "immich", server, "--dry-run")
        assert "0.jpg: person Mila" in would.stdout
        assert not server.calls["GET /assets/ID/original"]
        said = add(tmp_path, "immich", server)
        assert said.returncode == 0, said.stderr
        assert "3 copied" in said.stdout
        assert "1 with a box" in said.stdout
        again = add(tmp_path, "immich", server)
        assert "0 linked, 0 copied, 3 here already" in again.stdout
        assert server.calls["GET /assets/ID/original"] == 3
        assert all(KEY not in address for address, _ in server.seen)
        assert not [name for name in server.calls if name.startswith(("PUT", "DELETE"))]
    why = dict(zip(records(tmp_path)["name"], records(tmp_path)["why"], strict=True))
    assert why == {"0.jpg": "person Mila", "1.jpg": "person Mila", "2.jpg": "tag pets/mila"}
    assert (tmp_path / "album/mila/0.jpg").read_bytes() == photos["0.jpg"]
    assert "0.1 0.1 0.6 0.8" in (tmp_path / "album/labels.csv").read_text()
    assert KEY not in would.stdout + said.stdout + said.stderr + again.stderr


def test_labels_out_of_photoprism(tmp_path, photos):
    with PhotoPrismServer(photos) as server:
        server.labels["Mila"] = {server.uid_of("0.jpg"), server.uid_of("1.jpg")}
        said = add(tmp_path, "photoprism", server)
        assert said.returncode == 0, said.stderr
        assert "2 copied" in said.stdout
    assert set(records(tmp_path)["why"]) == {"label Mila"}


def test_what_a_scan_has_set_there_is_no_label(tmp_path, photos):
    record = tmp_path / "data/cache/0123/scan.servers.sqlite"
    record.parent.mkdir(parents=True)
    with (
        ImmichServer(photos) as server,
        PhotoPrismServer(photos) as other,
        MarksRecord(record) as own,
    ):
        ids = [server.id_of(name) for name in photos]
        server.tags["mila"] = set(ids[:3])
        server.albums["Mila"] = {ids[1]}
        own.keep(server.address, Mark(TAG, "mila"), {one: Carried("x.jpg", SET) for one in ids[:2]})
        own.keep(server.address, Mark(TAG, "mila"), {ids[2]: Carried("x.jpg", REMOVED_BY_USER)})
        said = add(tmp_path, "immich", server)
        assert "left out: 1 photo that only ismila itself has marked there" in said.stderr
        assert dict(zip(records(tmp_path)["name"], records(tmp_path)["why"], strict=True)) == {
            "1.jpg": "album Mila",
            "2.jpg": "tag mila",
        }
        uid = other.uid_of("0.jpg")
        other.labels["Mila"] = other.keywords["mila"] = {uid}
        own.keep(other.address, Mark(TAG, "mila"), {uid: Carried("x.jpg", SET)})
        assert "left out: 1 photo" in add(tmp_path, "photoprism", other).stderr


def test_a_server_that_goes_away_in_the_middle_is_gone_on_with(tmp_path, photos):
    with ImmichServer(photos) as server:
        server.tags["mila"] = {server.id_of(name) for name in photos}
        add(tmp_path, "immich", server, "--dry-run")
        server.faults["down after"] = 2 * sum(server.calls.values()) + 2  # two photos come
        stopped = add(tmp_path, "immich", server)
        assert stopped.returncode == 1
        [line] = stopped.stderr.splitlines()
        assert "status 503, 2 times" in line
        assert "give the same command again" in line
        server.faults["down after"] = 0
        again = add(tmp_path, "immich", server)
        assert "2 copied, 2 here already" in again.stdout


def test_what_cannot_be_had_is_named_and_the_others_come(tmp_path, photos):
    photos |= {
        "big.jpg": b"x",
        "../../evil.jpg": draw_bytes(tmp_path, 9),
        "x" * 300 + ".jpg": draw_bytes(tmp_path, 8),
    }
    with ImmichServer(photos) as server:
        server.tags["mila"] = {server.id_of(name) for name in photos}
        server.offline = {server.id_of("1.jpg")}
        server.deleted = {server.id_of("2.jpg")}
        said = add(tmp_path, "immich", server)
    assert "skipped: 1.jpg: offline on the server" in said.stderr
    assert "skipped: big.jpg: not a picture" in said.stderr
    assert "not there any more: 2.jpg" in said.stderr
    names = {path.name for path in (tmp_path / "album/mila").iterdir()}
    assert names == {"0.jpg", "3.jpg", "evil.jpg", "x" * 100 + ".jpg"}
    assert not list(tmp_path.parent.glob("evil*"))


def draw_bytes(folder, seed):
    return draw_photo(folder / f"drawn/more{seed}.jpg", seed, True).read_bytes()


def test_a_name_that_nobody_has_is_answered_with_those_there_are(tmp_path, photos):
    with ImmichServer(photos) as server:
        server.people["Milo"] = {server.id_of("0.jpg")}
        said = add(tmp_path, "immich", server)
    assert said.returncode == 1
    assert "--name Mila: nobody is called so; there are Milo" in said.stderr


def test_wrong_tokens_and_servers_are_one_line(tmp_path, photos, monkeypatch):
    with PhotoPrismServer(photos) as other, ImmichServer(photos) as server:
        assert "answers, but not as Immich does" in add(tmp_path, "immich", other).stderr
        assert "answers, but not as PhotoPrism does" in add(tmp_path, "photoprism", server).stderr
        monkeypatch.setenv("IMMICH_API_KEY", "another")
        said = add(tmp_path, "immich", server)
        assert "IMMICH_API_KEY: Immich at" in said.stderr
        assert "another" not in said.stderr
        assert said.stderr.count("\n") == 1
        wrong = add(tmp_path, "immich", server, "--photos", tmp_path)
        assert "--photos: a server sends its photos itself" in wrong.stderr


def test_a_right_that_a_key_lacks_ends_the_command(photos):
    with ImmichServer(photos) as server:
        server.tags["mila"] = {server.id_of("0.jpg")}
        server.rights = {"person.read", "tag.read", "album.read", "asset.read"}
        [photo] = FromImmich(Immich(server.address, KEY)).photos("mila")
        with pytest.raises(ServerError, match="has not the right for GET /assets"):
            photo.read()
