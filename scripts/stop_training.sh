#!/usr/bin/env bash
# Stops a training: checkpoint first, then every process.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/load_variables.sh
source "$repository/scripts/load_variables.sh"
act_on_run "$repository" stop "$@"
