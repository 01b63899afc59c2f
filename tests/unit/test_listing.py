"""The list of certificates that are files."""

from __future__ import annotations

import time
from pathlib import Path

from hereabouts.certificates import listing, local
from hereabouts.config import load
from tests.authority import DAY, Authority


def test_a_certificate_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    config, name = load({"HEREABOUTS_DATA_DIR": str(tmp_path)}, tmp_path), "alice.localhost"
    file = local.certificate_file(config, name)
    file.parent.mkdir(parents=True)
    for days in (30, 60):
        chain, key = Authority().sign(name, end=days * DAY)
        new = file.with_suffix(".new")
        new.write_text(key + chain)
        new.rename(file)
        for _ in range(2):
            (found,) = listing.of_files(config, time.time())
            assert found.name == name
            assert round(((found.not_after or 0) - time.time()) / 86_400) == days
    file.unlink()
    assert listing.of_files(config, time.time()) == []
