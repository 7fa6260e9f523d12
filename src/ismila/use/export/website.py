"""A folder that any static host serves: the page of `ismila serve`, which answers in the browser instead."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from importlib import metadata, resources
from pathlib import Path

from PIL import Image, ImageDraw

from ismila.evidence.heat import INFERNO, STRENGTH
from ismila.learning.decision import UNSURE
from ismila.photos import UserError
from ismila.photos.images import MIN_SIDE_PX, write_aside
from ismila.use.export.exported import ExportedClassifier

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, as npm names it (`npm view onnxruntime-web@VERSION dist.integrity`)."""
TAKEN = {"ort.js": "dist/ort.wasm.bundle.min.mjs", "ort.wasm": "dist/ort-wasm-simd-threaded.wasm"}
"""The smallest that work. `.js`, since some hosts do not know `.mjs`."""
CACHE = Path("data/cache")

USE = resources.files("ismila.use")
SHARED = ("index.html", "page.css", "page.js")
OWN = ("answers.js", "worker.js", "images.js", "service.js")
ICONS_PX = (192, 512)
MARK = "model.json"
"""An export holds this file, and what it says `made_by`."""
MADE_BY = "ismila export --format web"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; style-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
HEAD = f"""<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="theme-color" content="#b3541e">
<link rel="manifest" href="site.webmanifest">
<link rel="icon" href="icon-192.png">
<link rel="apple-touch-icon" href="icon-192.png">"""


def other_content(folder: Path) -> str:
    """The name of something in the folder that is not of an earlier export; empty when it may be written."""
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return folder.name
    try:
        told = json.loads((folder / MARK).read_bytes())
        known = set(told["files"]) if told.get("made_by") == MADE_BY else set()
    except (OSError, ValueError, KeyError, AttributeError):
        known = set()
    return next((path.name for path in sorted(folder.iterdir()) if path.name not in known), "")


def runtime_files(package: Path | None) -> dict[str, bytes]:
    """onnxruntime-web's files under the names they get in the export: from `package`, the cache, or npm.

    Raises:
        UserError: it is not the pinned package, or npm cannot fetch it.
    """
    cached = CACHE / f"{PACKAGE}-{VERSION}.tgz"
    try:
        content = (package or cached).read_bytes() if package or cached.is_file() else _fetch()
    except OSError as error:
        raise UserError(f"--runtime {package or cached}: {error.strerror}") from error
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        remedy = "give the file that `npm pack` makes" if package else "delete it"
        raise UserError(
            f"{package or cached}: not {PACKAGE}@{VERSION} (its SHA-512 differs); {remedy}"
        )
    if not package and not cached.is_file():
        write_aside(cached, content)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for name, member in TAKEN.items():
            found = archive.extractfile(f"package/{member}")
            assert found is not None
            files[name] = found.read()
    files["onnxruntime-licence.txt"] = _licence()
    return files


def _fetch() -> bytes:
    spec = f"{PACKAGE}@{VERSION}"
    remedy = f"run `npm pack {spec}` where there is npm and a network, and name its file with --runtime FILE.tgz"
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = ["npm", "pack", spec, "--silent", "--pack-destination", folder]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, check=False, timeout=600
            )
        except FileNotFoundError as error:
            raise UserError(f"npm is not here to fetch {spec}; {remedy}") from error
        except subprocess.TimeoutExpired as error:
            raise UserError(f"npm took more than 10 minutes to fetch {spec}; {remedy}") from error
        packed = next(Path(folder).glob("*.tgz"), None)
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
    to: Path, model: bytes, exported: ExportedClassifier, runtime: dict[str, bytes]
) -> None:
    """Write the folder aside, then put it in the place of an earlier export. Raises OSError."""
    files = _files(model, exported, runtime)
    to.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{to.name}.", suffix=".part", dir=to.resolve().parent))
    try:
        new, old = aside / "new", aside / "old"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
        if to.exists():
            to.resolve().rename(old)
        new.rename(to.resolve())
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _files(
    model: bytes, exported: ExportedClassifier, runtime: dict[str, bytes]
) -> dict[str, bytes]:
    files = {name: (USE / "serve" / "page" / name).read_bytes() for name in SHARED}
    files |= {name: (USE / "export" / "web_page" / name).read_bytes() for name in OWN}
    files["index.html"] = files["index.html"].replace(
        b'<link rel="icon" href="data:,">', HEAD.encode()
    )
    files |= {**runtime, "model.onnx": model, "site.webmanifest": _manifest(exported.subject)}
    files |= {f"icon-{side}.png": _icon(side) for side in ICONS_PX}
    files[MARK] = _settings(exported, [*files, MARK])
    digests = [
        f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(files.items())
    ]
    version = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
    cached = json.dumps(
        ["./", *sorted(set(files) - {"index.html", "service.js", "onnxruntime-licence.txt"})]
    )
    service = (
        files["service.js"].decode().replace("@VERSION@", version).replace('["@FILES@"]', cached)
    )
    return files | {"service.js": service.encode()}


def _settings(exported: ExportedClassifier, names: list[str]) -> bytes:
    told = {
        "made_by": MADE_BY,
        "subject": exported.subject,
        "run": exported.run,
        "threshold": exported.threshold,
        "unsure": UNSURE,
        "image": exported.spec.as_dict(),
        "min_side_px": MIN_SIDE_PX,
        "heat": {"colours": INFERNO.tolist(), "strength": STRENGTH}
        if exported.tells_heat
        else None,
        "files": sorted(names),
    }
    return json.dumps(told, indent=1).encode()


def _manifest(subject: str) -> bytes:
    name = f"Is it {subject.capitalize()}?"
    icons = [
        {
            "src": f"icon-{side}.png",
            "sizes": f"{side}x{side}",
            "type": "image/png",
            "purpose": "any maskable",
        }
        for side in ICONS_PX
    ]
    told = {
        "name": name,
        "short_name": name,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#fbfaf7",
        "theme_color": "#b3541e",
        "icons": icons,
    }
    return json.dumps(told, indent=1).encode()


def _icon(side: int) -> bytes:
    """A paw, drawn four times as large and shrunk."""
    icon = Image.new("RGB", (4 * side, 4 * side), "#b3541e")
    pen = ImageDraw.Draw(icon)
    for x, y, width, height in (
        (50, 62, 30, 26),
        (27, 46, 13, 18),
        (42, 31, 13, 19),
        (58, 31, 13, 19),
        (73, 46, 13, 18),
    ):
        box = [(x - width / 2), (y - height / 2), (x + width / 2), (y + height / 2)]
        pen.ellipse([v * 4 * side / 100 for v in box], fill="#fbfaf7")
    out = io.BytesIO()
    icon.resize((side, side), Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()
