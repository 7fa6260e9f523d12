"""What MLflow's UI shows of a subject's runs as it opens: their figures, and runs side by side.

MLflow opens an experiment on a table without a figure. A view that somebody shares is kept as a
tag of the experiment: deflated JSON of the page's state, as MLflow 3's own "share" writes it.
"""

from __future__ import annotations

import base64
import json
import zlib

SHARE_KEY = "ismila"
TAG = f"mlflow.sharedViewState.{SHARE_KEY}"
LOSS = "select_loss"
FIGURES = ("test_recall", "test_fpr_things", "test_fpr_pets", "test_fpr_strangers", LOSS)
TAGS = ("model", "data")
SEED = "seed"
SWEPT = ("model.name", "data.name", SEED, "model.C")
"""Parameters that sweeps change, from left to right in the chart; the loss colours its lines."""
SIDE_BY_SIDE = ("test_fpr_things", "test_fpr_pets", "test_recall", LOSS)
SECTION = "runs-side-by-side"
CHARTS = "compareRunsMode=CHART"
NO_PROMPTS = "workflowType=machine_learning"
"""Without it MLflow's menu is that of prompts and traces."""


def view_tag() -> dict[str, str]:
    """The tag of an experiment that holds the view."""
    state = json.dumps(_state(), sort_keys=True).encode()
    return {TAG: "deflate;" + base64.b64encode(zlib.compress(state)).decode()}


def view_address(server: str, experiment_id: str) -> str:
    """Where a server shows an experiment's runs in this view.

    Args:
        server: its address, without a slash at the end.
    """
    page = f"{server}/#/experiments/{experiment_id}/runs"
    return f"{page}?viewStateShareKey={SHARE_KEY}&{CHARTS}&{NO_PROMPTS}"


def _state() -> dict[str, object]:
    columns = [f"tags.`{name}`" for name in TAGS] + [f"params.`{SEED}`"]
    columns += [f"metrics.`{name}`" for name in FIGURES]
    return {
        "selectedColumns": columns,
        "orderByKey": f"metrics.`{LOSS}`",
        "orderByAsc": True,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [_section()],
        "compareRunCharts": [
            _chart(
                "PARALLEL", selectedParams=SWEPT, selectedMetrics=SIDE_BY_SIDE, showAllRuns=True
            ),
            *(_chart("BAR", metricKey=name, displayName=name) for name in SIDE_BY_SIDE),
            _chart("LINE", metricKey="val_loss", selectedMetricKeys=["val_loss", "loss"]),
        ],
        # the rest as MLflow itself begins with it; what is missing breaks the page
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _section() -> dict[str, object]:
    return {
        "uuid": SECTION,
        "name": "Runs side by side",
        "display": True,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
        "columns": 1,
        "cardHeight": 360,
    }


def _chart(kind: str, **more: object) -> dict[str, object]:
    named = more.get("metricKey", "all")
    return {
        "type": kind,
        "uuid": f"{kind}-{named}".lower(),
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 100,
        **more,
    }
