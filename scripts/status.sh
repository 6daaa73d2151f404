#!/usr/bin/env bash
# Shows what the processes of a training are doing.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/load_variables.sh
source "$repository/scripts/load_variables.sh"
act_on_run "$repository" status "$@"
