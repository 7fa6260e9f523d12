import numpy as np
import pytest

from ismila.vision.animals import Animal
from ismila.vision.judgement import (
    OTHER,
    PetProbabilities,
    assign_names,
    judgements,
    named,
    named_animals,
)
from ismila.vision.views import Views

LEFT = Animal((0.0, 0.0, 0.5, 1.0), "dog", 0.9)
RIGHT = Animal((0.5, 0.0, 1.0, 1.0), "cat", 0.8)


def photo(*values, animals=()):
    """A photo whose images have these pixels."""
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in values])
    return Views(images, tuple(animals), 2, 2)


def brightness(images):
    return (images.mean((1, 2, 3)) / 255).astype(np.float32)


def test_a_photo_is_its_likeliest_animal():
    asked = [photo(51, 204, animals=(LEFT, RIGHT)), photo(102)]
    both, whole = judgements(asked, brightness)
    assert round(both.probability, 3) == 0.8
    assert both.image == 1
    assert [animal for animal, _ in both.animals] == [RIGHT, LEFT]
    assert (round(whole.probability, 3), whole.animals) == (0.4, ())


def test_all_images_are_asked_at_once_and_none_of_none():
    asked = []

    def count(images):
        asked.append(len(images))
        return brightness(images)

    judgements([photo(1, 2, animals=(LEFT, RIGHT)), photo(3)], count)
    assert judgements([], count) == []
    assert asked == [3]


def test_the_subject_is_in_a_photo_once_at_most():
    [both] = judgements([photo(204, 230, animals=(LEFT, RIGHT))], brightness)
    assert [one.name for one in named(both, "mila", 0.5)] == ["mila", OTHER]
    assert [one.box for one in named(both, "mila", 0.5)] == [RIGHT.box, LEFT.box]
    assert [one.name for one in named(both, "mila", 0.95)] == [OTHER, OTHER]


def test_a_whole_photo_has_no_animal_to_name():
    [whole] = judgements([photo(255)], brightness)
    assert named(whole, "mila", 0.5) == ()


def answers(subject, *probabilities, threshold=0.5):
    return PetProbabilities(subject, np.array(probabilities, np.float32), threshold)


@pytest.mark.parametrize(
    ("mila", "rex", "names"),
    [
        ([0.9, 0.1], [0.1, 0.9], ("mila", "rex")),
        ([0.9, 0.1], [0.95, 0.1], ("rex", "")),
        ([0.9, 0.8], [0.95, 0.1], ("rex", "mila")),
        ([0.9, 0.8], [0.1, 0.1], ("mila", "")),
        ([0.1, 0.1], [0.1, 0.1], ("", "")),
        ([0.9, 0.9], [0.9, 0.9], ("mila", "rex")),
        ([1.0, 1.0], [1.0, 0.0], ("mila", "")),
    ],
    ids=["each its own", "one animal", "second best", "once", "nobody", "tie", "certain tie"],
)
def test_an_animal_has_one_name_and_a_pet_is_in_a_photo_once(mila, rex, names):
    pets = [answers("mila", *mila), answers("rex", *rex)]
    assert assign_names(pets, [LEFT, RIGHT]) == names


def test_a_conflict_is_settled_by_the_margin_over_the_pets_own_threshold():
    strict = answers("mila", 0.95, threshold=0.9)
    lax = answers("rex", 0.9, threshold=0.2)
    assert assign_names([strict, lax]) == ("rex",)
    assert assign_names([strict, answers("rex", 0.9)]) == ("rex",)
    assert assign_names([strict, answers("rex", 0.6)]) == ("mila",)


def test_a_pet_is_there_from_its_threshold_on_as_it_is_alone():
    at = float(np.float32(0.7))
    assert assign_names([answers("mila", 0.7, threshold=at)]) == ("mila",)
    assert assign_names([answers("mila", 0.7, threshold=at + 1e-12)]) == ("",)


def test_of_images_that_are_nearly_certain_the_likelier_is_the_pet_as_it_is_alone():
    assert assign_names([answers("mila", 1 - 2**-24, 1.0)]) == ("", "mila")


WHOLE = Animal((0.0, 0.0, 1.0, 0.8), "dog", 0.9)
HEAD = Animal((0.4, 0.3, 0.8, 0.9), "cat", 0.4)


def test_an_animal_that_was_seen_twice_has_one_name():
    """Her head was another pet, whatever the boxes: 7 of 153 photos of one cat each got a second cat's name."""
    pets = [answers("mila", 0.9, 0.1), answers("rex", 0.2, 0.8)]
    assert assign_names(pets, [WHOLE, HEAD]) == ("mila", "")
    assert assign_names(pets, [LEFT, RIGHT]) == ("mila", "rex")
    assert assign_names(pets[::-1], [HEAD, WHOLE]) == ("mila", "")
    # whom the first image loses may be in another
    elsewhere = [answers("mila", 0.9, 0.1, 0.1), answers("rex", 0.2, 0.8, 0.7)]
    corner = Animal((0.9, 0.9, 1.0, 1.0), "cat", 0.2)
    assert assign_names(elsewhere, [WHOLE, HEAD, corner]) == ("mila", "", "rex")


def test_animals_bear_the_names_with_the_probability_of_the_name():
    pets = [answers("mila", 0.9, 0.2), answers("rex", 0.95, 0.3)]
    one, other = named_animals([LEFT, RIGHT], pets, assign_names(pets))
    assert (one.name, one.kind, round(one.probability, 3)) == ("rex", "dog", 0.95)
    assert (other.name, other.kind, round(other.probability, 3)) == (OTHER, "cat", 0.3)
    assert named_animals([], [answers("mila", 0.9)], ("mila",)) == ()
