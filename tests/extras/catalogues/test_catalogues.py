import pytest
from conftest import call

from ismila.photos.sources.opening import SourceOptions, open_source


@pytest.mark.parametrize("kind", ["apple", "digikam", "lightroom"])
def test_a_folder_without_a_catalogue_is_read_by_the_tags_of_its_photos(tmp_path, kind):
    source = open_source(kind, str(tmp_path), SourceOptions())
    assert (source.kind, source.names(), source.notes) == (kind, [], [])


def test_neither_a_folder_nor_an_address_is_said(tmp_path):
    said = call(tmp_path, "ismila.cli", "add", "--from", "photoprism", "typo", "--as", "mila")
    assert said.returncode == 1
    assert "typo: no such f" in said.stderr
