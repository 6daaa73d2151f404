#!/usr/bin/env bash
# Measures everything in docs/benchmarks.md and writes the tables to
# logs/benchmark/benchmarks.md:
#
#     scripts/benchmark/run.sh [options of run.py, e.g. --repeats 1]
#
# The peers are installed into .benchmark, apart from the project's own packages. Run
# nothing else meanwhile.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
python=$(scripts/setup.sh --dev)

# A copy of peers.txt says what is installed; written last.
if ! cmp --silent scripts/benchmark/peers.txt .benchmark/peers.txt; then
  rm -rf .benchmark
  "$python" -m venv .benchmark/peers
  .benchmark/peers/bin/pip install --quiet -r scripts/benchmark/peers.txt
  cp scripts/benchmark/peers.txt .benchmark/
fi

exec "$python" scripts/benchmark/run.py --peers .benchmark/peers/bin/python "$@"
