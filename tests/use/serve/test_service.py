import asyncio

import pytest
from fastapi import HTTPException
from PIL import Image
from stub import StubModels, grey_png

from ismila.photos.images import PhotoError
from ismila.use.serve.answering import AllModels
from ismila.use.serve.models import ModelExplanation, Resembling
from ismila.use.serve.service import Explaining, Service
from ismila.use.serve.upload import Upload


def judge(models, content, **explaining):
    """What is said of a photo, and why where that is asked for."""

    async def once():
        service = Service(AllModels([models]))
        task = asyncio.create_task(service.batcher.run())
        pets = service.models.default.pets
        try:
            looks, together = await service.judged(pets, Upload("photo", content))
            answer = together.subjects["mila"]
            asked = Explaining(**explaining)
            if not asked.is_asked_for:
                return answer
            views = pets.views_of("mila", looks)
            return await service.explanation(models.default, views, answer.image, asked)
        finally:
            task.cancel()

    return asyncio.run(once())


def test_what_is_not_asked_for_is_not_loaded():
    models = StubModels()
    answer = judge(models, grey_png(255))
    assert (answer.verdict, answer.probability, models.default.prepared) == ("mila", 1.0, 0)


def test_neighbours_come_as_thumbnails_and_one_that_has_gone_without(tmp_path):
    Image.new("RGB", (900, 300)).save(tmp_path / "there.png")
    models = StubModels()
    models.default.explain = lambda image: ModelExplanation(
        nearest=[
            Resembling(tmp_path / name, name, "dog", 0.5) for name in ("there.png", "gone.png")
        ]
    )
    near = judge(models, grey_png(), nearest=2).nearest
    assert [one.src[:23] for one in near] == ["data:image/jpeg;base64,", ""]
    assert [one.path for one in near] == ["there.png", "gone.png"]
    assert len(judge(models, grey_png(), nearest=1).nearest) == 1


def test_a_photo_that_cannot_be_read_is_said():
    with pytest.raises(PhotoError, match="not a picture"):
        judge(StubModels(), b"text")


def test_an_unknown_name_is_repeated_in_part_and_without_what_cannot_be_printed():
    with pytest.raises(HTTPException) as error:
        asyncio.run(Service(AllModels([StubModels()])).answering("a\0b" + "c" * 500))
    assert error.value.status_code == 404
    assert error.value.detail == "Model not found: a?b" + "c" * 77
