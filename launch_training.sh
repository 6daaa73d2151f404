#!/usr/bin/env bash
# Trains with the settings of a training variables file; sets the machine up first where
# that is needed. The same command resumes a training that was stopped.
set -euo pipefail

usage="usage: ./launch_training.sh VARIABLES.sh [--dry-run] [--detach] [--workers-only]

  VARIABLES.sh    sets SAC_EXP_NAME, SAC_PARAMS, SAC_CONFIG and the CPU numbers, as
                  train_minitaur.sh does; values already in the environment win
  --dry-run       print the plan (services, CPUs, commands) and start nothing
  --detach        train in the background
  --workers-only  run workers that join the training on another machine"

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
variables=""
options=()
for argument in "$@"; do
  case "$argument" in
    -h | --help)
      echo "$usage"
      exit 0
      ;;
    -*) options+=("$argument") ;;
    *)
      if [[ -n "$variables" ]]; then
        echo "error: more than one variables file: $variables, $argument" >&2
        exit 2
      fi
      variables=$argument
      ;;
  esac
done
if [[ -z "$variables" ]]; then
  echo "$usage" >&2
  exit 2
fi

# shellcheck source=scripts/load_variables.sh
source "$repository/scripts/load_variables.sh"
load_variables "$repository" "$variables"
python=$("$repository/scripts/setup.sh")
cd "$repository"
exec "$python" -u -m tfagents_system.launcher.launch ${options[@]+"${options[@]}"}
