import os
import signal

from recorded import at_once

from ismila.photos.workplace import Workplace, abandoned


def killed(place):
    workplace = Workplace(place)
    (workplace.folder / "half").mkdir()
    (workplace.folder / "half/written").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_folder_lives_as_long_as_its_maker(tmp_path):
    with Workplace(tmp_path / "place") as folder:
        (folder / "file").write_text("x")
        assert list(abandoned(tmp_path / "place")) == []
        assert (folder / "file").exists()
    assert list((tmp_path / "place").iterdir()) == []


def test_what_a_killed_process_left_is_found_once_and_cleared(tmp_path):
    assert at_once(1, killed, tmp_path) == [-signal.SIGKILL]
    [left] = tmp_path.iterdir()
    with Workplace(tmp_path) as own:
        for folder in abandoned(tmp_path):
            assert folder == left
            assert list(abandoned(tmp_path)) == []  # nobody else is given it meanwhile
            assert (folder / "half/written").read_text() == "x"
        assert list(tmp_path.iterdir()) == [own]
    assert list(abandoned(tmp_path / "nowhere")) == []


def test_what_cannot_be_cleared_now_is_left_to_another_time(tmp_path):
    at_once(1, killed, tmp_path)
    for _ in abandoned(tmp_path):
        break  # as if an exception had ended the loop
    assert len(list(abandoned(tmp_path))) == 1
    assert list(tmp_path.iterdir()) == []
