from ismila.use.serve.answers import Answer, Judged, NotJudged


def test_what_was_not_asked_for_is_left_out():
    judged = Judged(name="a", probability=0.5, verdict="unsure", is_subject=True)
    answer = Answer(
        run="r", subject="mila", threshold=0.5, photos=[judged, NotJudged(name="b", error="e")]
    )
    assert answer.model_dump(exclude_none=True)["photos"] == [
        {"name": "a", "probability": 0.5, "verdict": "unsure", "is_subject": True},
        {"name": "b", "error": "e"},
    ]
    assert Answer.model_validate_json(answer.model_dump_json()) == answer
