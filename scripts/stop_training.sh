#!/usr/bin/env bash
# Stops a training: checkpoint first, then every process.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case "${1:-}" in
  -h | --help)
    echo "usage: scripts/stop_training.sh [VARIABLES.sh | EXPERIMENT_DIRECTORY]"
    exit 0
    ;;
  *.sh)
    # shellcheck source=scripts/load_variables.sh
    source "$repository/scripts/load_variables.sh"
    load_variables "$repository" "$1"
    shift
    ;;
esac
python=$("$repository/scripts/setup.sh")
PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH} \
  exec "$python" -m tfagents_system.status stop "$@"
