"""`ismila add --from KIND SOURCE`, and what came of it."""

from conftest import call, draw_photo

from ismila.photos.added import read_records


def add(folder, kind, source, *args):
    """Called in `folder`, into its album/mila."""
    words = ["--from", kind, source, "--as", "mila", "--root", "album", *args]
    return call(folder, "ismila.cli", "add", *words)


def whys(folder):
    """Name in the album -> why it came, of the photos that are there."""
    records = read_records(folder / "album").values()
    noted = {record.path.removeprefix("mila/"): record.why for record in records}
    return {path.name: noted[path.name] for path in sorted((folder / "album/mila").iterdir())}


def draw(path, seed):
    """A photo of its own content for each seed, and its path."""
    return draw_photo(path, seed, True, size=(64, 48))
