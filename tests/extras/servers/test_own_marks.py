from tagged_library import compared, tagged_scan

from ismila.extras.servers.marks import SET, Carried, MarksRecord, record_beside
from ismila.extras.servers.server import Mark


def test_a_tag_that_a_scan_set_on_a_photo_server_is_not_the_librarys_word(tmp_path):
    scan = tagged_scan(tmp_path)
    with MarksRecord(record_beside(scan.library.state)) as record:
        record.keep("http://server", Mark("tag", "Mila"), {"id": Carried("both.jpg", SET)})
    agreement = compared(scan)
    assert (agreement.both, agreement.ours) == (0, 1)
