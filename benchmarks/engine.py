"""What the engine costs: five programs in bare lupa and as endpoints, in turns; and what an empty run costs.

Ratios of one run. The state of both is made anew for each repeat, so neither profits from the other's memory.
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from uuid import uuid4

import lupa.lua54

from picloud.engine.executor import Executor
from picloud.model.app import App, AppId
from picloud.model.http import Request
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

REPEATS = 7
RUNS = 20_000
APP = App(AppId(uuid4()), "bench", 1, datetime.now(UTC))
PROGRAMS = {
    "fib": "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(30)",
    "nbody": """
        local bodies = {}
        for i = 1, 5 do bodies[i] = { x = i * 1.5, y = i / 2, z = -i, vx = i / 9, vy = 0.2, vz = 0.3, m = 1 / i } end
        for _ = 1, 30000 do
          for i = 1, 5 do
            local a = bodies[i]
            for j = i + 1, 5 do
              local b = bodies[j]
              local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
              local d = dx * dx + dy * dy + dz * dz
              local mag = 0.001 / (d * math.sqrt(d))
              a.vx, a.vy, a.vz = a.vx - dx * b.m * mag, a.vy - dy * b.m * mag, a.vz - dz * b.m * mag
              b.vx, b.vy, b.vz = b.vx + dx * a.m * mag, b.vy + dy * a.m * mag, b.vz + dz * a.m * mag
            end
          end
          for i = 1, 5 do
            local a = bodies[i]
            a.x, a.y, a.z = a.x + 0.001 * a.vx, a.y + 0.001 * a.vy, a.z + 0.001 * a.vz
          end
        end
        return bodies[1].x
    """,
    "spectral norm": """
        local n = 120
        local function a(i, j) local ij = i + j - 1 return 1.0 / (ij * (ij - 1) * 0.5 + i) end
        local u, v, w = {}, {}, {}
        for i = 1, n do u[i] = 1 end
        local function av(x, y) for i = 1, n do local s = 0 for j = 1, n do s = s + x[j] * a(i, j) end y[i] = s end end
        local function atv(x, y) for i = 1, n do local s = 0 for j = 1, n do s = s + x[j] * a(j, i) end y[i] = s end end
        for _ = 1, 10 do av(u, w) atv(w, v) av(v, w) atv(w, u) end
        return u[1]
    """,
    "strings": """
        local parts = {}
        for i = 1, 100000 do parts[#parts + 1] = ("%d:%s"):format(i, ("x"):rep(i % 10)) end
        local text = table.concat(parts, ",")
        local count = 0
        for word in text:gmatch("%d+:x+") do count = count + #word:upper() end
        return count
    """,
    "sorting": """
        local t, x = {}, 42
        for i = 1, 100000 do x = (x * 1103515245 + 12345) % 2147483648 t[i] = x end
        table.sort(t)
        table.sort(t, function(a, b) return a > b end)
        return t[1]
    """,
}


def main() -> None:
    """Print a ratio for each program, their median, and the overhead of an empty run."""
    ratios = []
    for name, source in PROGRAMS.items():
        times: dict[str, list[float]] = {"bare": [], "engine": []}
        for _ in range(REPEATS):
            times["bare"].append(bare(source))
            times["engine"].append(engine(source))
        base, ours = statistics.median(times["bare"]), statistics.median(times["engine"])
        ratios.append(ours / base)
        print(f"{name}: bare {base * 1000:.1f} ms, engine {ours * 1000:.1f} ms, ratio {ours / base:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f}")
    overhead()


def bare(source: str) -> float:
    """Return seconds of the program in lupa alone, compiled before."""
    function = lupa.lua54.LuaRuntime().eval(f"function() {source} end")
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def engine(source: str) -> float:
    """Return seconds of the program as an endpoint, its state made and its script compiled before."""
    executor = Executor(limits_of(Settings(run_timeout_s=600, run_cpu_s=600, run_memory_mb=512)))
    script = LinkedScript(
        Script("program", ScriptKind.ENDPOINT, f"if request.method == 'HEAD' then return end {source}"), ()
    )
    snapshot = Snapshot(APP, {}, ())
    executor.endpoint(APP, script, snapshot, Request("HEAD", "/", "id"), {})
    started = time.perf_counter()
    executor.endpoint(APP, script, snapshot, Request("GET", "/", "id"), {})
    return time.perf_counter() - started


def overhead() -> None:
    """Print what a run costs that requires one module and answers nothing, in one thread."""
    executor = Executor(limits_of(Settings()))
    module = LinkedScript(Script("greet", ScriptKind.MODULE, "return { hello = function() end }"), ())
    script = LinkedScript(Script("empty", ScriptKind.ENDPOINT, "require('greet')"), ("greet",))
    snapshot, request = Snapshot(APP, {"greet": module}, ()), Request("GET", "/", "id", headers={"host": "x"})
    walls, inside = [], []
    for _ in range(RUNS):
        started = time.perf_counter()
        executor.endpoint(APP, script, snapshot, request, {}, observe=lambda report: inside.append(report.wall_ms))
        walls.append(time.perf_counter() - started)
    walls.sort()
    lua = statistics.median(inside) * 1000
    half, most = walls[RUNS // 2] * 1e6, walls[RUNS * 9 // 10] * 1e6
    print(f"empty run with one module: median {half:.1f} us, p90 {most:.1f} us, of it under watch {lua:.1f} us")


if __name__ == "__main__":
    main()
