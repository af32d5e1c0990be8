"""`picloud token`."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from picloud.cli.session import json_option, open_session, print_json, print_table
from picloud.model.principal import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from picloud.model.app import App, AppId
    from picloud.model.token import AccessToken
    from picloud.platform import Platform

_app_option = click.option("--app", "app_name", help="The app the token opens.")
_instance_option = click.option("--instance", is_flag=True, help="A token of the whole instance instead.")


@click.group()
def token() -> None:
    """Create, list and revoke access tokens."""


@token.command()
@_app_option
@_instance_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it allows; give the option several times for several scopes.",
)
@click.option("--name", help="Name in lists and as author of releases; made up when not given.")
@click.option("--expires-days", type=click.IntRange(1, 3650), help="Days it is valid; without, until it is revoked.")
@json_option
def create(
    app_name: str | None,
    instance: bool,
    scopes: tuple[str, ...],
    name: str | None,
    expires_days: int | None,
    as_json: bool,
) -> None:
    """Create a token and print it, this once."""
    from picloud.admin.tokens import TokenAdministration

    _check_owner(app_name, instance)
    with open_session() as platform:
        made = TokenAdministration(platform.tokens).create(
            name or f"token-{secrets.token_hex(4)}",
            [Scope(scope) for scope in scopes],
            app=_app(platform, app_name),
            now=datetime.now(UTC),
            expires_days=expires_days,
        )
    if as_json:
        fields = {"name": made.stored.name, "app": app_name, "scopes": sorted(made.stored.scopes)}
        print_json({"token": made.token, **fields, "expires_at": made.stored.expires_at})
    else:
        click.echo(made.token)
        click.echo(f"Token {made.stored.name}. Keep it now: it is not shown again.", err=True)


@token.command("list")
@_app_option
@json_option
def list_tokens(app_name: str | None, as_json: bool) -> None:
    """List the tokens of an app, or without --app all there are."""
    with open_session() as platform:
        app = _app(platform, app_name)
        tokens = platform.tokens.list(app.id if app else None)
        names = {known.id: known.name for known in platform.apps.list()}
    if as_json:
        print_json([_token_json(found, names) for found in tokens])
    else:
        rows = [
            (
                found.name,
                _owner(found, names) or "(instance)",
                " ".join(sorted(found.scopes)),
                found.expires_at or "never",
            )
            for found in tokens
        ]
        print_table(("NAME", "APP", "SCOPES", "EXPIRES"), rows)


@token.command()
@click.argument("name")
@_app_option
@_instance_option
def revoke(name: str, app_name: str | None, instance: bool) -> None:
    """Revoke a token: it stops working at once."""
    from picloud.admin.tokens import TokenAdministration

    _check_owner(app_name, instance)
    with open_session() as platform:
        TokenAdministration(platform.tokens).revoke(name, app=_app(platform, app_name))
    click.echo(f"Revoked token {name}.")


def _token_json(found: AccessToken, names: Mapping[AppId, str]) -> dict[str, object]:
    return {
        "name": found.name,
        "app": _owner(found, names),
        "scopes": sorted(found.scopes),
        "created_at": found.created_at,
        "expires_at": found.expires_at,
    }


def _owner(found: AccessToken, names: Mapping[AppId, str]) -> str | None:
    return names.get(found.app_id) if found.app_id is not None else None


def _check_owner(app_name: str | None, instance: bool) -> None:
    if (app_name is None) != instance:
        raise click.UsageError("Give either --app NAME or --instance.")


def _app(platform: Platform, app_name: str | None) -> App | None:
    return platform.apps.get(app_name) if app_name is not None else None
