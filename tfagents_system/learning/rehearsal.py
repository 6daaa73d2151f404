"""Builds all that a training is made of, once and before it begins, and checks it."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
from tf_agents.agents import tf_agent
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec

from tfagents_system.acting import policies
from tfagents_system.algorithm.specs import Specs, read_specs
from tfagents_system.environments import checks, hooks, horizon
from tfagents_system.errors import UserError
from tfagents_system.learning.build import DEFAULT_EXECUTION, build_agent
from tfagents_system.settings import params_file
from tfagents_system.settings.hyperparameters import Execution
from tfagents_system.train_params_base import TrainParamsBase


def rehearse(
    params: TrainParamsBase,
    params_path: Path,
    config_path: Path,
    execution: Execution = DEFAULT_EXECUTION,
) -> tuple[TrainParamsBase, Specs, tf_agent.TFAgent]:
    """Builds environments and agent once, as a training will, and checks them.

    Args:
      params: The user's `TrainParams`; its JSON need not have a horizon.
      params_path: The file it comes from.
      config_path: The JSON it was built with.
      execution: How this process computes gradient steps.

    Returns:
      The `TrainParams` with a horizon, the `Specs` of the environment, and the agent.

    Raises:
      UserError: The user's code failed (its traceback is printed), or what it
        returned does not work.
    """
    step = "collect_env_args_kwargs and env_ctor"
    try:
        params = horizon.complete(params, params_path, config_path)
        env = hooks.make_collect_env(params, worker=0, seed=params.seed)
        # As in a worker, before the curriculum changes the one to collect in.
        step = "eval_env_args_kwargs and env_ctor"
        eval_env = hooks.make_eval_env(params, 0, params.seed, env)
        step = "the environment"
        checks.check_environment(env, params.env_config)
        specs = read_specs(env)
        if str(read_specs(eval_env)) != str(specs):
            raise UserError(
                f"the environment to evaluate in has {read_specs(eval_env)}, the one "
                f"to collect in {specs}"
            )
        step = "agent_ctor, actor_ctor and critic_ctor"
        agent = build_agent(params, specs, execution)
        step = "acting with the agent's policy"
        _check_policy(agent, env)
        step = "close() of the environment"
        eval_env.close()
        env.close()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        message = params_file.describe_error(error)
        raise UserError(f"{step} failed, see above: {message}") from error
    return params, specs, agent


def _check_policy(agent: tf_agent.TFAgent, env: py_environment.PyEnvironment) -> None:
    """Checks that the actions of the agent's policy fit the environment.

    Raises:
      UserError: An action does not fit action_spec().
    """
    policy = policies.make_policy(agent.collect_policy, np.random.default_rng(0))
    policy.reset()
    action = policy.act(env.reset())
    if not array_spec.check_arrays_nest(action, env.action_spec()):
        raise UserError(
            f"the action of the agent does not fit action_spec(): got "
            f"{checks.describe_arrays(action)}, the spec is {env.action_spec()}; "
            "TF-Agents' networks give a vector"
        )
