import pandas as pd
import pytest

from ismila.photos import UserError, added, fetch
from ismila.photos.tables import read_table


def test_a_table_is_read_and_a_damaged_or_missing_one_is_none(tmp_path):
    file = tmp_path / "a.parquet"
    assert read_table(file) is None
    pd.DataFrame({"a": [1], "b": [2]}).to_parquet(file)
    assert read_table(file, ["b"]).to_dict("list") == {"b": [2]}
    assert read_table(file, ["c"]) is None
    file.write_bytes(file.read_bytes()[:-20])
    assert read_table(file) is None


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ImportError("no pyarrow"), ImportError),
        (MemoryError(), MemoryError),
        (PermissionError(13, "Permission denied"), UserError),
    ],
)
@pytest.mark.parametrize("read", [added.read_records, fetch.read_records])
def test_what_is_no_damage_is_not_written_over(tmp_path, monkeypatch, read, raised, expected):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(pd, "read_parquet", fail)
    with pytest.raises(expected):
        read(tmp_path)
