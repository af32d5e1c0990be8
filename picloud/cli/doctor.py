"""`picloud doctor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import click

from picloud.auth.instance import read_instance_token
from picloud.cli.session import json_option, print_json, read_settings
from picloud.errors import MigrationError, PicloudError
from picloud.settings import Settings

KERNEL = "picloud"
PROBE_TIMEOUT_S = 5
ROW_SECURITY = "runs work under a role of their own, which sees the rows of one app"
NO_ROW_SECURITY = (
    "runs work as the database's user, who may not make roles: as a superuser 'CREATE ROLE picloud_runtime NOLOGIN; "
    "GRANT picloud_runtime TO ...' with that user's name, then as the user 'SELECT picloud_grant(oid::regclass) "
    "FROM pg_class WHERE relrowsecurity'"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    """False makes the command fail."""
    message: str


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check database, schema, kernel, data plane and executor, and say what to do about what is wrong."""
    settings = read_settings()
    findings = [finding for check in CHECKS for finding in check(settings)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok    ' if finding.ok else 'FAILED'}  {finding.check}: {finding.message}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def check_database(settings: Settings) -> list[Finding]:
    """Open the database and look whether its schema is current; migrates, as every start does."""
    from picloud.storage.data import has_row_security
    from picloud.storage.prepare import prepared

    kind = "embedded server" if settings.database_url is None else "external server"
    try:
        with prepared(settings) as conninfo:
            walled = has_row_security(conninfo)
            return [
                Finding("database", True, f"the {kind} answers"),
                Finding("migrations", True, "up to date"),
                Finding("row security", walled, ROW_SECURITY if walled else NO_ROW_SECURITY),
            ]
    except MigrationError as error:
        return [Finding("database", True, f"the {kind} answers"), Finding("migrations", False, error.message)]
    except PicloudError as error:
        return [Finding("database", False, error.message)]


def check_kernel(_settings: Settings) -> list[Finding]:
    """Look whether Jupyter finds the kernel."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        found = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        return [Finding("kernelspec", False, "Jupyter does not find the PiCloud kernel: install picloud again.")]
    return [Finding("kernelspec", True, str(found.resource_dir))]


def check_data_plane(settings: Settings) -> list[Finding]:
    """Ask a running data plane for its health; none running is not an error."""
    where = f"{settings.host} port {settings.port}"
    connection = HTTPConnection(settings.host, settings.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException):
        return [Finding("data plane", True, f"not running on {where}; 'picloud serve' starts it")]
    finally:
        connection.close()
    healthy = status == 200
    return [Finding("data plane", healthy, f"{'healthy' if healthy else f'answers {status}'} on {where}")]


def check_executor(settings: Settings) -> list[Finding]:
    """Ask the node that runs endpoints for something only the shared instance token opens."""
    if settings.executor_url is None:
        return []
    token = read_instance_token(settings.home)
    url = str(settings.executor_url).rstrip("/") + "/metrics"
    request = Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310  an http(s) URL by its type
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=PROBE_TIMEOUT_S):  # no proxy, as the data plane
            return [Finding("executor", True, "the node that runs endpoints answers and knows this instance token")]
    except HTTPError as error:
        unknown = error.code in (401, 403)
        said = "does not know this instance token: copy the file" if unknown else f"answers {error.code}"
        return [Finding("executor", False, f"the node at PICLOUD_EXECUTOR_URL {said}")]
    except (OSError, HTTPException):
        return [Finding("executor", False, "nothing answers at PICLOUD_EXECUTOR_URL: start 'picloud serve' there")]


CHECKS: tuple[Callable[[Settings], list[Finding]], ...] = (
    check_database,
    check_kernel,
    check_data_plane,
    check_executor,
)
