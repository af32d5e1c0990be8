"""Load on one endpoint of the data plane that requires one module, with wrk (Debian's package), against `/healthz`.

`/healthz` is the same server and one database read without a script, so the ratio tells what running Lua costs.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01-welcome.ipynb"
SECONDS = 8
CONNECTIONS = 16


def main() -> None:
    """Print requests per second and latency of both paths, and the time to the first answer."""
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"PICLOUD_HOME": home}
        run = [sys.executable, "-m", "picloud"]
        subprocess.run([*run, "publish", str(NOTEBOOK), "--app", "welcome"], env=environment, check=True)
        port = _free_port()
        started = time.perf_counter()
        with subprocess.Popen([*run, "serve", "--port", str(port)], env=environment) as server:
            try:
                _wait(f"http://127.0.0.1:{port}/run/welcome/hello/ada")
                print(f"first answer after {time.perf_counter() - started:.2f} s")
                for path in ("/healthz", "/run/welcome/hello/ada"):
                    _load(wrk, f"http://127.0.0.1:{port}{path}")
            finally:
                server.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url) as response:
                response.read()
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    sys.exit("the data plane did not answer")


def _load(wrk: str, url: str) -> None:
    output = subprocess.run(
        [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", url], capture_output=True, text=True, check=True
    ).stdout
    rate = re.search(r"Requests/sec: *([\d.]+)", output)
    half, tail = re.search(r"50% +(\S+)", output), re.search(r"99% +(\S+)", output)
    print(f"{url}: {rate and rate[1]} requests/s, p50 {half and half[1]}, p99 {tail and tail[1]}")
    if "Non-2xx" in output:
        sys.exit(f"errors under load:\n{output}")


if __name__ == "__main__":
    main()
