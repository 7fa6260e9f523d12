import pytest

from ismila.photos import UserError
from ismila.photos.buckets import asking


def test_no_rights_are_said_with_what_would_give_them():
    said = r"s3://b/a: no rights \(Access Denied\); give AWS_ACCESS"
    with pytest.raises(UserError, match=said), asking("s3://b/a"):
        raise PermissionError("Access Denied")  # what s3fs makes of S3's 403
