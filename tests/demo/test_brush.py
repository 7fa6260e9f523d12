import numpy as np

from ismila.demo.brush import Brush, Figure, curve, mix, oval


def figure() -> Figure:
    return Figure((80, 60), (0.6, -0.8), 40, np.random.default_rng(0))


def test_colours_are_mixed_by_share() -> None:
    assert mix((0, 100, 200), (100, 0, 200), 0.25) == (25, 75, 200)


def test_a_curve_goes_through_its_points() -> None:
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    assert np.allclose(curve(corners)[::8], corners)
    assert np.allclose(oval(2, 3, 1, 0.5).mean(0), (2, 3))


def test_a_brush_for_a_part_has_coordinates_of_its_own() -> None:
    brush = Brush(figure(), np.diag([10.0, 10.0]), np.array([40.0, 30.0]))
    assert np.allclose(brush.sub(1, 1, 2, 90).on_sheet([(1, 0)]), [(50, 60)])
    assert np.allclose(brush.sub(1, 0, flip=True).on_sheet([(1, 0)]), [(40, 30)])


def test_a_mark_is_seen_only_inside_its_outline_and_baking_takes_a_clean_sheet() -> None:
    drawn = figure()
    brush = Brush(drawn, np.eye(2), np.zeros(2))
    square = ((20, 20), (40, 20), (40, 40), (20, 40))
    brush.fill([square], (200, 0, 0), [(((30, 0), (80, 0), (80, 60), (30, 60)), (0, 0, 200))])
    assert drawn.sheet.getpixel((25, 30)) == (200, 0, 0, 255)
    assert drawn.sheet.getpixel((35, 30)) == (0, 0, 200, 255)
    assert drawn.sheet.getpixel((60, 30))[3] == 0
    drawn.bake()
    assert drawn.sheet.getbbox() is None
    assert drawn.whole.getchannel("A").getbbox() == (20, 20, 41, 41)
