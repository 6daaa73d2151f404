#!/usr/bin/env bash
# Shows what the processes of a training are doing.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case "${1:-}" in
  -h | --help)
    echo "usage: scripts/status.sh [VARIABLES.sh | EXPERIMENT_DIRECTORY]"
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
  exec "$python" -m tfagents_system.status status "$@"
