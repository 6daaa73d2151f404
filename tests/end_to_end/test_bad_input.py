"""Every bad input of docs/bad_input.md leads to the line and exit code that it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import psutil
import pytest

from tests.conftest import PENDULUM_PARAMS, REPOSITORY
from tests.host.test_process_tree import is_dead
from tfagents_system.errors import run_command
from tfagents_system.experiment.directory import Experiment

DOCUMENT = REPOSITORY / "docs" / "bad_input.md"
BASE = "from tfagents_system.train_params_base import TrainParamsBase\n"
Result = tuple[int, str]


class Attempt:
    """A user's attempt to train, with one thing wrong."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Writes the files of a training that would work."""
        self.folder = folder
        self.capfd = capfd
        self.experiment = Experiment(folder / "experiment")
        self.params = folder / "my_params.py"
        self.params.write_text(PENDULUM_PARAMS)
        self.config = folder / "my_config.json"
        self.config.write_text('{"horizon": 200}')
        self.variables = folder / "my.sh"
        self.variables.write_text("SAC_NUM_COLLECT_WORKERS=1\n")

    def launch(self, *arguments: str | Path, **variables: str | None) -> Result:
        """Runs the launcher; returns its exit code and the last line of stderr."""
        given = {
            "SAC_EXP_DIR": str(self.experiment.root),
            "SAC_PARAMS": str(self.params),
            "SAC_CONFIG": str(self.config),
            **variables,
        }
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SAC_")}
        environment.update({k: v for k, v in given.items() if v is not None})
        result = subprocess.run(
            [REPOSITORY / "launch_training.sh", *(arguments or [self.variables])],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stderr.strip().splitlines()[-1]

    def prepare(self, params: str = PENDULUM_PARAMS, config: Any = None) -> Result:
        """Runs the prepare step; returns its exit code and the last line of stderr."""
        from tfagents_system.processes import prepare

        self.params.write_text(params)
        if config is not None:
            self.config.write_text(
                config if isinstance(config, str) else json.dumps(config)
            )
        self.experiment.root.mkdir(exist_ok=True)

        def main() -> int:
            prepare.prepare(self.experiment, self.params, self.config)
            return 0

        self.capfd.readouterr()
        code = run_command(main)
        return code, self.capfd.readouterr().err.strip().splitlines()[-1]

    def run_script(self, *command: str | Path) -> Result:
        """Runs another command; returns its exit code and the last line of stderr."""
        result = subprocess.run(
            [str(part) for part in command],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stderr.strip().splitlines()[-1]


def override(**values: Any) -> dict[str, Any]:
    """Returns a config with `train_params`."""
    return {"horizon": 200, "train_params": values}


def curriculum(**spec: Any) -> dict[str, Any]:
    """Returns a config with a curriculum of one parameter."""
    return {"horizon": 200, "curriculum": {"mass": spec}}


def env_ctor(body: str) -> str:
    """Returns a params file with this body of `env_ctor`."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return (
        f"{BASE}class TrainParams(TrainParamsBase):\n    def env_ctor(self):\n{lines}"
    )


def loads(name: str, **kwargs: Any) -> str:
    """Returns a params file that loads an environment by its name."""
    return env_ctor(
        "from tfagents_system.environments import loaders\n"
        f"return loaders.load({name!r}, **{kwargs!r})"
    )


def pendulum_whose(change: str) -> str:
    """Returns a params file whose environment is changed before it is returned."""
    return env_ctor(
        "import gym, numpy as np\n"
        "from tf_agents.environments import suite_gym\n"
        "from tf_agents.specs import array_spec\n"
        "from tf_agents.trajectories import time_step as ts\n"
        "env = suite_gym.load('Pendulum-v1')\n"
        f"{change}\n"
        "return env"
    )


def step_returns(observation: str = "np.zeros(3)", reward: str = "1.0") -> str:
    """Returns a params file whose environment returns that in `step`."""
    return pendulum_whose(
        "env._step = lambda action: ts.TimeStep(ts.StepType.MID, "
        f"{reward}, 1.0, {observation})"
    )


def without_line(attempt: Attempt, name: str) -> Result:
    return attempt.launch(**{name: None})


def taken_port(attempt: Attempt) -> Result:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen(1)
        return attempt.launch(SAC_REVERB_PORT=str(taken.getsockname()[1]))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def changed_snapshot(attempt: Attempt, old: str, new: str) -> Result:
    """Prepares, changes the params of the experiment, prepares again."""
    attempt.prepare()
    snapshot = attempt.experiment.params
    snapshot.write_text(snapshot.read_text().replace(old, new))
    return attempt.prepare()


def save_generation(attempt: Attempt) -> None:
    """Leaves a checkpoint as a training with the attempt's files would."""
    from tfagents_system.algorithm.specs import Specs
    from tfagents_system.dataflow.rows import RowCodec
    from tfagents_system.experiment import generations, snapshots
    from tfagents_system.learning import checkpoint
    from tfagents_system.learning.agent_state import AgentWriter
    from tfagents_system.learning.build import build_agent

    attempt.prepare()
    specs = Specs.load(attempt.experiment.specs)
    agent = build_agent(snapshots.load(attempt.experiment), specs)
    agent.train_step_counter.assign(100)
    checkpoint.write_learner(attempt.experiment, agent, AgentWriter(agent))
    generations.complete(
        attempt.experiment,
        train_step=100,
        env_steps=0,
        episodes=0,
        row_layout=checkpoint.row_layout(RowCodec(specs)),
    )


def changed_network(attempt: Attempt) -> Result:
    save_generation(attempt)
    return changed_snapshot(attempt, "(16,)", "(8,)")


def damaged_checkpoints(attempt: Attempt) -> Result:
    save_generation(attempt)
    for path in attempt.experiment.checkpoints.glob("generation_*/learner.index"):
        path.write_text("damaged")
    return attempt.prepare()


def lost_checkpoints(attempt: Attempt) -> Result:
    from tfagents_system.experiment import identity

    save_generation(attempt)
    identity.claim(attempt.experiment, identity.Mode.MANY_PROCESSES)
    shutil.rmtree(attempt.experiment.checkpoints)
    return attempt.prepare()


CASES: dict[str, Callable[[Attempt], Result]] = {
    # The command and the variables file.
    "no-file": lambda a: a.launch("nowhere.sh"),
    "shell-syntax": lambda a: a.launch(written(a.folder / "bad.sh", "if true\n")),
    "two-files": lambda a: a.launch(a.variables, "other.sh"),
    "unknown-option": lambda a: a.launch(a.variables, "--fast"),
    "no-name": lambda a: a.launch(SAC_EXP_DIR=None),
    "no-params": lambda a: a.launch(SAC_PARAMS=None),
    "params-missing": lambda a: a.launch(SAC_PARAMS="nowhere.py"),
    "config-missing": lambda a: a.launch(SAC_CONFIG="nowhere.json"),
    "cpus-word": lambda a: a.launch(SAC_TRAIN_CPUS="two"),
    "cpus-zero": lambda a: a.launch(SAC_REVERB_CPUS="0"),
    "cpus-too-many": lambda a: a.launch(
        SAC_REVERB_CPUS="900", SAC_TRAIN_CPUS="90", SAC_COLLECT_WORKER_CPUS="10"
    ),
    "port-word": lambda a: a.launch(SAC_REVERB_PORT="http"),
    "port-taken": taken_port,
    "read-only": lambda a: a.launch(SAC_EXP_DIR="/proc/experiment"),
    "directory-is-a-file": lambda a: a.launch(SAC_EXP_DIR=str(a.config)),
    # The JSON.
    "json-syntax": lambda a: a.prepare(config='{"horizon": 200,}'),
    "json-list": lambda a: a.prepare(config="[1, 2]"),
    "repeated-key": lambda a: a.prepare(config='{"horizon": 200, "horizon": 300}'),
    "no-horizon": lambda a: a.prepare(
        env_ctor(
            "from gym.envs.classic_control import PendulumEnv\n"
            "from tf_agents.environments import suite_gym\n"
            "return suite_gym.wrap_env(PendulumEnv())"
        ),
        config={},
    ),
    "horizon-in-params": lambda a: a.prepare(
        PENDULUM_PARAMS.replace("= 16\n", "= env_config['horizon']\n"), config={}
    ),
    "horizon-in-env-ctor": lambda a: a.prepare(
        env_ctor("self.env_config['horizon']"), config={}
    ),
    "horizon-zero": lambda a: a.prepare(config={"horizon": 0}),
    "attribute-typo": lambda a: a.prepare(config=override(discont=0.9)),
    "attribute-type": lambda a: a.prepare(config=override(num_iter="many")),
    "attribute-range": lambda a: a.prepare(config=override(discount=1.5)),
    "recurrent-n-step": lambda a: a.prepare(
        config=override(recurrent=True, n_step_returns=3)
    ),
    "recurrent-layers": lambda a: a.prepare(config=override(recurrent=True)),
    "small-replay": lambda a: a.prepare(config=override(n_episodes_in_buffer=5)),
    "curriculum-iters": lambda a: a.prepare(
        config=curriculum(iters=[0, "ten"], range=[1, 2])
    ),
    "curriculum-range": lambda a: a.prepare(config=curriculum(iters=[0], range=[1])),
    "curriculum-distribution": lambda a: a.prepare(
        config=curriculum(iters=[0], range=[1, 2], distribution="normal")
    ),
    "curriculum-missing": lambda a: a.prepare(config=curriculum(iters=[0])),
    "curriculum-key": lambda a: a.prepare(
        config=curriculum(iters=[0], range=[1, 2], rnge=1)
    ),
    "no-set-state": lambda a: a.prepare(
        config=curriculum(iters=[0, 5], range=[1.0, 2.0])
    ),
    # The params file.
    "no-class": lambda a: a.prepare("x = 1\n"),
    "not-derived": lambda a: a.prepare("class TrainParams: pass\n"),
    "params-syntax": lambda a: a.prepare("x = (\n"),
    "import": lambda a: a.prepare("import not_there\n"),
    "import-ends": lambda a: a.prepare("import sys\nsys.exit(0)\n"),
    "no-env-ctor": lambda a: a.prepare(
        f"{BASE}class TrainParams(TrainParamsBase): pass\n"
    ),
    "no-super": lambda a: a.prepare(
        f"{BASE}class TrainParams(TrainParamsBase):\n"
        "    def __init__(self, config): pass\n"
        "    def env_ctor(self): pass\n"
    ),
    "attribute-in-file": lambda a: a.prepare(
        PENDULUM_PARAMS.replace("batch_size = 16", "batch_size = '16'")
    ),
    "critic-ctor": lambda a: a.prepare(
        PENDULUM_PARAMS + "    def critic_ctor(self, a, b):\n        return a.typo\n"
    ),
    # The environment.
    "env-ctor": lambda a: a.prepare(env_ctor("raise OSError('no simulator')")),
    "no-environment": lambda a: a.prepare(env_ctor("return None")),
    "env-name": lambda a: a.prepare(loads("Pendulm-v1")),
    "mujoco-py": lambda a: a.prepare(loads("Ant-v2")),
    "missing-package": lambda a: a.prepare(
        env_ctor(
            "import sys, pybullet_envs\n"
            "from unittest import mock\n"
            "from tfagents_system.environments import loaders\n"
            "with mock.patch.dict(sys.modules, gymnasium=None):\n"
            "    return loaders.load('HalfCheetah-v5')"
        )
    ),
    "time-limit-zero": lambda a: a.prepare(loads("Pendulum-v1", max_episode_steps=0)),
    "space": lambda a: a.prepare(
        env_ctor(
            "import gymnasium\n"
            "env = gymnasium.make('Pendulum-v1')\n"
            "env.observation_space = gymnasium.spaces.Text(5)\n"
            "return env"
        )
    ),
    "discrete": lambda a: a.prepare(
        PENDULUM_PARAMS.replace("Pendulum-v1", "CartPole-v1")
    ),
    "unknown-env": lambda a: a.prepare(
        PENDULUM_PARAMS.replace("Pendulum-v1", "Pendulum-v9")
    ),
    "infinite-bounds": lambda a: a.prepare(
        pendulum_whose(
            "env.action_spec = lambda: array_spec.BoundedArraySpec((1,), 'float32')"
        )
    ),
    "reset-ends": lambda a: a.prepare(
        pendulum_whose("env._reset = lambda: ts.termination(np.zeros(3), 0.0)")
    ),
    "scalar-action": lambda a: a.prepare(
        pendulum_whose(
            "env.action_spec = lambda: "
            "array_spec.BoundedArraySpec((), 'float32', -1, 1)\n"
            "env._step = lambda action: ts.transition(np.zeros(3, 'float32'), 1.0)"
        )
    ),
    "nan-observation": lambda a: a.prepare(step_returns("np.full(3, np.nan)")),
    "wrong-shape": lambda a: a.prepare(step_returns("np.zeros(2)")),
    "wrong-dtype": lambda a: a.prepare(step_returns("np.zeros(3, int)")),
    "nan-reward": lambda a: a.prepare(step_returns(reward="np.nan")),
    "two-rewards": lambda a: a.prepare(step_returns(reward="np.ones(2)")),
    "step-raises": lambda a: a.prepare(
        pendulum_whose("env._step = lambda action: {}['force']")
    ),
    # Resuming.
    "changed-env": lambda a: changed_snapshot(
        a, "Pendulum-v1", "MountainCarContinuous-v0"
    ),
    "changed-network": changed_network,
    "damaged-checkpoints": damaged_checkpoints,
    "lost-checkpoints": lost_checkpoints,
    # The other commands.
    "status-of-nothing": lambda a: a.run_script("scripts/status.sh", a.folder),
    "run-nowhere": lambda a: a.run_script(
        sys.executable, "tfagents_system/run.py", "--exp_dir", "nowhere"
    ),
    "run-untrained": lambda a: a.run_script(
        sys.executable, "tfagents_system/run.py", "--exp_dir", a.folder
    ),
    "run-zero": lambda a: a.run_script(
        *(sys.executable, "tfagents_system/run.py"),
        *("--exp_dir", a.folder, "--num_episodes", "0"),
    ),
}


def read_document() -> dict[str, tuple[str, int]]:
    """Reads the table: name of the case to its line and exit code."""
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        match = re.fullmatch(r"\| ([a-z-]+) \| .* \| `(.*)` \| (\d+) \|", line)
        if match:
            rows[match[1]] = (match[2], int(match[3]))
    return rows


def test_the_document_has_exactly_the_tested_cases() -> None:
    assert list(read_document()) == list(CASES)
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_its_documented_line_and_exit_code(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, line = CASES[name](Attempt(tmp_path, capfd))
    documented, documented_code = read_document()[name]
    parts = map(re.escape, documented.split("…"))
    assert re.fullmatch(".*".join(parts), line), line
    assert code == documented_code != 0


def test_an_environment_that_hangs_is_reported_and_can_be_stopped(
    tmp_path: Path,
) -> None:
    params = written(tmp_path / "params.py", env_ctor("import time\ntime.sleep(1000)"))
    config = written(tmp_path / "config.json", '{"horizon": 200}')
    (tmp_path / "experiment").mkdir()
    code = (
        "import os, sys; from pathlib import Path;"
        "from tfagents_system.experiment.run_processes import RunProcesses;"
        "from tfagents_system.launcher import prepare_step;"
        "from tfagents_system.experiment.directory import Experiment;"
        "prepare_step.LOG_PERIOD_SECS = 0.5;"
        "experiment, *files = map(Path, sys.argv[1:]);"
        "experiment = Experiment(experiment);"
        "run = RunProcesses(experiment);"
        "prepare_step.prepare(experiment, *files, os.environ, run)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "experiment"), params, config],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "Still checking the params file and its environment" in line
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
        assert len(children) == 1
        assert is_dead(children[0].pid)
    finally:
        process.kill()
        process.communicate()
