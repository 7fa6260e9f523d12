import threading

from ismila.photos.files import aside_path, clear_aside, write_aside


def test_a_file_written_by_many_at_once_is_whole(tmp_path):
    path = tmp_path / ("long" * 60 + ".txt")
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_aside, args=(path, c)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


def test_what_killed_writers_left_is_cleared_and_nothing_else(tmp_path):
    left = [aside_path(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    others = [tmp_path / name for name in (".a.jpg.swp", ".a.jpg.part", "a.jpg")]
    for path in [*left, *others]:
        path.write_bytes(b"")
    clear_aside(tmp_path / "a.jpg")
    assert sorted(tmp_path.iterdir()) == sorted([left[1], *others])
