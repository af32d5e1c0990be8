"""`picloud call`."""

from __future__ import annotations

import click

from picloud.cli.session import open_session
from picloud.errors import ScriptError
from picloud.model.app import check_app_name

FIRST_ERROR_STATUS = 400


@click.command("call")
@click.argument("method")
@click.argument("target", metavar="PATH")
@click.option("--app", "app_name", required=True, help="The app to call.")
@click.option("--release", type=click.IntRange(1, 10**18), help="Call this release, not the one that is live.")
@click.option("--json", "json_body", metavar="BODY", help="JSON request body.")
def call(method: str, target: str, app_name: str, release: int | None, json_body: str | None) -> None:
    """Call a published endpoint, in this process, and print the answer's body.

    PATH may have a query: '/hello/ada?lang=en'. Exits 1 when the answer's status is 400 or more.
    """
    from picloud.engine.explain import explain

    headers = {"content-type": "application/json"} if json_body is not None else {}
    with open_session() as platform:
        platform.apps.get(check_app_name(app_name))
        interactive = platform.interactive(
            app_name, write=lambda text: click.echo(text, nl=False, err=True), release=release
        )
        try:
            response = interactive.call(method.upper(), target, body=(json_body or "").encode(), headers=headers)
        except ScriptError as error:
            sources = {script.name: script.source for script in platform.publisher.live(app_name).scripts}
            click.echo(f"picloud: {explain(error, sources.get, modules=sources).text()}", err=True)
            raise click.exceptions.Exit(1) from None
    click.echo(response.body, nl=bool(response.body) and not response.body.endswith(b"\n"))
    if response.status >= FIRST_ERROR_STATUS:
        click.echo(f"picloud: the endpoint answered with status {response.status}.", err=True)
        raise click.exceptions.Exit(1)
