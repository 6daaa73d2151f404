#!/usr/bin/env bash
# Measures everything of docs/benchmarks.md and writes the tables to
# logs/benchmark/benchmarks.md:
#
#     scripts/benchmark/run.sh [options of run.py, e.g. --repeats 1]
#
# The peers are installed into .benchmark, apart from the project's own packages. Let
# nothing else run meanwhile.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
python=$(scripts/setup.sh --dev)

if [[ ! -e .benchmark/complete ]]; then
  rm -rf .benchmark
  "$python" -m venv .benchmark/peers
  # torch first: sbx-rl and stable-baselines3 would take the newest one.
  .benchmark/peers/bin/pip install --quiet "$(grep '^torch' scripts/benchmark/peers.txt)"
  .benchmark/peers/bin/pip install --quiet -r scripts/benchmark/peers.txt
  "$python" -m pip install --quiet --no-deps --target .benchmark/gymnasium \
    -r scripts/benchmark/gymnasium.txt
  touch .benchmark/complete
fi

export PYTHONPATH=$PWD:$PWD/.benchmark/gymnasium
exec "$python" scripts/benchmark/run.py --peers .benchmark/peers/bin/python "$@"
