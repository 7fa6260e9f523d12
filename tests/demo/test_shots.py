import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ismila.demo.breeds import PARTS
from ismila.demo.shots import COUNTS, Drawing, Retake, Shot, draw_shot, plan_album


def test_the_whole_album_has_at_least_500_drawings() -> None:
    shots = list(plan_album("mila", 0, 1.0))
    assert len(shots) == sum(COUNTS.values()) >= 500
    assert len({shot.path for shot in shots}) == len(shots)
    first, last = min(shot.taken_at for shot in shots), max(shot.taken_at for shot in shots)
    assert 650 < (last - first).days < 731


def test_another_name_of_the_subject_changes_no_scene() -> None:
    rex = list(plan_album("rex", 0, 0.05))
    mila = list(plan_album("mila", 0, 0.05))
    assert [shot.scene for shot in rex] == [shot.scene for shot in mila]
    assert rex[0].path == "rex/rex_001.jpg"


def test_the_shots_of_a_burst_differ_a_little() -> None:
    burst = [shot for shot in plan_album("mila", 0, 0.05) if shot.scene == "subject/subject_003"]
    assert [shot.turn for shot in burst] == [0, 1, 2]
    files = {hashlib.sha256(draw_shot(shot, 0).jpeg).digest() for shot in burst}
    assert len(files) == 3


def shot_of(name: str) -> Shot:
    [shot] = [shot for shot in plan_album("mila", 0, 1.0) if shot.path == f"mila/{name}.jpg"]
    return shot


def pixels(drawing: Drawing) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(drawing.jpeg)), int)


def dilated(mask: Image.Image, by_px: int) -> np.ndarray:
    return np.asarray(mask.convert("L").filter(ImageFilter.MaxFilter(2 * by_px + 1))) > 0


@pytest.mark.parametrize("part", PARTS)
def test_a_drawing_without_a_part_differs_at_the_part_only(part: str) -> None:
    shot = shot_of("mila_012" if part in ("ears", "patch", "muzzle") else "mila_003b")
    whole = draw_shot(shot, 0)
    without = draw_shot(shot, 0, Retake(without=part))
    changed = np.abs(pixels(whole) - pixels(without)).max(2)
    outline = np.asarray(without.outline)
    assert 5 < outline.sum() < np.asarray(whole.outline).sum() / 2
    assert (outline <= np.asarray(whole.outline)).all()
    assert (changed[outline] > 20).mean() > 0.8
    assert not changed[
        ~dilated(without.outline, 24)
    ].any()  # as far as blur and JPEG's blocks reach


def test_ears_are_above_the_chest() -> None:
    shot = shot_of("mila_012")  # she sits and looks at us
    middle = {
        part: np.nonzero(np.asarray(draw_shot(shot, 0, Retake(without=part)).outline))[0].mean()
        for part in ("ears", "chest")
    }
    assert middle["ears"] < middle["chest"] - 10


def test_what_is_out_of_sight_has_no_outline() -> None:
    without = draw_shot(shot_of("mila_007"), 0, Retake(without="tail"))  # her head
    assert without.outline is not None and without.outline.getbbox() is None


def test_far_away_she_keeps_her_pixels_in_a_larger_picture() -> None:
    near, far = (draw_shot(shot_of("mila_017"), 0, Retake(away=away)) for away in (1, 2))
    assert far.outline.size == (2 * near.outline.width, 2 * near.outline.height)
    heights = [box[3] - box[1] for box in (near.outline.getbbox(), far.outline.getbbox())]
    assert heights[1] == pytest.approx(heights[0], abs=2)


def test_who_shows_her_head_only_is_whole_when_far_away() -> None:
    near = draw_shot(shot_of("mila_007"), 0)
    far = draw_shot(shot_of("mila_007"), 0, Retake(away=2))
    assert np.asarray(far.outline).mean() < np.asarray(near.outline).mean() / 8
    assert far.outline.getbbox()[3] < far.outline.height  # she ends above the picture's edge
