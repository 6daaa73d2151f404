"""Runs the benchmarks one after the other and writes their tables; see run.sh."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from tfagents_system.host.quiet import quiet_imports

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER.parent.parent / "logs" / "benchmark"
ENVIRONMENTS = ("HalfCheetahBulletEnv-v0", "Ant-v5", "MinitaurBulletEnv-v0")
ONE_PROCESS_ENVIRONMENTS = ("Ant-v5",)
WORKER_COUNTS = (1, 2, 4, 8, 16, 32)
SLEEP_SECS = 0.02


def run(name: str, *args: str, cpus: Sequence[int] = (), python: str = "") -> Any:
    """Runs a script of this folder.

    Args:
      name: The script.
      *args: Its arguments.
      cpus: Ids of the CPUs to pin it to; empty: all.
      python: The interpreter; empty: this one.

    Returns:
      The JSON of the last line that it printed.
    """
    pinned = ["taskset", "-c", ",".join(map(str, cpus))] if cpus else []
    command = [*pinned, python or sys.executable, str(FOLDER / name), *args]
    print("+", *command[len(pinned) + 1 :], file=sys.stderr, flush=True)
    environment = dict(os.environ)
    if not python:
        num_threads = 1 if name == "worker.py" else len(cpus) or os.cpu_count()
        environment["OMP_NUM_THREADS"] = str(num_threads)
    # TensorFlow leaves files there when it is not shut down in its own way.
    with tempfile.TemporaryDirectory(prefix="sac_benchmark_") as folder:
        environment["TMPDIR"] = folder
        output = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
    if output.returncode:
        sys.exit(f"{name} failed:\n{output.stdout}\n{output.stderr}")
    result = json.loads(output.stdout.strip().splitlines()[-1])
    with (OUTPUT / "results.jsonl").open("a") as file:
        file.write(json.dumps({"script": name, "args": args, **result}) + "\n")
    return result


def format_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Formats a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Formats the values of all repeats: median (minimum to maximum)."""
    median, low, high = (
        f"{value:,.{digits}f}"
        for value in (statistics.median(values), min(values), max(values))
    )
    return median if len(values) == 1 else f"{median} ({low} to {high})"


def measure_updates(cpu_ids: Sequence[int]) -> str:
    """Measures (a), (b) and (c): roofline, gradient steps, sampling."""
    rows = []
    one_core = 0.0
    for count in sorted({1, 2, min(4, len(cpu_ids)), len(cpu_ids)}):
        if count > len(cpu_ids):
            continue
        result = run("update.py", cpus=cpu_ids[:count])
        update, with_data = result["update"], result["update_with_data"]
        cpu_ms = [
            sum(pair) for pair in zip(with_data["cpu_ms"], with_data["server_cpu_ms"])
        ]
        wall_ms = statistics.median(with_data["wall_ms"])
        one_core = one_core or wall_ms
        sample = result["sample"]
        rows.append(
            [
                count,
                f"{result['roofline_gflops']:.0f}",
                spread(update["wall_ms"]),
                f"{update['of_roofline']:.2f}",
                spread(with_data["wall_ms"]),
                f"{with_data['of_roofline']:.2f}",
                spread(cpu_ms),
                f"{one_core / wall_ms:.2f}x",
                f"{sample['client_cpu_ms']:.2f} + {sample['server_cpu_ms']:.2f}",
            ]
        )
    return format_table(
        (
            "CPUs",
            "roofline, GFLOP/s",
            "update, ms",
            "fastest, of roofline",
            "with data, ms",
            "fastest, of roofline",
            "with data, CPU ms",
            "speed-up over 1 CPU",
            "sampling a batch, CPU ms client + server",
        ),
        rows,
    )


def measure_worker() -> str:
    """Measures (d) and (e): inserts, and a worker's step around `env.step`."""
    result = run("worker.py")
    return format_table(
        ("what", "value"),
        [
            ["worker overhead, wall us/step", spread(result["overhead_wall_us"], 0)],
            ["worker overhead, CPU us/step", spread(result["overhead_cpu_us"], 0)],
            ["replay server, CPU us/step", spread(result["server_cpu_us"], 0)],
            ["inserts/s of one worker", spread(result["inserts_per_sec"], 0)],
        ],
    )


def is_gym_id(name: str) -> bool:
    """Returns whether gym 0.23 or PyBullet has an environment of that name."""
    quiet_imports()
    import gym

    importlib.import_module("pybullet_envs")  # Registers its ids with gym.
    return name in gym.envs.registry.env_specs


def run_peers(
    name: str, peers: str, steps: int, warm_up_steps: int, buffer_size: int
) -> list[Any]:
    """Trains with SB3 and SBX; 500 gradient steps are untimed, for compiling."""
    results = []
    for library in ("sb3", "sbx"):
        peer = run(
            "peer_training.py",
            *("--library", library, "--env", name, "--env_steps", str(steps)),
            *("--warm_up_env_steps", str(warm_up_steps)),
            *("--untimed_env_steps", str(warm_up_steps + 500)),
            *("--buffer_size", str(buffer_size)),
            python=peers,
        )
        results.append(add_ms_per_step(peer))
    return results


def add_ms_per_step(result: Any) -> Any:
    """Adds the milliseconds per env step."""
    for what in ("wall", "cpu"):
        result[f"{what}_ms"] = result[f"{what}_secs"] / result["env_steps"] * 1e3
    return result


def compare(name: str, results: Sequence[Any]) -> list[list[Any]]:
    """Compares the libraries in one environment.

    Args:
      name: The environment.
      results: Of all libraries and repeats; the first one is ours.

    Returns:
      A row of `COMPARED` for each library; its ratios are those of the medians.
    """
    libraries: dict[str, list[Any]] = {}
    for result in results:
        libraries.setdefault(result["library"], []).append(result)
    rows = []
    own_medians: list[float] = []
    for library, repeats in libraries.items():
        wall = [result["wall_ms"] for result in repeats]
        cpu = [result["cpu_ms"] for result in repeats]
        medians = [statistics.median(wall), statistics.median(cpu)]
        own_medians = own_medians or medians
        startup = [
            result["secs_to_first_train_step"]
            for result in repeats
            if "secs_to_first_train_step" in result
        ]
        rows.append(
            [
                name,
                library,
                f"{1e3 / medians[0]:.0f}",
                spread(wall),
                spread(cpu),
                *(f"{other / own:.2f}x" for other, own in zip(medians, own_medians)),
                spread(startup, 0) if startup else "",
            ]
        )
    return rows


COMPARED = (
    "environment",
    "library",
    "steps/s",
    "wall ms/step",
    "CPU ms/step",
    "wall against ours",
    "CPU against ours",
    "s to the first gradient step",
)


def measure_end_to_end(
    names: Sequence[str], peers: str, repeats: int, steps: int
) -> str:
    """Measures (f) and (h): whole trainings, the libraries interleaved."""
    rows = []
    for name in names:
        results: list[Any] = []
        for _ in range(repeats):
            results.append(run("system.py", "--env", name, "--steps", str(steps)))
            results += run_peers(name, peers, steps // 2, 1000, 300_000)
            if is_gym_id(name):  # TF-Agents has no loader for gymnasium.
                results.append(run("tf_agents_baseline.py", "--env", name))
        rows += compare(name, results)
    return format_table(COMPARED, rows)


def measure_one_process(
    names: Sequence[str], peers: str, repeats: int, steps: int
) -> str:
    """Measures sac-train with the flags of off-policy's example, interleaved."""
    rows = []
    for name in names:
        results: list[Any] = []
        for _ in range(repeats):
            ours = run("one_process.py", "--env", name, "--env_steps", str(steps))
            results.append(add_ms_per_step(ours))
            results += run_peers(name, peers, steps // 2, 10_000, 1_000_000)
        # None of them says when its first gradient step was.
        rows += [row[:-1] for row in compare(name, results)]
    return format_table(COMPARED[:-1], rows)


def measure_workers(counts: Sequence[int]) -> str:
    """Measures (g): many workers in an environment that sleeps."""
    rows = []
    for count in counts:
        result = run(
            "system.py",
            *("--env", "sleeping", "--step_secs", str(SLEEP_SECS)),
            *("--train_steps_per_1000_env_steps", "10"),
            # The learner may run 134 steps ahead; after that the workers set its pace.
            *("--num_iter", "1000", "--untimed_steps", "150"),
            *("--steps", str(10 * count)),
            *("--set", f"SAC_NUM_COLLECT_WORKERS={count}"),
        )
        workers = [n for n in result["pss_mb"] if n.startswith("collect_worker")]
        rate = result["env_steps_per_sec"]
        rows.append(
            [
                count,
                f"{rate:.0f}",
                f"{rate * SLEEP_SECS / count:.2f}",
                *(
                    f"{statistics.mean(result[key][n] for n in workers):.0f}"
                    for key in ("memory_mb", "pss_mb")
                ),
            ]
        )
    return format_table(
        (
            "workers",
            "env steps/s",
            "of the sleep limit",
            "RSS of a worker, MB",
            "PSS of a worker, MB",
        ),
        rows,
    )


def describe_machine(cpu_ids: Sequence[int]) -> str:
    """Describes the machine in a line."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next(
        line.split(":")[1].strip()
        for line in cpuinfo.splitlines()
        if line.startswith("model name")
    )
    return f"{len(cpu_ids)} CPUs of {model}, {platform.system()}, {time.strftime('%F')}"


SECTIONS: dict[str, Callable[[argparse.Namespace, Sequence[int]], str]] = {
    "Gradient steps": lambda args, cpu_ids: measure_updates(cpu_ids),
    "A worker's step": lambda args, cpu_ids: measure_worker(),
    "End to end": lambda args, cpu_ids: measure_end_to_end(
        args.envs or ENVIRONMENTS, args.peers, args.repeats, args.steps
    ),
    "One process": lambda args, cpu_ids: measure_one_process(
        args.envs or ONE_PROCESS_ENVIRONMENTS, args.peers, args.repeats, args.steps
    ),
    "Number of workers": lambda args, cpu_ids: measure_workers(args.workers),
}


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="Python of the peers")
    parser.add_argument("--repeats", type=int, default=3, help="of whole trainings")
    parser.add_argument(
        "--steps",
        type=int,
        default=4000,
        help="timed steps of a whole training; the peers take half of them",
    )
    parser.add_argument(
        "--envs",
        nargs="*",
        metavar="ENV",
        help="environments for whole trainings: any id of gym 0.23, PyBullet or "
        f"gymnasium; default: {' '.join(ENVIRONMENTS)}, and for One process "
        f"{' '.join(ONE_PROCESS_ENVIRONMENTS)}",
    )
    parser.add_argument(
        "--workers",
        nargs="*",
        type=int,
        default=WORKER_COUNTS,
        help="numbers of workers to measure",
    )
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    args = parser.parse_args()
    cpu_ids = sorted(os.sched_getaffinity(0))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    report = OUTPUT / "benchmarks.md"
    report.write_text(
        f"{describe_machine(cpu_ids)}. Repeated measurements are given as median "
        "(minimum to maximum).\n"
    )
    args.peers = str(Path(args.peers).absolute())
    for title in args.sections:
        section = f"\n### {title}\n\n{SECTIONS[title](args, cpu_ids)}"
        print(section, flush=True)
        with report.open("a") as file:
            file.write(section)


if __name__ == "__main__":
    main()
