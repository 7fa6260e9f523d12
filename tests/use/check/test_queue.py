"""In which order a person is asked about what a scan found."""

from ismila.use.check.queue import Candidate, questions_of

THRESHOLD = 0.9


def of(*probabilities):
    return [Candidate(f"{at}.jpg", p) for at, p in enumerate(probabilities)]


def asked(candidates):
    questions = questions_of(candidates, THRESHOLD)
    return [(question.sort, question.photo.probability) for question in questions]


def test_the_surest_the_doubtful_and_the_likeliest_confusions_take_turns():
    assert asked(of(0.1, 0.999, 0.91, 0.97, 0.7, 0.98, 0.96, 0.895)) == [
        ("found", 0.999),
        ("found", 0.98),
        ("found", 0.97),
        ("doubtful", 0.895),
        ("confusion", 0.7),
        ("found", 0.96),
        ("doubtful", 0.91),
        ("confusion", 0.1),
    ]


def test_where_a_sort_has_no_more_the_others_go_on():
    assert asked(of(0.1, 0.2, 0.99)) == [("found", 0.99), ("confusion", 0.2), ("confusion", 0.1)]
    assert asked([]) == []


def test_certain_photos_are_no_trouble():
    assert len(asked(of(*[1.0, 0.0] * 40))) == 80
