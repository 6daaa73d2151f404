#!/usr/bin/env bash
# Trains ContactInsert: a plate goes into a dish holder by feel. A training variables file:
# ./launch_training.sh takes it, and run directly it launches itself. Values already in the
# environment win over these.
[[ "${BASH_SOURCE[0]}" != "$0" ]] ||
  exec "$(dirname "${BASH_SOURCE[0]}")/launch_training.sh" "${BASH_SOURCE[0]}" "$@"

# CPUs of each kind of process and number of collect workers: numbers, or auto for a plan
# that fits this machine.
export SAC_REVERB_CPUS=auto
export SAC_TRAIN_CPUS=auto
export SAC_NUM_COLLECT_WORKERS=auto
export SAC_COLLECT_WORKER_CPUS=auto

# The experiment directory is logs/$SAC_EXP_NAME.
export SAC_EXP_NAME=contact_insert
# Python file with the class TrainParams, and the JSON it gets as env_config.
export SAC_PARAMS=tfagents_system/contact_insert_params.py
export SAC_CONFIG=config/contact_insert.json
# TCP port of the replay server: a number, or auto for a free one.
export SAC_REVERB_PORT=auto
