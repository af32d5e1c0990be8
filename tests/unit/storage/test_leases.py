import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from picloud.errors import EmbeddedServerError
from picloud.storage.leases import LeaseFolder, exclusive, try_lock

HOLD = """
import sys
from pathlib import Path
from picloud.storage.leases import LeaseFolder
lease = LeaseFolder(Path(sys.argv[1])).take()
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_nobody_is_alive_in_a_new_folder(tmp_path: Path) -> None:
    assert not LeaseFolder(tmp_path / "leases").alive()


def test_a_lease_lives_until_it_is_dropped(tmp_path: Path) -> None:
    leases = LeaseFolder(tmp_path)
    first, second = leases.take(), leases.take()
    first.drop(unlink=True)
    first.drop(unlink=True)
    assert leases.alive()
    second.drop(unlink=True)
    assert not leases.alive()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lease(tmp_path: Path) -> None:
    leases = LeaseFolder(tmp_path)
    with holder(tmp_path) as other:
        assert leases.alive()
        other.send_signal(signal.SIGKILL)
    assert not leases.alive()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_does_not_hold_its_parents_lease(tmp_path: Path) -> None:
    leases = LeaseFolder(tmp_path)
    lease = leases.take()
    waiting, go = os.pipe()
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.write(tell, b"held" if lease.held else b"free")
        lease.drop(unlink=True)
        os.read(waiting, 1)
        os._exit(0)
    assert os.read(ready, 4) == b"free"
    assert leases.alive(), "the child gave its parent's lease away"
    lease.drop(unlink=True)
    assert not leases.alive(), "the child keeps its parent's lease"
    os.close(go)
    os.waitpid(child, 0)
    for descriptor in (waiting, ready, tell):
        os.close(descriptor)


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    mine = try_lock(tmp_path / "lock")
    assert mine is not None
    assert try_lock(tmp_path / "lock") is None
    mine.drop(unlink=False)
    again = try_lock(tmp_path / "lock")
    assert again is not None
    again.drop(unlink=True)


def test_waiting_for_a_lock_ends_with_a_sentence(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock", timeout_s=1),
        pytest.raises(EmbeddedServerError, match="try again"),
        exclusive(tmp_path / "lock", timeout_s=0.05),
    ):
        pass
