#!/usr/bin/env bash
# Submits a training to SLURM, after the checks that the launcher makes.
set -euo pipefail

usage="usage: scripts/submit_training.sh VARIABLES.sh [--dry-run] [--no-check] [sbatch option ...]

  VARIABLES.sh  sets SAC_EXP_NAME, SAC_PARAMS, SAC_CONFIG and the CPU numbers, as
                train_minitaur.sh does; values already in the environment win
  --dry-run     print the sbatch command and submit nothing
  --no-check    do not run the params file and the environment here, before the job does
  sbatch option any, such as --time=12:00:00, --cpus-per-task=8, --array=0-9, --nodes=2"

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case "${1:-}" in
  -h | --help)
    echo "$usage"
    exit 0
    ;;
  '' | -*)
    echo "$usage" >&2
    exit 2
    ;;
esac

# shellcheck source=scripts/load_variables.sh
source "$repository/scripts/load_variables.sh"
load_variables "$repository" "$1"
[[ ! -f "$1" ]] || set -- "$(realpath -- "$1")" "${@:2}"
python=$("$repository/scripts/setup.sh")
cd "$repository"
exec "$python" -u -m tfagents_system.launcher.submit "$@"
