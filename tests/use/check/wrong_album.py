"""An album with two labels that are wrong, and what labels.csv says of it."""

import csv

from conftest import draw_photo


def make_wrong(album):
    draw_photo(album / "not_mila/wr<i>ng & ünique.jpg", 700, True)
    draw_photo(album / "mila/also.jpg", 701, False)
    return album


def labels(root):
    if not (root / "labels.csv").exists():
        return {}
    with (root / "labels.csv").open(newline="", encoding="utf-8-sig") as file:
        return {row["path"]: row for row in csv.DictReader(file)}
