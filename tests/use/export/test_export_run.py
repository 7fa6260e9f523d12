import json
import re
from dataclasses import replace

import pytest
import requests
from conftest import call
from loopback import running
from untrained import bundled_classifier, bundled_pair, images_of

from ismila.photos import UserError
from ismila.photos.images import read_image
from ismila.runs.find import find_run
from ismila.use.export import export_run as export
from ismila.use.export.exported import ExportedClassifier
from ismila.use.export.graph import graph_of
from ismila.use.serve.app import make_app
from ismila.use.serve.from_file import FileModels
from ismila.vision.animals import bundled_detector
from ismila.vision.encoders import BATCH
from ismila.vision.weights import NANODET


def ismila(folder, *args):
    return call(folder, "ismila.cli", *args)


def test_an_export_says_how_far_it_was_checked_and_agrees_with_predict(trained, exported):
    folder, said = exported
    assert re.search(
        r"differs from torch by at most \d\.\de-(0[5-9]|1\d) in probability on \d+ photos of the album",
        said,
    )
    exported = ExportedClassifier.load(folder / "mila.onnx")
    photos = [trained / "album" / name for name in ("mila/m1.jpg", "not_mila/t3.jpg")]
    told = [
        json.loads(line)
        for line in ismila(trained, "predict", "--json", *photos).stdout.splitlines()
    ]
    for photo, one in zip(photos, told, strict=True):
        [p] = exported.probabilities(read_image(photo, exported.spec)[None])
        assert p == pytest.approx(one["probability"], abs=1e-3)
        assert (one["run"], one["threshold"]) == (exported.run, exported.threshold)


@pytest.fixture
def in_process(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained}/mlruns/mlflow.db")
    return trained


def test_a_graph_that_differs_from_torch_is_refused_and_leaves_nothing(
    in_process, tmp_path, monkeypatch
):
    def wrong(classifier):
        return graph_of(replace(classifier, spec=replace(classifier.spec, mean=(0.4, 0.5, 0.5))))

    monkeypatch.setattr(export, "graph_of", wrong)
    with pytest.raises(UserError, match="nothing was written"):
        export.export_onnx({"mila": find_run("best", "mila")}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("detects", [True, False])
def test_the_detector_lies_beside_a_classifier_that_needs_it(tmp_path, monkeypatch, detects):
    classifier = bundled_classifier(bundled_detector().digest if detects else "")
    monkeypatch.setattr(export, "load_classifier", lambda _: classifier)
    monkeypatch.setattr(export, "_album_images", lambda *_: images_of(classifier))
    said = export.export_onnx({"rex": "abcdef12"}, tmp_path)
    files = ["animals.onnx", "rex.onnx"] if detects else ["rex.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert ("animals.onnx" in said) == detects
    exported = ExportedClassifier.load(tmp_path)
    assert (exported.viewer.detector is not None) == detects
    if detects:
        assert (tmp_path / "animals.onnx").read_bytes() == NANODET.read_bytes()


def test_what_takes_long_is_counted(tmp_path, monkeypatch):
    classifier = bundled_classifier()
    monkeypatch.setattr(export, "load_classifier", lambda _: classifier)
    monkeypatch.setattr(export, "_album_images", lambda *_: images_of(classifier))
    counted = []

    def progress(items, total, what):
        for item in items:
            yield item
            counted.append((total, what))

    export.export_onnx({"rex": "abcdef12"}, tmp_path, progress=progress)
    n = -(-len(images_of(classifier)) // BATCH)
    assert counted == [(n, "comparing with torch")] * n


def test_a_subject_of_the_detectors_name_is_refused(tmp_path, monkeypatch):
    classifier = replace(bundled_classifier(), subject="animals")
    monkeypatch.setattr(export, "load_classifier", lambda _: classifier)
    monkeypatch.setattr(export, "_album_images", lambda *_: images_of(classifier))
    with pytest.raises(UserError, match="another subject"):
        export.export_onnx({"animals": "abcdef12"}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_the_album_it_is_checked_on_noise_and_says_so(in_process, tmp_path):
    runs = {"mila": find_run("best", "mila")}
    (in_process / "album").rename(in_process / "gone")
    try:
        assert "of noise (the album is gone" in export.export_onnx(runs, tmp_path)
        with pytest.raises(UserError, match="--root"):
            export.export_onnx(runs, tmp_path, tmp_path / "nowhere")
    finally:
        (in_process / "gone").rename(in_process / "album")


def test_what_cannot_be_exported_is_one_line_with_the_remedy(in_process, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    (tmp_path / "wrong.tgz").write_bytes(b"another package")
    said = ismila(in_process, "export", "--to", tmp_path / "full", "--format", "web")
    assert said.returncode == 1 and "notes.txt is no part of an earlier export" in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    runs = {"mila": find_run("best", "mila")}
    for runtime, words in (
        (tmp_path / "wrong.tgz", "npm pack"),
        (tmp_path / "missing.tgz", "--runtime"),
        (None, "npm is not here"),
    ):
        with pytest.raises(UserError, match=words):
            export.export_web(runs, tmp_path / "a", runtime=runtime)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="give a folder that may be written"):
        export.export_onnx(runs, tmp_path / "file" / "below")
    (tmp_path / "file").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "wrong.tgz"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_several_subjects_share_a_file_that_is_served_as_predict_answers(both_trained, tmp_path):
    both = ("--subject", "mila,rex")
    said = ismila(both_trained, "export", *both, "--format", "onnx", "--to", tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("differs from torch by at most") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mila+rex.onnx"]
    photos = [both_trained / "album" / name for name in ("mila/m1.jpg", "rex/r1.jpg")]
    lines = ismila(both_trained, "predict", "--json", *both, *photos).stdout.splitlines()
    models = FileModels.load(tmp_path)
    with running(make_app(*models, feedback=False, loopback=True)) as address:
        for photo, line in zip(photos, lines, strict=True):
            content = photo.read_bytes()
            [told] = requests.post(f"{address}/api/predict", data=content).json()["photos"]
            expected = json.loads(line)
            assert told["names"] == expected["names"]
            for subject, answer in expected["subjects"].items():
                served = told["subjects"][subject]
                assert served["run"] == answer["run"]
                assert served["probability"] == pytest.approx(answer["probability"], abs=1e-3)
        content = photos[1].read_bytes()
        where = f"{address}/api/predict?heat=1&subject=rex"
        [why] = requests.post(where, data=content).json()["photos"]
        assert why["subjects"]["rex"]["heat"].startswith("data:image/jpeg")


def test_subjects_that_do_not_look_alike_are_refused_with_the_remedy(tmp_path, monkeypatch):
    rex, mila = bundled_pair()
    other = replace(mila, spec=replace(mila.spec, size_px=128))
    known = {"a": rex, "b": other}
    monkeypatch.setattr(export, "load_classifier", known.__getitem__)
    with pytest.raises(UserError, match=r"subject=rex,mila") as error:
        export.export_onnx({"rex": "a", "mila": "b"}, tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
