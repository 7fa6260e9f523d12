"""Trains in this process on drawn photos, at sizes that take a fraction of a second."""

from conftest import settings

from ismila.learning.closeups import with_shares
from ismila.learning.training import read_photos, train
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import usable

QUICK = {
    "mobilenet": ["model=mobilenet", "model.size_px=64"],
    "cnn": ["model=cnn", "model.size_px=32", "model.epochs=2"],
    "hidden": ["experiment=article_mobilenet", "model.size_px=64", "model.epochs=2"],
    "finetuned": [
        "model=mobilenet",
        "model.size_px=64",
        "model.finetune_blocks=1",
        "model.finetune_epochs=1",
    ],
}


def train_on(root, *overrides):
    """What `learning.training.train` gives for an album, by folds of seed 0 unless an override says otherwise."""
    wanted = settings(f"data.root='{root}'", *overrides)
    album = Album.open(root, wanted.subject)
    rows = usable(album.update())
    if wanted.data.closeups_above is not None:
        rows = with_shares(album, rows)
    rows["fold"] = assign_folds(rows, wanted.seed)
    return train(read_photos(album, rows, wanted), wanted)
