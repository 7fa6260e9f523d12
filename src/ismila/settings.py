"""What can be set: frozen dataclasses that check themselves, known to Hydra as structured configs.

The values stand in `conf/`, one home for each; here stand the names, the types and what is allowed. A value of the
wrong type is refused by Hydra before anything else happens, a wrong value by `__post_init__`. Below `train.py` a
setting is an attribute of one of these classes and nothing else.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

from ismila.photos import UserError
from ismila.photos.addresses import is_address
from ismila.photos.names import as_text, at_home, one_line, subject_problem

SEEDS = 2**32 - 1
"""The largest seed that numpy and torch both take."""
MOBILENET_BLOCKS = 19
BLOCKS = {"efficientnet_lite0": 18}
"""Of the backbones that have fewer."""
BUNDLED_BACKBONES = ("mobilenet", "efficientnet_lite0", "pair")
TIMM = "timm:"
"""timm's own names; it knows those of the hub and of folders itself."""
LOCAL = "local-dir:"
HUBS = (TIMM, "hf-hub:", LOCAL)
"""What a backbone's name begins with that timm gets from elsewhere."""


STRATEGIES = ("auto", "ddp")
"""Lightning's others shard networks that fit on no GPU; here none comes near."""
HALF_PRECISIONS = ("16-mixed", "16")
"""Lightning takes bfloat16 instead where there is no GPU, without being asked to."""
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")
"""Weights stay in single precision: in another one they would not be those that answer afterwards."""
LARGEST_FINETUNING_BATCH = 32
"""Images and gradients of a whole network must fit into memory."""
CONF = Path(__file__).with_name("conf")

BY_CNN = "model=cnn"
BY_HIDDEN = "model.hidden"
BY_FINETUNING = "model.finetune_blocks"
BY_SMALL_BATCHES = f"model.finetune_blocks (up to {LARGEST_FINETUNING_BATCH})"
BY_LINEAR = "a linear head"
BY_ALBUM = "the album's own negatives (no data=strangers)"
HEADS = (BY_CNN, BY_HIDDEN)
ADAMW = (*HEADS, BY_FINETUNING)
STORES = re.compile(
    r"(sqlite|mysql|postgresql|mssql)(\+\w+)?:\S+|(https?|file)://\S+|databricks\S*"
)
"""Addresses of MLflow's kinds of tracking store."""


class SettingError(UserError):
    """A setting that a person gave and can put right; names it, what was expected and the choices."""


class MismatchError(SettingError):
    """Two settings that do not go together, each of them fine by itself: a sweep leaves such a job out."""


def number(
    *,
    above: float | None = None,
    low: float | None = None,
    high: float | None = None,
    read_by: Sequence[str] = (),
) -> Any:
    """A field that holds a number, or None where its type says so.

    Args:
        above: the number must be greater than this.
        low: the number must not be less than this.
        high: the number must not be greater than this.
        read_by: keys of `READERS`; empty: every run reads it.
    """
    return field(metadata={"above": above, "low": low, "high": high, "read_by": tuple(read_by)})


def choice(*choices: str | None, read_by: Sequence[str] = ()) -> Any:
    """A field that holds one of a few words; `read_by` as of `number`."""
    return field(metadata={"choices": choices, "read_by": tuple(read_by)})


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """Checks each field by what `number` and `choice` said of it."""

    group: ClassVar[str] = ""

    def __post_init__(self) -> None:
        name = getattr(self, "name", None)
        if name is not None and not re.fullmatch(r"[^\W\d_][\w.-]{0,63}", name):
            raise SettingError(
                f"{self.group}name={name}: expected a word, which runs are listed by"
            )
        for each in fields(self):
            value = getattr(self, each.name)
            if problem := _problem(value, each.metadata):
                raise SettingError(f"{self.group}{each.name}={value}: expected {problem}")


def _problem(value: object, allowed: Any) -> str:
    """What was expected instead of `value`; empty when it is fine."""
    if "choices" in allowed and value not in allowed["choices"]:
        return _one_of(allowed["choices"])
    if "above" not in allowed or not isinstance(value, int | float):
        return ""
    above, low, high = allowed["above"], allowed["low"], allowed["high"]
    inside = (above is None or value > above) and (low is None or value >= low)
    if isfinite(value) and inside and (high is None or value <= high):
        return ""
    bounds = ((above, "above"), (low, "at least"), (high, "at most"))
    words = " and ".join(f"{word} {bound}" for bound, word in bounds if bound is not None)
    return f"a number {words}".rstrip()


def _one_of(choices: Sequence[str | None]) -> str:
    words = ["null" if one is None else one for one in choices]
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


@dataclass(frozen=True, kw_only=True)
class DataSettings(_Checked):
    """Where the photos are, and which of them train: the variant.

    Attributes:
        root: the album's folder, or its address (s3://bucket/album); None: data/photos, or else the drawn demo album.
        cache: where derived files go; None: beside the photos where that can be written.
        pets: other animals are among the negatives.
        strangers: and thousands of animals and things that the package knows.
        closeups_above: only photos of the subject whose `subject_share` is above this; labels.csv decides before it.
        occasion_minutes: photos taken at most so long after one another are of one occasion, which stands on one side
            of every split; None: times do not count.
        balance: `weights` lets both sides weigh the same in the loss, `equal` draws as many negatives as there are
            positives (not with strangers, who are thousands), `none` does nothing.
    """

    group: ClassVar[str] = "data."
    name: str
    root: str | None
    cache: str | None
    pets: bool
    strangers: bool
    closeups_above: float | None = number(low=0, high=1)
    occasion_minutes: float | None = number(low=0, high=1440)
    balance: str = choice("weights", "equal", "none")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cache is not None and is_address(self.cache):
            raise SettingError(f"data.cache={self.cache}: expected a folder, not an address")
        for name in ("root", "cache"):
            given = getattr(self, name)
            if given is not None and not given.strip():
                raise SettingError(f"data.{name}={given}: expected a folder, or null")
            if given is not None and not is_address(given):  # no shell does it after `data.root=`
                object.__setattr__(self, name, str(at_home(given)))


@dataclass(frozen=True, kw_only=True)
class ModelSettings(_Checked):
    """What every network has.

    Attributes:
        size_px: side of the square image.
        dropout: before the last layer; a linear head on frozen features has none.
        epochs, patience, batch_size, lr, weight_decay: of training by AdamW (the CNN, a hidden layer, fine-tuning,
            which has epochs and a rate of its own).
        threshold_fpr: at the threshold at most this share of the held-out negatives passes.
        threshold_play: how far from 0.5, in calibrated logits, the threshold may lie half-way between the sides.
    """

    group: ClassVar[str] = "model."
    name: str
    size_px: int = number(low=32, high=2048)
    dropout: float = number(low=0, high=0.95, read_by=HEADS)
    epochs: int = number(low=1, high=100_000, read_by=HEADS)
    patience: int = number(low=1, high=100_000, read_by=ADAMW)
    batch_size: int = number(low=1, high=65_536, read_by=[*HEADS, BY_SMALL_BATCHES])
    lr: float = number(above=0, high=10, read_by=HEADS)
    weight_decay: float = number(low=0, high=10, read_by=ADAMW)
    threshold_fpr: float = number(low=0, high=1, read_by=[BY_ALBUM])
    threshold_play: float = number(low=0, high=20, read_by=[BY_ALBUM])


@dataclass(frozen=True, kw_only=True)
class CNNSettings(ModelSettings):
    """The article's three convolutions, trained from nothing."""

    name: str = choice("cnn")


@dataclass(frozen=True, kw_only=True)
class FrozenSettings(ModelSettings):
    """A pretrained backbone, frozen, with a head.

    Attributes:
        backbone: `pair` is MobileNetV2 and EfficientNet-Lite0 side by side; `timm:NAME`, `hf-hub:OWNER/NAME` or
            `local-dir:FOLDER` come through timm.
        detector: what finds the animals that are cut out and asked about; None: the whole photo is asked.
        weights: `bundled`, or `torchvision` (its newest for MobileNetV2, downloaded).
        C: inverse strength of the linear head's L2 penalty, as scikit-learn's.
        shrink: how far the penalty's units go from the other photos' spread to the same for all features.
        hidden: width of a hidden layer; 0 for a linear head.
        views: cached views a photo: itself, its mirror image, then random crops.
        finetune_blocks: train the backbone's last blocks, too, after the head.
    """

    name: str
    backbone: str
    detector: str | None = choice("nanodet", None)
    weights: str = choice("bundled", "torchvision")
    C: float = number(above=0, high=1e6, read_by=[BY_LINEAR])
    shrink: float = number(low=0, high=1e6, read_by=[BY_LINEAR])
    hidden: int = number(low=0, high=65_536)
    views: int = number(low=1, high=63)
    finetune_blocks: int = number(low=0, high=MOBILENET_BLOCKS)
    finetune_lr: float = number(above=0, high=10, read_by=[BY_FINETUNING])
    finetune_epochs: int = number(low=1, high=100_000, read_by=[BY_FINETUNING])

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backbone.startswith(LOCAL):
            folder = at_home(self.backbone.removeprefix(LOCAL))
            object.__setattr__(self, "backbone", f"{LOCAL}{folder}")
        if self.backbone not in BUNDLED_BACKBONES and not self.is_from_hub:
            choices = [*BUNDLED_BACKBONES, "timm:NAME", "hf-hub:OWNER/NAME", "local-dir:FOLDER"]
            raise SettingError(f"model.backbone={self.backbone}: expected {_one_of(choices)}")
        if self.weights == "torchvision" and self.backbone != "mobilenet":
            raise MismatchError("model.weights=torchvision: expected bundled, but for mobilenet")
        if self.detector and not self.is_linear:
            raise MismatchError(
                f"model.detector={self.detector}: expected null with model.hidden or "
                "model.finetune_blocks; take model=mobilenet"
            )
        if self.finetune_blocks > BLOCKS.get(self.backbone, MOBILENET_BLOCKS):
            raise MismatchError(
                f"model.finetune_blocks={self.finetune_blocks}: expected at most {BLOCKS[self.backbone]} for "
                f"{self.backbone}"
            )
        if self.finetune_blocks and (self.backbone == "pair" or self.is_from_hub):
            raise MismatchError(
                f"model.finetune_blocks: expected 0 for {self.backbone}; take model=mobilenet"
            )

    @property
    def is_from_hub(self) -> bool:
        """The backbone is none of ours: timm gets it."""
        return any(self.backbone.startswith(hub) and self.backbone != hub for hub in HUBS)

    @property
    def is_linear(self) -> bool:
        """The head is one linear layer on frozen features: solved exactly, cheap to cross-validate."""
        return not self.hidden and not self.finetune_blocks


@dataclass(frozen=True, kw_only=True)
class TrainerSettings(_Checked):
    """What Lightning's Trainer gets; None leaves its own default.

    Attributes:
        devices: how many, or `auto` (a string, since OmegaConf cannot nest a union of types).
    """

    group: ClassVar[str] = "trainer."
    accelerator: str = choice("cpu", "gpu", "auto")
    devices: str
    strategy: str = choice(*STRATEGIES)
    precision: str | None = choice(None, *PRECISIONS, read_by=ADAMW)
    max_epochs: int | None = number(low=1, high=100_000, read_by=ADAMW)
    limit_train_batches: int | None = number(low=1, high=1_000_000, read_by=ADAMW)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"auto|[1-9][0-9]{0,3}", self.devices):
            raise SettingError(f"trainer.devices={self.devices}: expected a number from 1 or auto")
        if self.strategy == "auto" and self.devices != "1":
            raise MismatchError(
                f"trainer.devices={self.devices}: expected 1 without trainer.strategy=ddp; take trainer=ddp"
            )
        if self.precision in HALF_PRECISIONS and self.accelerator != "gpu":
            raise MismatchError(
                f"trainer.precision={self.precision}: float16 needs trainer.accelerator=gpu; take bf16-mixed"
            )


@dataclass(frozen=True, kw_only=True)
class TrackingSettings(_Checked):
    """Where runs are recorded.

    Attributes:
        uri: None: MLFLOW_TRACKING_URI, or else the database in mlruns/.
        system_metrics: how busy processors, memory, disk, network and GPUs are meanwhile.
    """

    group: ClassVar[str] = "tracking."
    uri: str | None
    system_metrics: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.uri is not None and not STORES.fullmatch(self.uri):
            raise SettingError(
                f"tracking.uri={self.uri}: expected sqlite:///FILE, http://HOST:PORT, another store that MLflow "
                "knows, or null"
            )


@dataclass(frozen=True, kw_only=True)
class SweepSettings(_Checked):
    """What several runs of one command have together; a run of its own reads none of it.

    Attributes:
        name: the sweep that goes on under it; None: a name made of what is swept and of the album.
        again: run all jobs anew, also those that are done.
    """

    group: ClassVar[str] = "sweep."
    name: str | None
    again: bool


@dataclass(frozen=True, kw_only=True)
class RunSettings(_Checked):
    """All that makes a run what it is, and the sweep it belongs to.

    Attributes:
        seed: draws the folds and everything random in training.
        refit: `all` trains the classifier that is kept on all photos, once the held-out figures are taken.
    """

    subject: str
    seed: int = number(low=0, high=SEEDS)
    refit: str | None = choice("all", None)
    data: DataSettings
    model: ModelSettings
    trainer: TrainerSettings
    tracking: TrackingSettings
    sweep: SweepSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        if "," in self.subject:
            raise SettingError(
                f"subject={self.subject}: expected one name; several subjects are a run each, with: "
                "python -m ismila.train -m subject=mila,rex"
            )
        if problem := subject_problem(self.subject):
            shown = as_text(one_line(self.subject))
            raise SettingError(
                f"subject={shown}: expected the name of a folder, such as mila, {problem}"
            )
        frozen = self.model if isinstance(self.model, FrozenSettings) else None
        is_bundled = frozen and not frozen.is_from_hub and frozen.weights == "bundled"
        if self.data.strangers and not (is_bundled and frozen and frozen.is_linear):
            raise MismatchError(
                f"data={self.data.name}: strangers are known to a linear head on a bundled backbone "
                "only; take model=reid or model=mobilenet"
            )
        if self.data.strangers and self.data.balance == "equal":
            raise MismatchError(
                "data.balance=equal: expected weights or none with strangers, who are thousands; leave it out"
            )
        finetuned = isinstance(self.model, FrozenSettings) and self.model.finetune_blocks
        if self.refit and finetuned:
            raise MismatchError(
                "refit=all: does not go with model.finetune_blocks; leave one of them out"
            )

    @property
    def low_resolution_copies(self) -> bool:
        """Low-resolution copies of the subject's images train, too: with strangers, where animals are cut out."""
        cuts_out = isinstance(self.model, FrozenSettings) and self.model.detector is not None
        return self.data.strangers and cuts_out


READERS: Mapping[str, Callable[[RunSettings], bool]] = {
    BY_CNN: lambda run: isinstance(run.model, CNNSettings),
    BY_HIDDEN: lambda run: isinstance(run.model, FrozenSettings) and run.model.hidden > 0,
    BY_FINETUNING: lambda run: (
        isinstance(run.model, FrozenSettings) and run.model.finetune_blocks > 0
    ),
    BY_SMALL_BATCHES: lambda run: (
        READERS[BY_FINETUNING](run) and run.model.batch_size <= LARGEST_FINETUNING_BATCH
    ),
    BY_LINEAR: lambda run: isinstance(run.model, FrozenSettings) and not run.model.hidden,
    BY_ALBUM: lambda run: not run.data.strangers,
}
"""Who reads a setting that not every run reads, in words, and whether a run has them."""


def _refuse_unread(part: _Checked, run: RunSettings) -> None:
    """Raise MismatchError for a value that somebody chose and that nothing reads in this run.

    Nobody chose what stands in a file of `conf/`: `trainer=smoke` is fine for a head that is solved at once. What the
    run does not read has to be what one of them says, together.
    """
    readers = {each.name: each.metadata.get("read_by", ()) for each in fields(part)}
    unread = [
        name
        for name, some in readers.items()
        if some and not any(READERS[reader](run) for reader in some)
    ]
    for name in _chosen(part, unread):
        raise MismatchError(
            f"{part.group}{name}={getattr(part, name)}: only {_one_of(readers[name])} reads it; leave it out"
        )


def _chosen(part: _Checked, names: Sequence[str]) -> Sequence[str]:
    """Those of the settings in which the part differs from the file of its group that is nearest to it."""
    given = {name: getattr(part, name) for name in names}
    nearest = names
    for file in sorted((CONF / part.group.rstrip(".")).glob("*.yaml")):
        if not nearest:
            break
        values = _values_of(file)
        if values.keys() >= given.keys():  # it describes the same kind of thing
            differing = [name for name in names if given[name] != values[name]]
            nearest = min(nearest, differing, key=lambda some: len(some))
    return nearest


@lru_cache
def _values_of(file: Path) -> Mapping[str, object]:
    """What a file of `conf/` says, with what it begins with."""
    from omegaconf import OmegaConf

    own: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(file))  # type: ignore[assignment]
    values: dict[str, object] = {}
    for parent in own.pop("defaults", []):
        if not parent.startswith("/"):  # one of the classes above, which hold no values
            values |= _values_of(file.with_name(f"{parent}.yaml"))
    return values | own


def flat(settings: _Checked, prefix: str = "") -> dict[str, str]:
    """`{"model.lr": "0.001", ...}`, as MLflow keeps a run's parameters."""
    params: dict[str, str] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        if isinstance(value, _Checked):
            params |= flat(value, f"{prefix}{each.name}.")
        else:
            params[f"{prefix}{each.name}"] = str(value)
    return params


def register() -> None:
    """Let Hydra know the classes, as `settings` and `settings/...`, which the files of `conf/` begin with.

    OmegaConf makes what comes from a frozen class read-only, so that no file could fill it: that flag is taken off,
    and what `settings_of` gives is frozen again.
    """
    from hydra.core.config_store import ConfigStore

    # Hydra checks our hydra/launcher/*.yaml by the plugins' own configs of the same name, and warns
    # that it will not do so for ever; they are whole without
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/", UserWarning)
    store = ConfigStore.instance()
    store.store(name="settings", node=_writable(RunSettings))
    groups = {"cnn": CNNSettings, "frozen": FrozenSettings, "data": DataSettings}
    groups |= {"trainer": TrainerSettings, "tracking": TrackingSettings}
    for name, settings in groups.items():
        store.store(group="settings", name=name, node=_writable(settings))


def _writable(settings: type[_Checked]) -> Any:
    from omegaconf import OmegaConf

    config = OmegaConf.structured(settings)
    OmegaConf.set_readonly(config, None)
    for key in config:
        if OmegaConf.is_config(child := config._get_node(key)):
            OmegaConf.set_readonly(child, None)
    return config


def settings_of(config: Any) -> RunSettings:
    """Hydra's composed config as settings, checked.

    Raises:
        SettingError: a value that cannot be followed.
    """
    from omegaconf import OmegaConf

    _refuse_unknown(config)
    settings = OmegaConf.to_object(config)
    if not isinstance(settings, RunSettings):
        raise TypeError("the config does not begin with `settings`")
    for part in (settings.data, settings.model, settings.trainer):
        _refuse_unread(part, settings)
    return settings


def _refuse_unknown(config: Any, prefix: str = "") -> None:
    """Hydra's `+name=value` adds what no class has; nobody would read it."""
    from omegaconf import OmegaConf

    known = [each.name for each in fields(OmegaConf.get_type(config) or _Checked)]
    for key in config:
        if key not in known:
            raise SettingError(f"{prefix}{key}: no such setting; expected {_one_of(known)}")
        if OmegaConf.is_config(child := config._get_node(key)):
            _refuse_unknown(child, f"{prefix}{key}.")
