"""Checks everything and writes the experiment directory, before anything is started.

The launcher runs it in a process of its own: it imports TensorFlow and builds the
user's environment, and the launcher shall stay small. What it has to say goes to
stderr; stdout is for what the libraries print when they are loaded.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from tfagents_system.acting import episode
from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import Experiment, read_json, write_json
from tfagents_system.host import memory
from tfagents_system.host.headless import render_without_screen
from tfagents_system.host.quiet import quiet_imports
from tfagents_system.settings import configuration, curriculum

if TYPE_CHECKING:
    from tf_agents.agents import tf_agent
    from tf_agents.environments import py_environment

    from tfagents_system.train_params_base import TrainParamsBase


def is_same_config(snapshot: Path, original: Path) -> bool:
    """Returns whether two JSON files say the same.

    A horizon that only the snapshot has is the environment's own (see `write_config`).
    """
    try:
        kept, given = read_json(snapshot), read_json(original)
    except UserError:
        return False
    if isinstance(kept, dict) and isinstance(given, dict) and "horizon" in kept:
        given.setdefault("horizon", kept["horizon"])
    # As text: 1, 1.0 and true are equal in Python.
    texts = [json.dumps(config, sort_keys=True) for config in (kept, given)]
    return texts[0] == texts[1]


def is_same_text(snapshot: Path, original: Path) -> bool:
    """Returns whether two files are the same to the byte."""
    return filecmp.cmp(snapshot, original, shallow=False)


def write_config(source: Path, horizon: int, snapshot: Path) -> None:
    """Writes the snapshot of the JSON: a copy, or with the environment's horizon.

    Every process reads the horizon there.
    """
    config = configuration.load_config(source)
    if "horizon" not in config:
        write_json(snapshot, {**config, "horizon": horizon})
    elif not snapshot.exists():
        shutil.copyfile(source, snapshot)


def choose_source(
    snapshot: Path,
    original: Path,
    what: str,
    is_same: Callable[[Path, Path], bool] = is_same_text,
) -> Path:
    """Chooses the snapshot of an existing experiment over the original file.

    Says so on stderr if they differ: a resumed run uses what it began with.

    Raises:
      UserError: There is neither.
    """
    if not snapshot.exists():
        if not original.is_file():
            raise UserError(f"{what}: no file {original}")
        return original
    if original.is_file() and not is_same(snapshot, original):
        print(
            f"note: {original} differs from the snapshot {snapshot}; this run resumes "
            "with the snapshot. For the new settings choose a new SAC_EXP_NAME.",
            file=sys.stderr,
        )
    return snapshot


def check_environment(
    params: TrainParamsBase, env: py_environment.PyEnvironment
) -> None:
    """Checks one environment: action space, a reset, a step, and `set_state`.

    Raises:
      UserError: What is wrong with it.
    """
    import numpy as np
    from tf_agents.specs import array_spec

    from tfagents_system.environments import standard

    standard.check_spaces(env)
    schedules = curriculum.make_schedules(params.env_config)
    if schedules:
        values = {name: schedule.values[0] for name, schedule in schedules.items()}
        try:
            env.set_state(values)
        except UserError as error:
            raise UserError(
                f"the config has a curriculum of {', '.join(schedules)}, but {error}"
            ) from error
        except (NotImplementedError, AttributeError) as error:
            raise UserError(
                f"the config has a curriculum of {', '.join(schedules)}, but the "
                "environment has no set_state(dict) that takes it: "
                f"{type(error).__name__}: {error}"
            ) from error
    rng = np.random.default_rng(0)
    action = array_spec.sample_spec_nest(
        env.action_spec(), np.random.RandomState(rng.integers(2**31))
    )
    for name, time_step in (("reset", env.reset()), ("step", env.step(action))):
        if not array_spec.check_arrays_nest(
            time_step.observation, env.observation_spec()
        ):
            raise UserError(
                f"the observation of env.{name}() does not fit observation_spec(): "
                f"got {_describe_arrays(time_step.observation)}, the spec is "
                f"{env.observation_spec()}"
            )


def _describe_arrays(nest: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    def describe(array: Any) -> str:
        array = np.asarray(array)
        return f"{array.dtype}{list(array.shape)} in [{array.min()}, {array.max()}]"

    return tf.nest.map_structure(describe, nest)


def check_policy(agent: tf_agent.TFAgent, env: py_environment.PyEnvironment) -> None:
    """Checks that the agent's policy acts as the environment wants it.

    Raises:
      UserError: The action does not fit action_spec().
    """
    import numpy as np
    from tf_agents.specs import array_spec

    policy = episode.make_policy(agent.collect_policy, np.random.default_rng(0))
    policy.reset()
    action = policy.act(env.reset())
    if not array_spec.check_arrays_nest(action, env.action_spec()):
        raise UserError(
            f"the action of the agent does not fit action_spec(): got "
            f"{_describe_arrays(action)}, the spec is {env.action_spec()}; TF-Agents' "
            "networks give a vector"
        )


def build_everything(
    params: TrainParamsBase, params_path: Path, config_path: Path
) -> tuple[TrainParamsBase, Any, tf_agent.TFAgent]:
    """Builds environments and agent once, as the processes will.

    Args:
      params: The user's `TrainParams`; its JSON need not have a horizon.
      params_path: The file it comes from.
      config_path: The JSON it was built with.

    Returns:
      The `TrainParams` with a horizon, the `Specs` of the environment, and the agent.

    Raises:
      UserError: The user's code failed (its traceback is printed), or what it
        returned does not work.
    """
    from tfagents_system.algorithm import sac, specs
    from tfagents_system.environments import horizon, standard

    step = "collect_env_args_kwargs and env_ctor"
    try:
        params = horizon.complete(params, params_path, config_path)
        env = standard.make_collect_env(params, worker=0, seed=params.seed)
        # As in a worker, before the curriculum changes the one to collect in.
        step = "eval_env_args_kwargs and env_ctor"
        eval_env = standard.make_eval_env(params, 0, params.seed, env)
        step = "the environment"
        check_environment(params, env)
        env_specs = specs.read_specs(env)
        if str(specs.read_specs(eval_env)) != str(env_specs):
            raise UserError(
                f"the environment to evaluate in has {specs.read_specs(eval_env)}, the "
                f"one to collect in {env_specs}"
            )
        step = "agent_ctor, actor_ctor and critic_ctor"
        agent = sac.build_agent(params, env_specs)
        step = "acting with the agent's policy"
        check_policy(agent, env)
        step = "close() of the environment"
        eval_env.close()
        env.close()
    except UserError:
        raise
    except Exception as error:
        traceback.print_exc()
        message = str(error).partition("\n")[0]  # gin adds lines of its own.
        raise UserError(
            f"{step} failed, see above: {type(error).__name__}: {message}"
        ) from error
    return params, env_specs, agent


def prepare(experiment: Experiment, params_path: Path, config_path: Path) -> None:
    """Checks params, config and environment; writes snapshots and specs.

    Nothing is written unless all is well, so that a first attempt that fails leaves
    no snapshot of its mistake. Where training is complete nothing is checked either,
    unless more iterations are wanted since: then it is not complete any more.

    Args:
      experiment: The experiment.
      params_path: The user's params file.
      config_path: The user's JSON.

    Raises:
      UserError: Anything that would fail later.
    """
    config_source = choose_source(
        experiment.config, config_path, "SAC_CONFIG", is_same_config
    )
    params_source = choose_source(experiment.params, params_path, "SAC_PARAMS")
    config = configuration.load_config(config_source)
    params = configuration.load_params(params_source, config, params_path.parent)
    if experiment.is_trained_for(params.num_iter * params.num_steps_per_iter):
        return

    from tfagents_system.dataflow import rate_limiter, rows
    from tfagents_system.learning import checkpoint

    params, env_specs, agent = build_everything(params, params_source, config_source)
    codec = rows.RowCodec.of(params, env_specs)
    with tempfile.TemporaryDirectory() as folder:
        new_specs = Path(folder) / "specs.pbtxt"
        env_specs.save(new_specs)
        if experiment.specs.exists():
            if new_specs.read_text() != experiment.specs.read_text():
                raise UserError(
                    f"the environment now has {env_specs}, which is not what "
                    f"{experiment.specs} says; choose a new SAC_EXP_NAME"
                )
        else:
            shutil.copy(new_specs, experiment.specs)
    if experiment.checkpoints.exists():
        checkpoint.check_resume(experiment, agent, codec)
    write_config(config_source, params.env_config["horizon"], experiment.config)
    if not experiment.params.exists():
        shutil.copyfile(params_source, experiment.params)
    experiment.done.unlink(missing_ok=True)  # More iterations are wanted since.

    pacing = rate_limiter.make_pacing(params, codec)
    needed = memory.replay_bytes(
        pacing.capacity, codec.bytes_per_row, codec.rows_per_item
    )
    print(
        f"Environment: {env_specs}\n"
        f"Replay: {pacing.capacity:,} transitions, {needed / 1e9:.2f} GB when full; "
        f"learning starts at {pacing.min_size:,}; {pacing.samples_per_insert:g} "
        "samples per insert",
        file=sys.stderr,
    )
    shortage = memory.describe_shortage(needed, memory.available_bytes())
    if shortage:
        print(shortage, file=sys.stderr)


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp_dir", type=Path, required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    args = parser.parse_args()
    quiet_imports()
    render_without_screen()
    prepare(Experiment(args.exp_dir), args.params, args.config)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
