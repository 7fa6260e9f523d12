import base64
import json
import re
import zlib

import mlflow

from ismila.runs.store import connect, find_experiment
from ismila.runs.view import TAG, view_address, view_tag


def state_of(tags):
    """As MLflow's page reads it."""
    kind, packed = tags[TAG].split(";", 1)
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_an_experiment_opens_on_figures_that_its_runs_have(swept):
    """Columns and axes are names that a real sweep recorded: none of them can drift."""
    client = mlflow.MlflowClient(f"sqlite:///{swept}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("mila")
    state = state_of(experiment.tags)
    run = client.search_runs([experiment.experiment_id], "tags.model != ''")[0].data
    has = {
        f"{kind}.`{name}`" for kind in ("metrics", "params", "tags") for name in getattr(run, kind)
    }
    # strangers are asked at the size that they were shipped for
    assert set(state["selectedColumns"]) - has == {"metrics.`test_fpr_strangers`"}
    assert state["orderByKey"] in has
    parallel = state["compareRunCharts"][0]
    assert parallel["type"] == "PARALLEL"
    assert set(parallel["selectedParams"]) <= set(run.params)
    assert set(parallel["selectedMetrics"]) <= set(run.metrics)
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections


def test_an_experiment_of_before_gets_the_view(ledger):
    client = connect(ledger.uri)
    made = client.create_experiment("of before")
    assert find_experiment(client, "of before") == made
    assert client.get_experiment(made).tags[TAG] == view_tag()[TAG]
    assert find_experiment(client, "never made") == ""


def test_the_address_names_the_view():
    address = view_address("http://127.0.0.1:5000", "7")
    assert re.fullmatch(
        r"http://127.0.0.1:5000/#/experiments/7/runs\?view\S+=CHART&workflow\S+", address
    )
