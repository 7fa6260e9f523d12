"""Somebody who may not do everything: permissions mean nothing to the superuser, who runs tests in containers."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def somebody():
    """Yield a folder of one's own; what is opened meanwhile is opened as an ordinary user."""
    folder = Path(tempfile.mkdtemp(prefix="somebody-"))
    superuser = os.geteuid() == 0
    if superuser:
        os.chown(folder, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
    here = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir("/")
        if superuser:
            os.setresuid(0, 0, 0)
        os.chdir(here)
        # From the top: what lies in a closed folder is seen only once that is open.
        folder.chmod(0o700)
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(folder)
