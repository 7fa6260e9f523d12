import hashlib

from ismila.demo.shots import COUNTS, draw_shot, plan_album


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
