import asyncio

import numpy as np
import pytest
from stub import Brightness

from ismila.use.ask.pets import Pets
from ismila.use.serve.batcher import Batcher, BusyError
from ismila.vision.views import Views

PIXELS = np.zeros((1, 32, 32, 3), np.uint8)
BLACK = Views(PIXELS, (), 32, 32)
WHITE = Views(PIXELS + 255, (), 32, 32)


def pets_of(classifier):
    return Pets({"mila": classifier}, {"mila": "run"})


def looks_of(classifier, views):
    return {classifier.viewer.digest: views}


def said(answer):
    return answer if isinstance(answer, Exception) else answer.subjects["mila"].probability


def ask(*asked, places=4):
    """Each (classifier, image) at once; answers or errors."""
    pets = {id(classifier): pets_of(classifier) for classifier, _ in asked}

    async def all_of_them():
        batcher = Batcher(places)
        task = asyncio.create_task(batcher.run())
        waiting = [
            batcher.judged(pets[id(classifier)], looks_of(classifier, views))
            for classifier, views in asked
        ]
        try:
            answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
            return [said(answer) for answer in answers]
        finally:
            task.cancel()

    return asyncio.run(all_of_them())


def test_each_gets_its_own_answer_and_they_go_together():
    classifier = Brightness()
    answers = ask(*((classifier, WHITE if at % 2 else BLACK) for at in range(40)))
    assert answers == [float(at % 2) for at in range(40)]
    assert classifier.batches == [16, 16, 8]


def test_two_classifiers_are_not_mixed():
    one, other = Brightness(), Brightness()
    assert ask((one, WHITE), (other, BLACK), (one, BLACK)) == [1.0, 0.0, 0.0]
    assert (one.batches, other.batches) == ([1, 1], [1])


def test_an_error_reaches_those_who_asked_and_the_next_are_answered():
    class Broken(Brightness):
        def probabilities(self, images):
            raise ZeroDivisionError

    first, second = ask((Broken(), WHITE), (Brightness(), WHITE))
    assert isinstance(first, ZeroDivisionError) and second == 1.0


def test_a_client_that_has_gone_is_passed_over():
    async def two():
        batcher = Batcher(4)
        classifier = Brightness()
        pets = pets_of(classifier)
        gone = asyncio.create_task(batcher.judged(pets, looks_of(classifier, BLACK)))
        stays = asyncio.create_task(batcher.judged(pets, looks_of(classifier, WHITE)))
        await asyncio.sleep(0)
        gone.cancel()
        task = asyncio.create_task(batcher.run())
        answer = await asyncio.wait_for(stays, 10)
        task.cancel()
        return answer

    assert said(asyncio.run(two())) == 1.0


def test_places_are_given_back():
    batcher = Batcher(1)
    for _ in range(2):
        with batcher.place(), pytest.raises(BusyError), batcher.place():
            pass
    assert batcher.taken == 0


def test_something_else_runs_in_the_same_thread():
    async def name():
        import threading

        return await Batcher(1).alone(lambda: threading.current_thread().name)

    assert asyncio.run(name()).startswith("backbone")
