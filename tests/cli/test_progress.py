from ismila.cli.progress import progress, transfer


def test_the_items_come_through_and_nothing_is_drawn_without_a_terminal(capsys):
    assert list(progress(iter("abc"), 3, "Reading")) == ["a", "b", "c"]
    with transfer("Fetching") as advance:
        advance(2, 0)
        advance(2, 1000)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip() == ""
