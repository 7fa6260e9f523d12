from conftest import draw_photo
from somebody import somebody

from ismila.photos.walking import has_photos, walk


def touch(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def test_photos_come_in_order_with_forward_slashes_and_by_the_end_of_their_name(tmp_path):
    touch(*(tmp_path / name for name in ("b/2.JPG", "b/1.heic", "a.png", "a.txt", "c.jpg/x.webp")))
    assert list(walk(tmp_path)) == ["a.png", "b/1.heic", "b/2.JPG", "c.jpg/x.webp"]
    assert "a.txt" in list(walk(tmp_path, every_file=True))


def test_a_folder_that_a_link_leads_to_is_walked_once_also_in_a_loop(tmp_path):
    touch(tmp_path / "elsewhere/a.jpg", tmp_path / "album/b.jpg")
    (tmp_path / "album/one").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "album/two").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "album")
    assert list(walk(tmp_path / "album")) == ["b.jpg", "one/a.jpg"]


def test_a_folder_that_cannot_be_read_is_told_and_the_others_follow():
    with somebody() as folder:
        touch(folder / "a/closed/s.jpg", folder / "a/a.jpg", folder / "b/b.jpg")
        (folder / "a/closed").chmod(0)
        errors = []
        assert list(walk(folder, on_error=errors.append)) == ["a/a.jpg", "b/b.jpg"]
        assert [error.filename for error in errors] == [str(folder / "a/closed")]
        assert has_photos(folder / "a/closed")  # who knows
        (folder / "a/closed").chmod(0o700)


def test_hidden_files_are_no_photos(tmp_path):
    assert not has_photos(tmp_path / "nowhere")
    (tmp_path / ".ismila/thumbnails").mkdir(parents=True)
    (tmp_path / ".ismila/index.parquet").write_bytes(b"x")
    (tmp_path / ".ismila/thumbnails/a.jpg").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text("path,label\n")
    assert not has_photos(tmp_path)
    draw_photo(tmp_path / "mila/deep/a.jpg", 0, True)
    assert has_photos(tmp_path)
