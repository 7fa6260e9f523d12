import hydra
import pytest

import ismila.train
from ismila.cli.border import call_hydra, past_hydra
from ismila.photos import UserError

CONF = ismila.train.CONF


def called(story, *overrides, monkeypatch):
    """The exit code of a Hydra entry that tells `story`."""
    monkeypatch.setattr("sys.argv", ["train", *overrides])
    entry = hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
    return call_hydra(entry(past_hydra(story)), CONF)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


def test_what_a_person_can_put_right_is_one_line(monkeypatch, capsys):
    def story(config):
        raise UserError("data.root=x: no such folder; give another")

    assert called(story, monkeypatch=monkeypatch) == 1
    assert capsys.readouterr().err == "error: data.root=x: no such folder; give another\n"


def test_a_mistake_of_ours_shows_its_traceback(monkeypatch, capsys):
    def story(config):
        _one, _two = [1]

    assert called(story, monkeypatch=monkeypatch) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "ValueError: not enough values to unpack (expected 2, got 1)" in printed
    assert "error: not enough" not in printed


@pytest.mark.parametrize("override", ["modle=cnn", "data=closup", "model.", "nothing=1"])
def test_what_hydra_does_not_know_is_one_line_with_the_choices(override, monkeypatch, capsys):
    assert called(lambda config: 0.0, override, monkeypatch=monkeypatch) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "model=cnn|" in line


def test_a_story_that_ends_well_is_0_and_ctrl_c_is_130(monkeypatch, capsys):
    def stopped(config):
        raise KeyboardInterrupt

    assert called(lambda config: 1.0, monkeypatch=monkeypatch) == 0
    assert called(stopped, monkeypatch=monkeypatch) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_path_that_hydra_would_misread_is_shown_with_its_quotes(monkeypatch, capsys):
    assert called(lambda config: 0.0, "data.root=/a,b", monkeypatch=monkeypatch) == 1
    assert capsys.readouterr().err == (
        "error: data.root=/a,b: needs quotes inside the shell's; "
        "write: python -m ismila.train \"data.root='/a,b'\"\n"
    )
