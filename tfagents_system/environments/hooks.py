"""Builds environments through the hooks of the user's `TrainParams`."""

from __future__ import annotations

import inspect
from typing import Any, Callable

from tf_agents.environments import py_environment

from tfagents_system.environments import loaders
from tfagents_system.environments.standard import StandardEnvironment
from tfagents_system.errors import UserError
from tfagents_system.train_params_base import TrainParamsBase


def _call_hook(hook: Callable[..., Any], **offered: Any) -> Any:
    """Calls a user's hook with those of the offered arguments that it takes."""
    parameters = inspect.signature(hook).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    taken = {
        name: value
        for name, value in offered.items()
        if takes_any or name in parameters
    }
    return hook(**taken)


def _call_env_ctor(
    params: TrainParamsBase, args: tuple[Any, ...], kwargs: dict[str, Any], seed: int
) -> object:
    """Calls `env_ctor`, passing the seed as its signature takes it.

    Params files of the archived system take it as the first positional argument, as
    a keyword, or not at all.
    """
    parameters = inspect.signature(params.env_ctor).parameters
    names = list(parameters)
    if names and names[0] == "seed":
        return params.env_ctor(seed, *args, **kwargs)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_any or "seed" in parameters:
        kwargs = {**kwargs, "seed": seed}
    return params.env_ctor(*args, **kwargs)


def _wrap(made: object, seed: int) -> py_environment.PyEnvironment:
    env = loaders.wrap(made, seed=seed)
    if env.batched:
        raise UserError("env_ctor must return one environment, not a batch of them")
    return env


def _standardize(
    env: py_environment.PyEnvironment, params: TrainParamsBase
) -> py_environment.PyEnvironment:
    return StandardEnvironment(env, params.env_config["horizon"])


def make_user_env(
    params: TrainParamsBase, worker: int, seed: int
) -> py_environment.PyEnvironment:
    """Builds the environment that a worker collects in, as the user's code makes it.

    Args:
      params: The user's `TrainParams`; its JSON need not have a horizon.
      worker: The worker's number.
      seed: Seed of the environment.

    Returns:
      What `env_ctor` returned, as a PyEnvironment.

    Raises:
      UserError: `env_ctor` did not return one environment.
    """
    args, kwargs = _call_hook(params.collect_env_args_kwargs, id=worker)
    return _wrap(_call_env_ctor(params, args, kwargs, seed), seed)


def make_collect_env(
    params: TrainParamsBase, worker: int, seed: int
) -> py_environment.PyEnvironment:
    """Builds the environment that a worker collects in.

    Args:
      params: The user's `TrainParams`.
      worker: The worker's number.
      seed: Seed of the environment.

    Returns:
      The user's environment: float32, ending at `horizon` at the latest.

    Raises:
      UserError: `env_ctor` did not return one environment.
    """
    return _standardize(make_user_env(params, worker, seed), params)


def make_eval_env(
    params: TrainParamsBase,
    worker: int,
    seed: int,
    collect_env: py_environment.PyEnvironment | None = None,
) -> py_environment.PyEnvironment:
    """Builds the environment that a worker evaluates in.

    Args:
      params: The user's `TrainParams`.
      worker: The worker's number.
      seed: Seed of the environment.
      collect_env: Its environment to collect in, offered to the user's hook without
        the framework's wrappers; None: made if the hook takes it.

    Returns:
      As `make_collect_env`.
    """
    hook = params.eval_env_args_kwargs
    overridden = type(params).eval_env_args_kwargs is not (
        TrainParamsBase.eval_env_args_kwargs
    )
    parameters = inspect.signature(hook).parameters.values()
    takes_it = overridden and any(
        p.name == "collect_env" or p.kind is p.VAR_KEYWORD for p in parameters
    )
    if collect_env is None and takes_it:
        collect_env = make_collect_env(params, worker, seed)
    args, kwargs = _call_hook(
        hook,
        id=worker,
        collect_env=None if collect_env is None else unwrap(collect_env),
    )
    made = _call_env_ctor(params, args, kwargs, seed)
    return _standardize(_wrap(made, seed), params)


def unwrap(env: py_environment.PyEnvironment) -> py_environment.PyEnvironment:
    """Returns what the user's `env_ctor` returned, as a PyEnvironment."""
    return env.wrapped_env()
