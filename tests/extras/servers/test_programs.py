import pytest

from ismila.extras.servers.programs import clear_text_warning, open_server
from ismila.photos import UserError


def test_each_kind_has_its_own_token(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PHOTOPRISM_TOKEN", raising=False)
    monkeypatch.setenv("IMMICH_API_KEY", "key")
    assert open_server("immich", "nas:2283/api").url == "http://nas:2283"
    with pytest.raises(UserError, match="no PHOTOPRISM_TOKEN"):
        open_server("photoprism", "nas:2342")
    assert "PHOTOPRISM_TOKEN" in clear_text_warning("photoprism", "http://photos.example.org")
