import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import call, draw_photo


def test_answers_come_in_order_and_what_cannot_be_read_is_named(trained, tmp_path):
    folder = tmp_path / "some"
    draw_photo(folder / "b.jpg", 3, True)
    draw_photo(folder / "a/x.jpg", 4, False)
    odd = tmp_path / os.fsdecode(b"odd \xff.jpg")
    odd.write_bytes((folder / "b.jpg").read_bytes())
    (tmp_path / "text.jpg").write_text("no photo")
    asked = [folder, tmp_path / "text.jpg", tmp_path / "gone.jpg", odd]
    answered = call(trained, "ismila.cli", "predict", "--json", *asked)
    assert answered.returncode == 1, answered.stderr
    assert answered.stderr == ""
    answers = [json.loads(line) for line in answered.stdout.splitlines()]
    assert [Path(answer["path"]).name for answer in answers] == [
        "x.jpg",
        "b.jpg",
        "text.jpg",
        "gone.jpg",
        odd.name,
    ]
    assert set(answers[0]) == {
        "path",
        "probability",
        "is_subject",
        "threshold",
        "run",
        "animals",
    }
    assert [answer.get("error") for answer in answers[2:4]] == ["not a picture", "file not found"]
    assert answers[4]["probability"] == answers[1]["probability"]


def test_names_that_are_no_utf_8_come_out_as_they_went_in(trained, tmp_path):
    odd = tmp_path / os.fsdecode(b"odd \xff.jpg")
    draw_photo(tmp_path / "x.jpg", 3, True).rename(odd)
    command = [sys.executable, "-m", "ismila.cli", "predict", "-"]
    listed = os.fsencode(odd) + b"\n"
    environment = {**os.environ, "PYTHONUTF8": "1"}
    answered = subprocess.run(
        command, cwd=trained, input=listed, capture_output=True, check=False, env=environment
    )
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.endswith(b"%  " + listed)
