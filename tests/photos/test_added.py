from ismila.photos.added import TABLE, AddedRecord, read_records, write_records


def test_records_come_back_as_they_were_written(tmp_path):
    facts = {"source": "csv", "where": "w", "label": "mila", "path": "mila/a.jpg", "sha256": "0"}
    record = AddedRecord(**facts, id="1", name="é.jpg", why="name Mila")
    write_records(tmp_path, [record])
    assert read_records(tmp_path) == {("csv", "w", "1"): record}


def test_a_table_that_is_missing_damaged_or_of_another_kind_is_made_anew(tmp_path):
    assert read_records(tmp_path) == {}
    (tmp_path / TABLE).write_bytes(b"damaged")
    assert read_records(tmp_path) == {}
