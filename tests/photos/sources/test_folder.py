from adding import draw

from ismila.photos.sources.folder import FolderSource


def test_a_folder_gives_every_file_whatever_name_is_asked_for(tmp_path):
    draw(tmp_path / "b/2.jpg", 1)
    draw(tmp_path / "a.jpg", 2)
    draw(tmp_path / ".hidden/3.jpg", 3)
    (tmp_path / "notes.txt").touch()
    folder = FolderSource(tmp_path)
    assert [photo.name for photo in folder.photos("anybody")] == ["a.jpg", "2.jpg", "notes.txt"]
    assert folder.names() is None
    assert folder.notes == [f"passed over: {tmp_path}: 1 folder by hidden"]
    assert [photo.name for photo in FolderSource(tmp_path / "a.jpg").photos("")] == ["a.jpg"]
