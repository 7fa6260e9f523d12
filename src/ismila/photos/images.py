"""The one specification of decode, orientation, resize, crop and normalise.

Training, prediction, the web page and the export all come through here, so that a photo is the same
image wherever it is asked about.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, IptcImagePlugin, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from ismila.photos.boxes import Box
from ismila.photos.names import as_text
from ismila.photos.taken import CaptureTime, DateTags, taken_of

MAX_PIXELS = 200_000_000
"""A photo of more pixels is refused before it is decoded: 200 MP is twice the largest phone
camera."""
MIN_SIDE_PX = 32
"""A photo with a shorter side than this shows nothing a network could judge."""
FAR_PX = 80
"""Pixels a side of an animal's square when the animal is far away: of a quarter of the height of a small picture."""
FAR_VIEW = 63
"""Number of the view of an image that shows it from afar; augmented views have the numbers below it."""
PIXELS_VERSION = 1
"""Raised when this module makes other pixels of the same photo, specification and view."""
READER = f"Pillow {pillow_version}, libjpeg-turbo {features.version('libjpeg_turbo')}"
"""What decodes. Another release may round differently, and may read what the last one refused."""

Image.MAX_IMAGE_PIXELS = None  # open_photo has its own limit, one that refuses instead of warning

Pixels = npt.NDArray[np.uint8]


class PhotoError(Exception):
    """A photo that cannot be used; the message says why in a few words."""


@dataclass(frozen=True)
class ImageSpec:
    """How a photo becomes an image.

    Attributes:
        size_px: side of the square image.
        fit: `squash` resizes the whole photo to the square, `crop` keeps its proportions and cuts
            the middle.
        mean, std: per channel, of values in [0, 1]; (0.5, 0.5) is Keras' scaling to [-1, 1].
    """

    size_px: int = 224
    fit: str = "squash"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if self.fit not in ("squash", "crop"):
            raise ValueError(f"fit={self.fit!r}: expected squash or crop")
        object.__setattr__(self, "mean", tuple(float(v) for v in self.mean))
        object.__setattr__(self, "std", tuple(float(v) for v in self.std))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for classifier.json."""
        return asdict(self)


def pixels_digest(spec: ImageSpec) -> str:
    """16 hex digits that name what makes pixels of a photo: specification, version, decoder.

    Whatever is computed from pixels and kept is kept under this name, so that no cache outlives
    what it was computed from.
    """
    text = json.dumps([spec.as_dict(), PIXELS_VERSION, READER], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


IPTC_KEYWORDS = (2, 25)
"""Record and dataset."""
ORIENTATION = 0x0112
EXIF_DIRECTORY = 0x8769
GPS_DIRECTORY = 0x8825
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "PPM")
"""What Pillow may take the bytes for: its other readers see little use and few eyes."""


def open_photo(source: Path | bytes, at_least_px: int, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode, upright and in RGB; a large JPEG at a scale that still has `at_least_px` a side.

    libjpeg scales by 1/2, 1/4 or 1/8 while it decodes (Pillow's `Image.draft`), which is several
    times faster than decoding everything and shrinking it afterwards.

    Raises:
        PhotoError: not a picture, damaged, unreadable, too small or too large.
    """
    with _opened(source, max_pixels) as photo:
        with decoding():
            photo.draft("RGB", (at_least_px, at_least_px))
            photo.load()
        return _to_rgb(_upright(photo))


@dataclass(frozen=True)
class Header:
    """What a photo's file says of it before anything is decoded.

    Attributes:
        format: as Pillow names it: JPEG, PNG, ...; a JPEG that holds several pictures is a JPEG.
        width_px, height_px: upright.
        taken: when, by whatever it says of that.
    """

    format: str
    width_px: int
    height_px: int
    taken: CaptureTime


def read_header(content: Path | bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """What a file says of itself; formats, limits and errors are those of `open_photo`."""
    with _opened(content, max_pixels) as photo:
        width_px, height_px = photo.size
        if _orientation(photo) in (5, 6, 7, 8):  # turned by 90 degrees
            width_px, height_px = height_px, width_px
        photo_format = "JPEG" if photo.format == "MPO" else str(photo.format)
        return Header(photo_format, width_px, height_px, taken_of(_date_tags(photo)))


@dataclass(frozen=True)
class Embedded:
    """What other programs wrote into a photo's file.

    Attributes:
        xmp: the packet; empty where there is none.
        keywords: of IPTC.
    """

    xmp: bytes
    keywords: tuple[str, ...]


def read_embedded(path: Path) -> Embedded:
    """What stands in a photo beside its pixels, which are not decoded. Raises PhotoError."""
    with _opened(path, MAX_PIXELS) as photo:
        found = _iptc(photo).get(IPTC_KEYWORDS, [])
        keywords = found if isinstance(found, list) else [found]
        return Embedded(_xmp(photo), tuple(_iptc_text(each) for each in keywords))


def _xmp(photo: ImageFile.ImageFile) -> bytes:
    held = photo.info.get("xmp") or photo.info.get("XML:com.adobe.xmp") or b""
    return held.encode() if isinstance(held, str) else bytes(held)


def _iptc(photo: ImageFile.ImageFile) -> dict[tuple[int, int], Any]:
    with suppress(PhotoError), decoding():  # a damaged block, as with EXIF
        return IptcImagePlugin.getiptcinfo(photo) or {}
    return {}


def _iptc_text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:  # programs of long ago wrote what their system did
        return content.decode("cp1252", "replace")


def is_stored_upright(path: Path) -> bool:
    """Whether the pixels are stored as they are shown. Raises PhotoError."""
    with _opened(path, MAX_PIXELS) as photo:
        return _orientation(photo) == 1


def photo_format(content: bytes) -> str:
    """What kind of picture the bytes are: JPEG, PNG, WEBP, ... Raises PhotoError."""
    return read_header(content).format


def why_not_opened(path: Path) -> str:
    """What is at the path instead of a file."""
    if path.exists():
        return "not a regular file"
    return "a link that leads nowhere" if path.is_symlink() else "file not found"


@contextmanager
def _opened(source: Path | bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """A photo of one of `FORMATS` within the limits. Raises PhotoError."""
    formats = readable_formats()
    with warnings.catch_warnings():
        # a corrupt EXIF block is not our reader's problem: the pixels count
        warnings.simplefilter("ignore")
        with decoding():
            if isinstance(source, Path) and not source.is_file():
                raise PhotoError(why_not_opened(source))
            if isinstance(source, Path) and source.stat().st_size == 0:
                raise PhotoError("empty file")
            stream = io.BytesIO(source) if isinstance(source, bytes) else source
            photo = Image.open(stream, formats=formats)
        with photo:
            _check_size(*photo.size, max_pixels)
            yield photo


@contextmanager
def decoding() -> Iterator[None]:
    """What a decoder raises on a damaged photo becomes a PhotoError.

    Nothing but a decoder is called within: it may raise almost anything, so that a mistake of ours would pass for
    damage. A library that is missing, or too little memory, is no fault of the photo.
    """
    try:
        yield
    except (PhotoError, ImportError, MemoryError):
        raise
    except PermissionError as error:
        raise PhotoError("may not be read: permission denied") from error
    except UnidentifiedImageError as error:
        raise PhotoError("not a picture") from error
    except Exception as error:
        if _NO_DECODER.fullmatch(str(error)):
            raise ImportError(f"Pillow was built without a part: {error}") from error
        if isinstance(error, OSError) and error.strerror:
            raise PhotoError(f"cannot be read: {error.strerror}") from error
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PhotoError(f"damaged: {as_text(what)}") from error


_NO_DECODER = re.compile(r"decoder \w+ not available")


def _check_size(width_px: int, height_px: int, max_pixels: int) -> None:
    if width_px * height_px > max_pixels:
        raise PhotoError(f"too large: {width_px} x {height_px} pixels")
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise PhotoError(f"too small: {width_px} x {height_px} pixels")


def _orientation(photo: Image.Image) -> int:
    """By EXIF; upright where that does not say."""
    stated = _exif(photo).get(ORIENTATION)
    return stated if isinstance(stated, int) else 1


def _date_tags(photo: ImageFile.ImageFile) -> DateTags:
    """What may say when a photo was taken."""
    exif = {**_exif(photo, EXIF_DIRECTORY), **_exif(photo)}
    xmp, iptc = _xmp(photo), _iptc(photo)
    return DateTags(exif, _exif(photo, GPS_DIRECTORY), xmp, iptc, photo.info)


def _exif(photo: Image.Image, directory: int | None = None) -> dict[int, Any]:
    """The tags of a directory of EXIF; none where the block is damaged: the picture itself was read."""
    with suppress(PhotoError), decoding():
        exif = photo.getexif()
        return dict(exif if directory is None else exif.get_ifd(directory))
    return {}


@lru_cache
def readable_formats() -> list[str]:
    """Those of `FORMATS` that can be read here: what the bytes say counts, not what a file is called.

    Who decodes in threads calls it before they begin: it imports Pillow's plug-ins (docs/design.md, "Threads").
    """
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(photo: Image.Image) -> Image.Image:
    with suppress(PhotoError), decoding():  # a damaged EXIF block: the picture itself was read
        ImageOps.exif_transpose(photo, in_place=True)  # a copy of 64 megapixels takes 200 MB
    return photo


def _to_rgb(photo: Image.Image) -> Image.Image:
    if photo.mode.startswith("I") or photo.mode == "F":
        # 16-bit grey: convert() would clip, not scale
        values = np.asarray(photo, dtype=np.float32)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        scaled = values.clip(0, top) * (255.0 / top)
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    if photo.mode in ("RGBA", "LA", "PA") or "transparency" in photo.info:
        layer = _converted(photo, "RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return photo if photo.mode == "RGB" else _converted(photo, "RGB")


def _converted(photo: Image.Image, mode: str) -> Image.Image:
    """Of a mode that the file chose: there is not a way from each to each."""
    with decoding():
        return photo.convert(mode)


def fit_photo(photo: Image.Image, spec: ImageSpec) -> Pixels:
    """Resize to the specification's square.

    Returns:
        `[size_px, size_px, 3]`, RGB in 0..255.
    """
    side = (spec.size_px, spec.size_px)
    if spec.fit == "crop":
        return np.asarray(ImageOps.fit(photo, side, Image.Resampling.BILINEAR))
    return np.asarray(photo.resize(side, Image.Resampling.BILINEAR))


def read_image(source: Path | bytes, spec: ImageSpec) -> Pixels:
    """`open_photo` and `fit_photo` in one: `[size_px, size_px, 3]` uint8. Raises PhotoError."""
    return fit_photo(open_photo(source, spec.size_px), spec)


def square_around(box: Box, size_px: tuple[int, int], margin: float) -> Box:
    """The square that shows what a box shows with some room around it, in pixels of the photo.

    It is shifted inside the picture. Where it is larger than the picture, it is as long as that,
    and no square any more.

    Args:
        box: in [0, 1].
        size_px: width and height of the photo.
        margin: room around the box, as a share of its longer side, both sides together.
    """
    width, height = size_px
    side = max((box[2] - box[0]) * width, (box[3] - box[1]) * height) * (1 + margin)
    across = max(1.0, min(side, width))
    down = max(1.0, min(side, height))
    left = min(max((box[0] + box[2]) / 2 * width - across / 2, 0.0), width - across)
    top = min(max((box[1] + box[3]) / 2 * height - down / 2, 0.0), height - down)
    return left, top, left + across, top + down


def cut_photo(photo: Image.Image, box: Box, spec: ImageSpec, margin: float) -> Pixels:
    """Cut out what a box shows, and resize that to the specification's square.

    Returns:
        `[size_px, size_px, 3]`, RGB in 0..255.
    """
    side = (spec.size_px, spec.size_px)
    square = square_around(box, photo.size, margin)
    return np.asarray(photo.resize(side, Image.Resampling.BILINEAR, box=square))


def view_of(image: Pixels, sha256: str, view: int) -> Pixels:
    """Augmented view number `view` of an image, the same whenever it is asked for.

    View 0 is the image itself, 1 its mirror image, each further one a random crop of 60 to 100 % of
    the area, mirrored every other time, drawn from the photo's sha256 and the number; `FAR_VIEW` is
    the image from afar.

    Returns:
        `[H, W, 3]` uint8 of the image's own size.
    """
    if view == 0:
        return image
    if view == 1:
        return np.ascontiguousarray(image[:, ::-1])
    if view == FAR_VIEW:
        return low_resolution(image)
    rng = np.random.default_rng([int(sha256[:16], 16), view])
    height, width = image.shape[:2]
    scale = float(np.sqrt(rng.uniform(0.6, 1.0)))
    crop_w, crop_h = round(width * scale), round(height * scale)
    left, top = int(rng.integers(0, width - crop_w + 1)), int(rng.integers(0, height - crop_h + 1))
    crop = Image.fromarray(image).resize(
        (width, height), Image.Resampling.BILINEAR, box=(left, top, left + crop_w, top + crop_h)
    )
    pixels = np.asarray(crop)
    return np.ascontiguousarray(pixels[:, ::-1]) if view % 2 else pixels


def low_resolution(image: Pixels) -> Pixels:
    """An image `[H, W, 3]` as it would be if what it shows were so far away that it took `FAR_PX` pixels a side."""
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize((FAR_PX, FAR_PX), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def normalise(images: Pixels, spec: ImageSpec) -> npt.NDArray[np.float32]:
    """`[N, H, W, 3]` uint8 -> `[N, 3, H, W]` float32, scaled as the backbone wants it."""
    scale = np.float32(1.0) / (255.0 * np.asarray(spec.std, np.float32))
    shift = np.asarray(spec.mean, np.float32) / np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(
        (images * scale - shift).astype(np.float32, copy=False).transpose(0, 3, 1, 2)
    )


def jpeg_bytes(image: Image.Image, quality: int) -> bytes:
    """The image as a JPEG file."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def data_uri(jpeg: bytes) -> str:
    """A JPEG file as an address that a page shows without another request."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
