"""What a network is made of, in words, and the bundled graph that computes its backbone. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from ismila.settings import TIMM, CNNSettings, FrozenSettings, ModelSettings
from ismila.vision.weights import BOTH, BUNDLED, LITE0

GRAPHS = {"mobilenet": BUNDLED, "efficientnet_lite0": LITE0, "pair": BOTH}
"""Backbone -> its bundled weights; the graph lies beside them as ONNX."""
WIDTH = 1280
"""Channels of each bundled network's grid."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A backbone and a head, as classifier.json describes them.

    Attributes:
        name: `cnn`, `mobilenet`, `efficientnet_lite0`, `pair`, or `timm:` with timm's name of it.
        weights: where the backbone's come from: `bundled`, `torchvision`, `hf-hub:...`; empty when they were
            trained here.
        hidden: width of the head's hidden layer; 0 for a linear one.
        dropout: before the head's last layer; a linear head on frozen features has none.
        digest: names the bundled weights while they are what the backbone has; empty otherwise.
        args: what timm's model is made with besides, as JSON; empty for others.
    """

    name: str
    weights: str = ""
    hidden: int = 0
    dropout: float = 0.0
    digest: str = ""
    args: str = ""

    @property
    def is_frozen(self) -> bool:
        """The backbone has weights from elsewhere, which training a head does not change."""
        return self.name != "cnn"

    @property
    def is_from_hub(self) -> bool:
        """timm made the backbone."""
        return self.name.startswith(TIMM)

    @property
    def graph(self) -> Path | None:
        """The bundled graph that computes what the backbone does; None where its weights are others."""
        graph = GRAPHS.get(self.name)
        return graph if graph and self.digest == bundled_digest(graph) else None

    def as_dict(self) -> dict[str, str | int | float]:
        """Plain values for classifier.json."""
        return asdict(self)

    def with_own_weights(self) -> Architecture:
        """The same after its backbone was trained on."""
        return replace(self, digest="")


def architecture_of(model: ModelSettings) -> Architecture:
    """What a model's settings describe."""
    if isinstance(model, CNNSettings):
        return Architecture(name=model.name, dropout=model.dropout)
    if not isinstance(model, FrozenSettings):
        raise TypeError(f"{type(model).__name__}: no network is described by these settings")
    if model.is_from_hub:
        return _from_hub(model)
    bundled = model.weights == "bundled"
    return Architecture(
        name=model.backbone,
        weights=model.weights,
        hidden=model.hidden,
        dropout=model.dropout if model.hidden else 0.0,
        digest=bundled_digest(GRAPHS[model.backbone]) if bundled else "",
    )


def _from_hub(model: FrozenSettings) -> Architecture:
    from ismila.vision.hub import fetch_backbone

    fetched = fetch_backbone(model.backbone, model.size_px)
    return Architecture(
        name=TIMM + fetched.architecture,
        weights=model.backbone,
        hidden=model.hidden,
        dropout=model.dropout if model.hidden else 0.0,
        args=fetched.args,
    )


def architecture_from(described: Mapping[str, object]) -> Architecture:
    """Read back from classifier.json, of this version or the first, which said `mobilenet` `beside` another for `pair`.

    Raises:
        KeyError, ValueError: it describes no network.
    """
    name = str(described["name"])
    if described.get("beside"):
        name = "pair"
    if name != "cnn" and name not in GRAPHS and not name.startswith(TIMM):
        raise ValueError(f"backbone {name}: expected cnn, {', '.join(GRAPHS)} or timm:NAME")
    hidden = int(str(described.get("hidden", 0)))
    return Architecture(
        name=name,
        weights=str(described.get("weights", "")),
        hidden=hidden,
        dropout=float(str(described.get("dropout", 0.0))) if hidden or name == "cnn" else 0.0,
        digest=str(described.get("digest", "")),
        args=str(described.get("args", "")),
    )


@lru_cache
def bundled_digest(graph: Path = BUNDLED) -> str:
    """Names the weights of a bundled graph in cache keys and in classifier.json."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in _weights(graph))).hexdigest()[:16]


def bundled_width(graph: Path) -> int:
    """Features that a bundled graph gives for an image."""
    return WIDTH * len(_weights(graph))


def _weights(graph: Path) -> tuple[Path, ...]:
    return (BUNDLED, LITE0) if graph == BOTH else (graph,)
