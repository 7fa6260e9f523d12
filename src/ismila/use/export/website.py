"""A folder for any static host: the page of `ismila serve`, answering in the browser instead."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata, resources
from pathlib import Path

from PIL import Image, ImageDraw

from ismila.evidence.heat import INFERNO, STRENGTH
from ismila.photos import UserError
from ismila.photos.files import write_aside
from ismila.photos.images import MIN_SIDE_PX
from ismila.photos.workplace import Workplace, abandoned
from ismila.use.export.exported import ANIMALS, ExportedFile, Head
from ismila.use.web import content_policy
from ismila.vision import animals
from ismila.vision.decision import UNSURE
from ismila.vision.judgement import OTHER
from ismila.vision.views import DECODED_PX, MARGIN, MOST_ANIMALS
from ismila.vision.weights import NANODET

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, as npm names it (`npm view onnxruntime-web@VERSION dist.integrity`)."""
TAKEN = {"ort.js": "dist/ort.wasm.bundle.min.mjs", "ort.wasm": "dist/ort-wasm-simd-threaded.wasm"}
"""The smallest that work. `.js`, since some hosts do not know `.mjs`."""
CACHE = Path("data/cache")
NPM_S = 600

USE = resources.files("ismila.use")
SHARED = ("index.html", "page.css", "page.js")
OWN = ("answers.js", "worker.js", "animals.js", "names.js", "images.js", "service.js")
ICONS_PX = (192, 512)
MARK = "model.json"
"""An export holds this file, and what it says `made_by`."""
MADE_BY = "ismila export --format web"
HEAT = {"colours": INFERNO.tolist(), "strength": STRENGTH}
"""How the page draws heat."""
DETECTOR = {
    "size_px": animals.SIZE_PX,
    "kinds": animals.KINDS,
    "min_score": animals.MIN_SCORE,
    "most": min(animals.MOST, MOST_ANIMALS),
    "same_iou": animals.SAME_IOU,
    "part": animals.PART,
    "candidates": animals.CANDIDATES,
    "margin": MARGIN,
    "decoded_px": DECODED_PX,
    "other": OTHER,
}
"""How the page finds animals and cuts them out, as vision/animals.py and vision/views.py do."""
POLICY = content_policy(
    script_src="'self' 'wasm-unsafe-eval'", worker_src="'self'", manifest_src="'self'"
)
"""In the page itself, where no header may be set; so it cannot say who may frame the page."""
ICON = b'<link rel="icon" href="data:,">'
"""Of the page that `ismila serve` shows; what stands there instead:"""
HEAD = f"""<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="theme-color" content="#b3541e">
<link rel="manifest" href="site.webmanifest">
<link rel="icon" href="icon-192.png">
<link rel="apple-touch-icon" href="icon-192.png">"""


def other_content(folder: Path) -> str:
    """Something in the folder that is of no earlier export; empty when it may be written."""
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return folder.name
    try:
        settings = json.loads((folder / MARK).read_bytes())
        known = set(settings["files"]) if settings.get("made_by") == MADE_BY else set()
    except (OSError, ValueError, KeyError, AttributeError):
        known = set()
    return next((path.name for path in sorted(folder.iterdir()) if path.name not in known), "")


def runtime_files(package: Path | None) -> dict[str, bytes]:
    """onnxruntime-web's files by their names in the export: from `package`, the cache, or npm.

    Raises:
        UserError: it is not the pinned package, or npm cannot fetch it.
    """
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(_package_content(package))) as archive:
        for name, member in TAKEN.items():
            packed = archive.extractfile(f"package/{member}")
            assert packed is not None  # the digest was right
            files[name] = packed.read()
    return files | {"onnxruntime-licence.txt": _licence()}


def _package_content(package: Path | None) -> bytes:
    """The pinned package; one that npm fetched is kept."""
    cached = CACHE / f"{PACKAGE}-{VERSION}.tgz"
    file = package or cached
    if not package and not cached.is_file():
        content = _fetch()
        _require_pinned(content, file, "try again")
        write_aside(cached, content)
        return content
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"--runtime {file}: {error.strerror}") from error
    remedy = "give the file that `npm pack` makes" if package else "delete it"
    _require_pinned(content, file, remedy)
    return content


def _require_pinned(content: bytes, file: Path, remedy: str) -> None:
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise UserError(f"{file}: not {PACKAGE}@{VERSION} (its SHA-512 differs); {remedy}")


def _fetch() -> bytes:
    spec = f"{PACKAGE}@{VERSION}"
    remedy = (
        f"run `npm pack {spec}` where there is npm and a network, "
        "and name its file with --runtime FILE.tgz"
    )
    with _workplace(CACHE / ".npm.working") as folder:
        command = ["npm", "pack", spec, "--silent", "--pack-destination", str(folder.resolve())]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, check=False, timeout=NPM_S
            )
        except FileNotFoundError as error:
            raise UserError(f"npm is not here to fetch {spec}; {remedy}") from error
        except subprocess.TimeoutExpired as error:
            minutes = NPM_S // 60
            raise UserError(
                f"npm took more than {minutes} minutes to fetch {spec}; {remedy}"
            ) from error
        packed = next(folder.glob("*.tgz"), None)
        if done.returncode or packed is None:
            raise UserError(f"npm could not fetch {spec}; {remedy}")
        return packed.read_bytes()


def _licence() -> bytes:
    """npm's package carries no licence text; the same project's wheel does."""
    files = [
        metadata.distribution("onnxruntime").locate_file(f"onnxruntime/{name}")
        for name in ("LICENSE", "ThirdPartyNotices.txt")
    ]
    return b"\n\n".join(Path(str(file)).read_bytes() for file in files)


def write_website(
    to: Path, model: bytes, exported: ExportedFile, runtime: dict[str, bytes]
) -> None:
    """Write the folder aside, then put it in the place of an earlier export. Raises OSError."""
    files = _files(model, exported, runtime)
    to.parent.mkdir(parents=True, exist_ok=True)
    with _workplace(to.resolve().with_name(f".{to.name}.working")) as aside:
        new = aside / "new"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
        if to.exists():
            to.resolve().rename(aside / "old")
        new.rename(to.resolve())


@contextmanager
def _workplace(place: Path) -> Iterator[Path]:
    """A folder in `place`, which goes with the last of its folders, those of killed exports, too."""
    for _ in abandoned(place):
        pass
    with Workplace(place) as folder:
        yield folder
    with suppress(OSError):  # another export is at work
        place.rmdir()


def _files(model: bytes, exported: ExportedFile, runtime: dict[str, bytes]) -> dict[str, bytes]:
    files = {name: (USE / "serve" / "page" / name).read_bytes() for name in SHARED}
    files |= {name: (USE / "export" / "web_page" / name).read_bytes() for name in OWN}
    files["index.html"] = files["index.html"].replace(ICON, HEAD.encode())
    files |= runtime
    files["model.onnx"] = model
    if exported.viewer.detector is not None:
        files[ANIMALS] = NANODET.read_bytes()
    files["site.webmanifest"] = _manifest([head.subject for head in exported.heads])
    files |= {f"icon-{side}.png": _icon(side) for side in ICONS_PX}
    files[MARK] = _settings(exported, [*files, MARK])
    files["service.js"] = _service(files)
    return files


def _service(files: dict[str, bytes]) -> bytes:
    """The service worker, which keeps all files under a version that their content makes."""
    digests = [
        f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(files.items())
    ]
    version = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
    kept = ["./", *sorted(set(files) - {"index.html", "service.js", "onnxruntime-licence.txt"})]
    script = files["service.js"].decode().replace("@VERSION@", version)
    return script.replace('["@FILES@"]', json.dumps(kept)).encode()


def _settings(exported: ExportedFile, names: list[str]) -> bytes:
    settings = {
        "made_by": MADE_BY,
        "subjects": [_known(head) for head in exported.heads],
        "unsure": UNSURE,
        "image": exported.spec.as_dict(),
        "min_side_px": MIN_SIDE_PX,
        "detector": DETECTOR if exported.viewer.detector is not None else None,
        "heat": HEAT if exported.tells_heat else None,
        "files": sorted(names),
    }
    return json.dumps(settings, indent=1).encode()


def _known(head: Head) -> dict[str, object]:
    return {"subject": head.subject, "run": head.run, "threshold": head.threshold}


def _manifest(subjects: Sequence[str]) -> bytes:
    name = f"Is it {' or '.join(subject.capitalize() for subject in subjects)}?"
    icons = [
        {
            "src": f"icon-{side}.png",
            "sizes": f"{side}x{side}",
            "type": "image/png",
            "purpose": "any maskable",
        }
        for side in ICONS_PX
    ]
    manifest = {
        "name": name,
        "short_name": name,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#fbfaf7",
        "theme_color": "#b3541e",
        "icons": icons,
    }
    return json.dumps(manifest, indent=1).encode()


PAW = ((50, 62, 30, 26), (27, 46, 13, 18), (42, 31, 13, 19), (58, 31, 13, 19), (73, 46, 13, 18))
"""Middle x, y, width, height of its pads, in hundredths of the icon."""


def _icon(side: int) -> bytes:
    """A paw, drawn four times as large and shrunk."""
    large = 4 * side
    icon = Image.new("RGB", (large, large), "#b3541e")
    pen = ImageDraw.Draw(icon)
    for x, y, width, height in PAW:
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        pen.ellipse([edge * large / 100 for edge in box], fill="#fbfaf7")
    out = io.BytesIO()
    icon.resize((side, side), Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()
