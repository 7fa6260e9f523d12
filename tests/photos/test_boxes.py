import pytest

from ismila.photos.boxes import area, box_text, iou, plain_box, plain_sides, read_box


def test_what_is_written_is_read_back():
    for box in ((0.0, 0.25, 0.5, 1.0), (0.1235, 0.0, 0.9, 0.5), None):
        assert read_box(box_text(box)) == box
    assert box_text((0.123456, 0, 1, 0.5)) == "0.1235 0 1 0.5"
    assert plain_sides((0.123456, 0, 1, 0.5)) == [0.1235, 0, 1, 0.5]
    assert plain_box("  ") == ""


@pytest.mark.parametrize("text", ["", "1 2 3 4", "nan 0 1 1", "0 0 0.00001 1", "0 0 1 1 1", "x"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises(ValueError):
        read_box(text)


def test_what_boxes_share():
    assert iou((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert iou((0, 0, 0.5, 1), (0.5, 0, 1, 1)) == iou((0, 0, 0.1, 0.1), (0.5, 0.5, 1, 1)) == 0
    assert area((0.25, 0, 0.75, 0.5)) == 0.25
