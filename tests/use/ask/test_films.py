"""Films and bursts, asked through the command; frames as they come out of a file."""

import json

import pytest
from conftest import call, draw_photo
from films import draw_film

from ismila.use.ask.films import Film, FrameVote, FrameVotes, seen_in
from ismila.use.ask.pets import PetPrediction


def answers(*probabilities):
    return [PetPrediction(p, p >= 0.5, 0.5, "run", "") for p in probabilities]


def predict(trained, *words):
    said = call(trained, "ismila.cli", "predict", "--run", "latest", *words)
    assert "Traceback" not in said.stderr
    return said


def test_one_frame_alone_is_not_believed():
    seen = seen_in([0, 1, 2, 3], answers(0.1, 0.9, 0.1, 0.2), "mila", FrameVote(2, 3))
    assert (seen.probability, seen.is_subject, seen.times) == (0.2, False, ())


def test_frames_that_agree_are_and_say_when():
    of_frames = answers(0.9, 0.1, 0.1, 0.8, 0.2, 0.7, 0.1, 0.1, 0.1, 0.6, 0.6)
    seen = seen_in(range(11), of_frames, "mila", FrameVote(2, 3))
    assert seen.is_subject
    assert seen.probability == 0.7
    assert seen.verdict == "mila"
    assert seen.times == ((3, 5), (9, 10))


def test_a_film_of_one_frame_is_believed():
    seen = seen_in([0], answers(0.9), "mila", FrameVote(2, 3))
    assert (seen.probability, seen.times) == (0.9, ((0, 0),))


def test_an_animal_that_got_another_name_is_not_the_subject():
    [other] = answers(0.9)
    other = PetPrediction(0.9, False, 0.5, "run", "not mila")
    assert not seen_in([0, 1], [other, other], "mila", FrameVote(2, 3)).is_subject


def test_before_k_frames_nothing_is_said():
    agreeing = FrameVotes(FrameVote(2, 2))
    assert [agreeing.add(p) for p in (0.9, 0.8, 0.1, 0.7)] == [0.0, 0.8, 0.1, 0.1]


def test_frames_come_at_their_distance(tmp_path):
    film = Film(str(draw_film(tmp_path / "a.mp4", "..m")), 2, 1024)
    assert [round(frame.at_s, 2) for frame in film.frames()] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert not film.broken


def test_large_frames_are_made_smaller(tmp_path):
    [frame, *_] = Film(str(draw_film(tmp_path / "a.mp4", ".")), 2, 60).frames()
    assert frame.photo.size == (80, 60)


@pytest.mark.slow
def test_a_film_says_who_is_in_it_and_when(trained, tmp_path):
    film = draw_film(tmp_path / "a:b.mp4", "..mmm..M.")
    said = predict(trained, film)
    assert said.returncode == 0
    verdict, _, *_, name, at, when = said.stdout.split()
    assert (verdict, name, at, when) == ("mila", "mila", "at", "0:02-0:04")
    [line] = predict(trained, "--json", film).stdout.splitlines()
    found = json.loads(line)
    assert found["frames"] == 18
    assert found["subjects"]["mila"]["times"] == [[2.0, 4.5]]


@pytest.mark.slow
def test_every_frame_is_believed_by_who_asks_for_it(trained, tmp_path):
    film = draw_film(tmp_path / "a.mp4", "..M.")
    assert predict(trained, film).stdout.split()[:2] == ["not", "mila"]
    assert predict(trained, film, "--agree", "1/1").stdout.split()[0] == "mila"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid data"),
        (b"GIF89a", "Invalid data"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n", ""),
    ],
)
def test_what_is_no_film_is_named_in_a_line(trained, tmp_path, content, reason):
    film = tmp_path / "a.mp4"
    film.write_bytes(content)
    said = predict(trained, film)
    assert said.returncode == 1
    [line] = said.stdout.splitlines()
    assert line.startswith("     error")
    assert reason in line


def test_a_film_that_breaks_off_is_judged_until_then(trained, tmp_path):
    film = draw_film(tmp_path / "a.avi", "mmmm")
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2])
    said = predict(trained, film)
    assert said.stdout.split()[0] == "mila"


def test_a_burst_gets_one_answer(trained, tmp_path):
    photos = [draw_photo(tmp_path / f"{i}.jpg", 70 + i, i > 0) for i in range(4)]
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    said = predict(trained, "--burst", *photos, tmp_path / "broken.jpg")
    broken, line = said.stdout.splitlines()
    assert "broken.jpg" in broken
    assert line.split()[0] == "mila"
    assert line.endswith("4 photos")
    *_, last = predict(trained, "--burst", "--json", tmp_path).stdout.splitlines()
    assert json.loads(last)["subjects"]["mila"]["times"] == [[1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize("words", [["--agree", "3/2"], ["--agree", "two"], ["--fps", "0"]])
def test_wrong_usage_names_what_is_expected(trained, words):
    said = predict(trained, "a.mp4", *words)
    assert said.returncode == 2
    assert "expected" in said.stderr
