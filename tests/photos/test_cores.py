import os

import pytest

from ismila.photos.cores import cores
from ismila.photos.images import ImageSpec
from ismila.vision.encoders import OnnxBackbone


@pytest.mark.parametrize("given", ["", "0", "many", "-1"])
def test_without_a_number_they_are_those_it_may_run_on(monkeypatch, given):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert cores() == len(os.sched_getaffinity(0))


def test_a_worker_that_is_given_one_thread_takes_one(monkeypatch):
    """joblib and Ray say so to each of their workers; onnxruntime took all cores in every one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores() == 1
    session = OnnxBackbone(ImageSpec(64))._session
    assert session.get_session_options().intra_op_num_threads == 1
