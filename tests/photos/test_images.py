import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageFile

from ismila.photos import images
from ismila.photos.images import (
    FAR_VIEW,
    ImageSpec,
    PhotoError,
    normalise,
    open_photo,
    photo_format,
    pixels_digest,
    read_header,
    read_image,
    view_of,
)

RED, GREEN = (220, 30, 30), (30, 200, 60)


def saved(image, file_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def halves(size=(80, 60), mode="RGB"):
    """Red on the left, green on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


def looks_like(pixel, colour):
    return np.abs(np.asarray(pixel, int) - colour).max() < 40


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("RGB", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("RGBA", "WEBP"),
        ("RGB", "BMP"),
    ],
)
def test_every_kind_of_picture_shows_the_same_colours(mode, file_format):
    image = read_image(saved(halves(mode=mode), file_format), ImageSpec(64))
    assert image.shape == (64, 64, 3)
    assert looks_like(image[32, 10], RED)
    assert looks_like(image[32, 54], GREEN)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = Image.fromarray(np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (64, 1)))
    image = read_image(saved(ramp), ImageSpec(64))
    assert abs(int(image[32, 32, 0]) - 128) < 8


def test_an_animation_is_its_first_frame():
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, GREEN)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert looks_like(read_image(content, ImageSpec(32))[16, 16], RED)


def test_transparency_becomes_white():
    assert looks_like(
        read_image(saved(Image.new("RGBA", (64, 64), (0, 0, 0, 0))), ImageSpec(32))[5, 5],
        (255, 255, 255),
    )


def test_exif_orientation_turns_the_photo_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # shot with the camera turned: the stored left edge is the top
    turned = open_photo(saved(halves(), "JPEG", exif=exif), 32)
    assert turned.size == (60, 80)
    assert looks_like(turned.getpixel((30, 70)), GREEN) != looks_like(
        turned.getpixel((30, 10)), GREEN
    )


def test_a_50_megapixel_jpeg_is_decoded_at_reduced_scale():
    content = saved(Image.new("RGB", (8192, 6144), RED), "JPEG")
    photo = open_photo(content, 224)
    assert min(photo.size) >= 224
    assert photo.size == (1024, 768)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hello, this is text", "not a picture"),
        (saved(Image.new("RGB", (1, 1))), "too small: 1 x 1 pixels"),
        (saved(halves(), "JPEG")[:400], "damaged"),
    ],
)
def test_what_cannot_be_used_is_said(content, problem):
    with pytest.raises(PhotoError, match=problem):
        read_image(content, ImageSpec())


def test_too_many_pixels_are_refused_before_they_are_decoded():
    bomb = saved(Image.new("1", (30000, 30000)))
    with pytest.raises(PhotoError, match="too large: 30000 x 30000"):
        read_image(bomb, ImageSpec())


def test_a_library_that_is_missing_is_no_damaged_photo(monkeypatch):
    content = saved(halves(), "JPEG")
    images.readable_formats.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for read in (lambda: open_photo(content, 64), lambda: read_header(content)):
        with pytest.raises(ImportError, match="pillow_heif"):
            read()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (TypeError("whatever a plug-in trips over"), PhotoError),
        (OSError("image file is truncated"), PhotoError),
        (OSError(5, "Input/output error"), PhotoError),
        (OSError("decoder jpeg not available"), ImportError),
        (ModuleNotFoundError("No module named 'x'"), ImportError),
        (MemoryError(), MemoryError),
    ],
)
def test_only_what_a_decoder_raises_is_a_damaged_photo(monkeypatch, raised, expected):
    def load(self):
        raise raised

    content = saved(halves(), "JPEG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(expected):
        open_photo(content, 64)


def test_a_mistake_of_ours_is_no_damaged_photo(monkeypatch):
    content = saved(halves(), "JPEG")
    monkeypatch.setattr(images, "_to_rgb", lambda photo: photo + 1)
    with pytest.raises(TypeError):
        open_photo(content, 64)
    monkeypatch.setattr(images, "taken_of", lambda tags: tags.nothing)
    with pytest.raises(AttributeError):
        read_header(content)


@pytest.mark.parametrize("raised", [ImportError("no IPTC"), MemoryError()])
def test_nor_is_what_goes_wrong_beside_the_pixels(monkeypatch, raised):
    def fail(*_):
        raise raised

    content = saved(halves(), "JPEG")
    monkeypatch.setattr(Image.Image, "getexif", fail)
    with pytest.raises(type(raised)):
        read_header(content)


def test_normalise_scales_to_minus_one_and_one():
    x = normalise(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, 3), ImageSpec(2))
    assert x.shape == (1, 3, 1, 2)
    assert x[0, 0, 0].tolist() == [-1.0, 1.0]


def test_a_view_is_the_same_whenever_it_is_asked_for():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sha = "ab" * 32
    assert (view_of(image, sha, 0) == image).all()
    assert (view_of(image, sha, 1) == image[:, ::-1]).all()
    assert (view_of(image, sha, 2) == view_of(image, sha, 2)).all()
    assert (view_of(image, sha, 2) != view_of(image, "cd" * 32, 2)).any()
    assert view_of(image, sha, 3).shape == image.shape


def test_from_afar_what_is_fine_is_gone_and_what_is_coarse_is_left():
    far = [view_of(checkered(px), "ab" * 32, FAR_VIEW) for px in (1, 64)]
    assert [image.shape for image in far] == [(256, 256, 3)] * 2
    assert far[0].std() < 8
    assert (np.abs(far[1].astype(int) - checkered(64)) < 30).mean() > 0.85


def checkered(px):
    """Squares of so many pixels, black and white, 256 px."""
    number = np.arange(256) // px
    return np.repeat((number[:, None] + number) % 2 * 255, 3).reshape(256, 256, 3).astype(np.uint8)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_the_format_is_known_from_the_bytes(file_format):
    assert photo_format(saved(halves(), file_format)) == file_format


def test_a_jpeg_that_holds_several_pictures_is_a_jpeg():
    content = saved(halves(), "MPO", save_all=True, append_images=[halves()])
    assert photo_format(content) == "JPEG"


@pytest.mark.parametrize("file_format", ["ICO", "TGA", "PCX", "EPS", "PDF"])
def test_a_format_that_photos_do_not_have_is_not_even_tried(file_format):
    with pytest.raises(PhotoError, match="not a picture"):
        read_header(saved(halves((64, 64)), file_format))


def test_a_header_is_read_within_the_limit_of_pixels():
    with pytest.raises(PhotoError, match="too large: 80 x 60"):
        read_header(saved(halves()), max_pixels=1000)


def test_the_name_of_pixels_changes_with_all_that_makes_them(monkeypatch):
    names = {pixels_digest(ImageSpec()), pixels_digest(ImageSpec(64))}
    names.add(pixels_digest(ImageSpec(fit="crop")))
    monkeypatch.setattr(images, "PIXELS_VERSION", images.PIXELS_VERSION + 1)
    names.add(pixels_digest(ImageSpec()))
    monkeypatch.setattr(images, "READER", "Pillow 0")
    names.add(pixels_digest(ImageSpec()))
    assert len(names) == 5
