import pytest
from conftest import draw_photo

from ismila.extras.catalogues.photoprism_files import PhotoPrismFiles
from ismila.photos import UserError
from ismila.photos.sources import GoneError
from ismila.photos.sources.opening import SourceOptions, open_source

SAID = """TakenAt: 2016-01-10T10:15:06Z
UID: ps0123456789abcd
Type: image
Title: Garden
Details:
  Keywords: garden, {keyword}, grass
  Subject: {subject}
"""


@pytest.fixture
def prism(tmp_path):
    """PhotoPrism's folder: 2016/a.jpg and a.heic by keyword, 2016/b.JPG by subject, c.jpg is nobody's."""
    root = tmp_path / "photoprism"
    for number, path in enumerate(("2016/a.jpg", "2016/b.JPG", "c.jpg", "2016/a (2).jpg")):
        draw_photo(root / f"originals/{path}", number, True)
    (root / "originals/2016/a.mp4").write_bytes(b"film")
    write(root, "2016/a", "mila", "")
    write(root, "2016/b", "cat", "Jane; Mila")
    write(root, "c", "milan", "")
    return root


def write(root, stem, keyword, subject):
    file = root / f"storage/sidecar/{stem}.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SAID.format(keyword=keyword, subject=subject))


def asked(folder, **wanted):
    return PhotoPrismFiles("photoprism", str(folder), SourceOptions(**wanted))


def found(source, name="Mila"):
    return {photo.name: photo.why for photo in source.photos(name)}


def test_keywords_and_subjects_name_the_originals(prism):
    source = open_source("photoprism", str(prism), SourceOptions())
    assert source.names() == ["Jane", "Mila", "cat", "garden", "grass", "mila", "milan"]
    assert found(source) == {"a.jpg": "keyword mila", "b.JPG": "person Mila"}
    assert found(source, "nobody") == {}
    assert all(photo.path.is_file() for photo in source.photos("Mila"))


def test_the_storage_may_be_given_and_the_originals_lie_elsewhere(prism, tmp_path):
    assert set(found(asked(prism / "storage"))) == {"a.jpg", "b.JPG"}
    moved = (prism / "originals").rename(tmp_path / "moved")
    assert set(found(asked(prism, photos=moved))) == {"a.jpg", "b.JPG"}
    with pytest.raises(UserError, match="no such folder; give PhotoPrism's originals"):
        asked(prism, photos=tmp_path / "nowhere")


def test_a_photo_that_is_gone_is_said_to_be(prism):
    (prism / "originals/2016/a.jpg").unlink()
    photo = next(iter(asked(prism).photos("mila")))
    with pytest.raises(GoneError):
        photo.read()


def test_odd_files_are_passed_over_and_named(prism):
    folder = prism / "storage/sidecar"
    (folder / "broken.yml").write_text("a: [")
    (folder / "list.yml").write_text("- 1")
    (folder / "code.yml").write_text("!!python/object/apply:os.system ['touch /tmp/x']")
    (folder / "large.yml").write_bytes(b"# " + b"x" * 2**20)
    (folder / "bytes.yml").write_bytes(b"\xff\xfe\x00")
    source = asked(prism)
    assert len(found(source)) == 2
    named = {note.partition(": ")[0].rpartition("/")[2] for note in source.notes}
    assert named == {"broken.yml", "code.yml", "large.yml", "bytes.yml"}


def test_a_folder_without_yaml_is_no_photoprism(tmp_path):
    draw_photo(tmp_path / "a.jpg", 1, True)
    with pytest.raises(UserError, match="no YAML file of PhotoPrism"):
        asked(tmp_path).names()
    with pytest.raises(UserError, match="typo: no such f"):
        open_source("photoprism", str(tmp_path / "typo"), SourceOptions())
