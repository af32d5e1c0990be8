"""All settings, read once from the environment (`PICLOUD_*`) at the edge and handed down as a frozen value."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """PiCloud's settings; every field is the environment variable `PICLOUD_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PICLOUD_", frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("picloud"),
        description="Folder of everything PiCloud keeps: the embedded database, the instance token, logs.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="libpq URL of an external PostgreSQL (14 or newer). Unset: the embedded server under PICLOUD_HOME.",
    )
    database_pool_size: int = Field(
        default=8,
        ge=1,
        description="Most connections each process keeps open; runs have as many again, but at least one per thread.",
    )
    database_timeout_s: float = Field(
        default=5.0, gt=0, description="Seconds to wait for a connection before answering 'database unavailable'."
    )
    host: str = Field(default="127.0.0.1", description="Address the data plane listens on.")
    port: int = Field(default=8787, ge=0, le=65535, description="Port of the data plane; 0 picks a free one.")
    workers: int = Field(default=1, ge=1, description="Worker processes of the data plane.")
    threads: int = Field(default=8, ge=1, description="Threads that run scripts, per worker process.")
    worker_threads: int = Field(default=8, ge=1, description="Threads of a worker process that run triggers.")
    dead_letters_open_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which a dead letter nobody has decided over is deleted. Unset: they are kept.",
    )
    dead_letters_decided_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="Days a dead letter is kept after it was redriven or discarded.",
    )
    executor_url: HttpUrl | None = Field(
        default=None,
        description="Root URL of another node's data plane that runs the endpoints; it has the same database, instance "
        "token and version. Unset: they run here.",
    )
    run_timeout_s: float = Field(default=10.0, gt=0, description="Wall-clock seconds a run may take.")
    run_cpu_s: float = Field(
        default=5.0, gt=0, description="Seconds of CPU time the Lua code of a run may use, calls of the SDK left out."
    )
    run_calls_max: int = Field(
        default=10_000, ge=1, description="Calls out of Lua a run may make: the SDK's, `require`'s and lines logged."
    )
    run_log_lines_max: int = Field(
        default=1000, ge=1, description="Lines of `print` and `log` kept of a run; more are left out."
    )
    run_log_kb: int = Field(default=256, ge=1, description="KiB of those lines.")
    response_max_mb: int = Field(default=16, ge=1, description="MiB of body and headers an endpoint may answer with.")
    run_memory_mb: int = Field(default=64, ge=1, description="MiB of Lua memory a run may use.")
    run_grace_s: float = Field(
        default=5.0,
        gt=0,
        description="Seconds past its limits a run may take to end before its process is replaced; "
        "a process that stops waits for as long.",
    )
    runs_kept: int = Field(
        default=10_000, ge=0, description="Runs kept in the history, of each app, and of each way to end."
    )
    runs_kept_days: int = Field(
        default=7, ge=0, description="Days runs that ended well are kept in the history; an app may have its own."
    )
    failed_runs_kept_days: int = Field(default=90, ge=0, description="Days other runs are kept in the history.")
    gate_timeout_s: float = Field(
        default=120.0, gt=0, description="Seconds all tests of a publish may take together; what is left then fails it."
    )
    module_import_depth_max: int = Field(default=8, ge=1, description="Levels of modules that may require each other.")
    script_cache_size: int = Field(default=256, ge=1, description="App snapshots kept per process.")
    module_cache_size: int = Field(default=512, ge=1, description="Compiled scripts kept per Lua state.")
    body_max_mb: int = Field(default=16, ge=1, description="MiB of request body an endpoint accepts.")
