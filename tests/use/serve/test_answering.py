import pytest
from stub import StubModels, bright_and_dark

from ismila.photos import UserError
from ismila.use.serve.answering import AllModels


def test_requests_that_ask_the_same_models_share_what_they_ask():
    models = AllModels(bright_and_dark())
    assert models.get("") is models.get("champion") is models.default
    alone = models.get("rex")
    assert models.get("fedcba9876543210") is alone
    assert list(alone.models) == ["rex"]
    with pytest.raises(KeyError):
        models.get("nothing")


def test_an_alias_that_one_pet_lacks_is_answered_by_the_others():
    mila, rex = bright_and_dark()
    mila.get = {"latest": mila.default}.__getitem__
    assert list(AllModels([mila, rex]).get("latest").models) == ["mila"]


def test_one_pet_is_called_what_it_was_called_alone():
    models = AllModels([StubModels()])
    assert models.names() == ["champion", "0123456789abcdef"]
    with pytest.raises(KeyError):
        models.get("mila")


def test_a_label_goes_to_the_album_of_the_pet_that_it_names():
    mila, rex = bright_and_dark()
    models = AllModels([mila, rex])
    for label in ("rex", "not_rex", "drop", "mila", "not_mila"):
        models.correct(b"", label)
    assert [label for _, label in rex.corrected] == ["rex", "not_rex"]
    assert [label for _, label in mila.corrected] == ["drop", "mila", "not_mila"]
    with pytest.raises(UserError, match="label=tom: expected mila, rex, not_mila, not_rex"):
        models.correct(b"", "tom")
