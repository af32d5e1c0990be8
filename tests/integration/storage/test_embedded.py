"""The embedded server with real processes around it."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest

from picloud.errors import EmbeddedServerError
from picloud.platform import open_platform
from picloud.settings import Settings
from picloud.storage import embedded
from picloud.storage.embedded import Lease, acquire
from picloud.storage.server import EmbeddedServer
from picloud.testing.processes import postmaster_pid, scratch_home, wait_until

USER = """
import sys
from pathlib import Path
from picloud.storage.embedded import acquire
lease = acquire(Path(sys.argv[1]))
print(lease.conninfo(), flush=True)
sys.stdin.read()
"""

MAKER = """
import sys
from picloud.storage import cluster
cluster.SYSTEM_USER = sys.argv[1]
sys.stdin.readline()
print(cluster._system_user().pw_uid)
"""


@contextmanager
def user(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lease until its input ends; it leaves by the ordinary way out."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("host=")
        yield process


def answer(conninfo: str) -> object:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT current_database()").fetchone()


def kill_server(home: Path) -> int:
    pid = postmaster_pid(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def guard_pids(home: Path) -> list[int]:
    arguments = ["-m", "picloud.storage.guard", str(home)]
    running = psutil.process_iter(["cmdline"])
    return [process.pid for process in running if (process.info["cmdline"] or [])[-3:] == arguments]


@pytest.fixture
def home() -> Iterator[Path]:
    with scratch_home() as home:
        yield home


def test_the_server_runs_while_a_lease_is_held(home: Path) -> None:
    with acquire(home) as lease:
        assert answer(lease.conninfo()) == ("picloud",)
        assert answer(lease.conninfo("postgres")) == ("postgres",)
    assert postmaster_pid(home) is None


def test_data_outlives_the_server(home: Path) -> None:
    with acquire(home) as lease, psycopg.connect(lease.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with acquire(home) as lease, psycopg.connect(lease.conninfo()) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_leases_of_one_process_count_separately(home: Path) -> None:
    first, second = acquire(home), acquire(home)
    first.release()
    first.release()
    assert answer(second.conninfo()) == ("picloud",)
    second.release()
    assert postmaster_pid(home) is None


def test_the_last_process_to_leave_stops_the_server(home: Path) -> None:
    with user(home):
        pid = postmaster_pid(home)
        with user(home):
            assert postmaster_pid(home) == pid
        assert postmaster_pid(home) == pid
    assert postmaster_pid(home) is None


def test_processes_that_start_together_share_one_server(home: Path) -> None:
    with ExitStack() as users:
        starting = [
            subprocess.Popen(
                [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        for process in starting:
            users.enter_context(process)
            assert process.stdout is not None
            assert process.stdout.readline().startswith("host=")
        assert postmaster_pid(home) is not None
    assert postmaster_pid(home) is None


def test_killing_the_process_that_started_it_leaves_the_server_to_the_others(home: Path) -> None:
    with user(home) as starter, acquire(home) as lease:
        pid = postmaster_pid(home)
        starter.kill()
        starter.wait()
        assert answer(lease.conninfo()) == ("picloud",)
        assert postmaster_pid(home) == pid
    assert postmaster_pid(home) is None, "the dead process's lease kept the server running"


def test_a_child_of_a_killed_server_that_does_not_notice_holds_nobody_up(home: Path) -> None:
    with acquire(home) as lease, psycopg.connect(lease.conninfo()) as connection:
        hanging = psutil.Process(connection.info.backend_pid)
        hanging.suspend()
        kill_server(home)
        with acquire(home) as other:
            assert answer(other.conninfo()) == ("picloud",)
        assert not hanging.is_running() or hanging.status() == psutil.STATUS_ZOMBIE


def test_an_open_platform_brings_back_a_server_that_was_killed_together_with_its_guard(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "WATCH_EVERY_S", 0.2)
    with open_platform(Settings(home=home)) as platform:
        (guard,) = guard_pids(home)
        os.kill(guard, signal.SIGKILL)
        server = kill_server(home)
        wait_until(lambda: postmaster_pid(home) not in {None, server} and EmbeddedServer(home).cluster.socket_folder())
        assert platform.apps.list() == []
        wait_until(lambda: guard_pids(home) not in ([], [guard]))


def test_the_server_stops_when_the_only_process_is_killed(home: Path) -> None:
    with user(home) as only:
        only.kill()
        only.wait()
        wait_until(lambda: postmaster_pid(home) is None)
    wait_until(lambda: not guard_pids(home))


def test_the_guard_ends_after_the_last_process_left(home: Path) -> None:
    acquire(home).release()
    wait_until(lambda: not guard_pids(home))


def test_there_is_one_guard_and_a_killed_one_is_replaced_by_the_next_acquire(home: Path) -> None:
    with acquire(home):
        (guard,) = guard_pids(home)
        with acquire(home):
            assert guard_pids(home) == [guard]
        os.kill(guard, signal.SIGKILL)
        wait_until(lambda: not guard_pids(home))
        with user(home) as only:
            assert len(guard_pids(home)) == 1
            only.kill()
    wait_until(lambda: postmaster_pid(home) is None)


def test_a_killed_server_is_started_again_by_the_next_acquire(home: Path) -> None:
    with acquire(home) as lease, psycopg.connect(lease.conninfo()) as connection:
        connection.execute("CREATE TABLE kept ()")
        connection.commit()
        killed = kill_server(home)
        with acquire(home) as again:
            assert postmaster_pid(home) not in (None, killed)
            with psycopg.connect(again.conninfo()) as connection:
                connection.execute("SELECT FROM kept")


def test_a_killed_server_is_started_again_for_those_who_need_it(home: Path) -> None:
    with acquire(home) as lease:
        killed = kill_server(home)
        wait_until(lambda: postmaster_pid(home) not in (None, killed))
        wait_until(lambda: EmbeddedServer(home).cluster.socket_folder() is not None)
        assert answer(lease.conninfo()) == ("picloud",)


def test_a_stale_pid_file_of_another_process_is_not_believed(home: Path) -> None:
    acquire(home).release()
    data = home / "postgres"
    fields = (os.getpid(), data, 1700000000, 5432, data, "", "1 1", "ready")
    (data / "postmaster.pid").write_text("".join(f"{field}\n" for field in fields))
    assert postmaster_pid(home) is None
    with acquire(home) as lease:
        assert answer(lease.conninfo()) == ("picloud",)


def test_a_forked_child_leaves_its_parents_lease_alone(home: Path) -> None:
    with acquire(home) as lease:
        child = os.fork()
        if child == 0:
            lease.release()
            os._exit(0)
        os.waitpid(child, 0)
        assert answer(lease.conninfo()) == ("picloud",)


@pytest.mark.parametrize("name", ["long-" + "x" * 100, "with 'quotes' \"and\" $HOME `id` spaces", "ünïcode"])
def test_any_home_will_do(home: Path, name: str) -> None:
    with acquire(home / name) as lease:
        assert answer(lease.conninfo()) == ("picloud",)
    assert postmaster_pid(home / name) is None


def test_only_the_owner_reaches_data_and_socket(home: Path) -> None:
    long_home = home / ("x" * 100)
    with acquire(long_home) as lease:
        socket_folder = Path(psycopg.conninfo.conninfo_to_dict(lease.conninfo())["host"])  # type: ignore[arg-type]
        assert stat.S_IMODE((long_home / "postgres").stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((socket_folder / ".s.PGSQL.5432").stat().st_mode) == 0o700
        assert stat.S_IMODE(long_home.stat().st_mode) & ~0o001 == 0o700
    assert not socket_folder.exists()


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match="PICLOUD_HOME must be a folder"):
        acquire(tmp_path / "file" / "home")


def test_a_data_folder_of_another_version_is_left_alone(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres/PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedServerError, match="PostgreSQL 12"):
        acquire(home)
    assert not EmbeddedServer(home).leases.alive()


def test_somebody_elses_files_are_not_overwritten(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres/diary.txt").write_text("dear diary")
    with pytest.raises(EmbeddedServerError, match="not a database"):
        acquire(home)
    assert (home / "postgres/diary.txt").read_text() == "dear diary"


def test_an_initdb_that_was_killed_is_done_again(home: Path) -> None:
    (home / "postgres.new").mkdir()
    (home / "postgres.new/PG_VERSION").write_text("18\n")
    with acquire(home) as lease:
        assert answer(lease.conninfo()) == ("picloud",)


def test_a_server_that_cannot_start_is_a_sentence_and_leaves_no_lease(home: Path) -> None:
    acquire(home).release()
    with (home / "postgres/postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r"server\.log"):
        acquire(home)
    assert not EmbeddedServer(home).leases.alive()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_has_a_server_of_their_own() -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory(prefix="picloud-test-") as folder:
        os.chown(folder, nobody, nobody)
        command = [sys.executable, "-c", USER, f"{folder}/home"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                user=nobody,
                group=nobody,
                extra_groups=[],
                check=False,
            )
        except PermissionError:
            pytest.skip("this interpreter is in a folder that is closed to other users")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("host=")
        assert stat.S_IMODE(Path(folder, "home").stat().st_mode) == 0o700
        assert postmaster_pid(Path(folder, "home")) is None


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("useradd"), reason="only root can make a system user")
def test_processes_that_need_the_system_user_at_once_get_the_same_one() -> None:
    """Else the later maker gives the name another number, and the earlier one's server has a user no more."""
    name = f"picloud{uuid4().hex[:12]}"
    command = [sys.executable, "-c", MAKER, name]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        makers = [stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)) for _ in range(4)]
        stack.callback(subprocess.run, ["userdel", name], check=False, capture_output=True)
        for maker in makers:
            assert maker.stdin is not None
            maker.stdin.write("\n")
            maker.stdin.close()
        found = {maker.stdout.read().strip() for maker in makers if maker.stdout}
    assert len(found) == 1
    assert found != {""}


def test_the_lease_is_a_context_manager(home: Path) -> None:
    with acquire(home) as lease:
        assert isinstance(lease, Lease)
    with lease:
        pass
