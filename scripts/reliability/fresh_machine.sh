#!/usr/bin/env bash
# Tries the project on a fresh Debian: the set-up, a short training, some tests.
#
#     scripts/reliability/fresh_machine.sh bookworm|trixie
#
# It makes a minimal Debian in a temporary folder (debootstrap, from the mirror that
# this machine's apt uses), unpacks what is committed there as a download without git,
# and does what the documentation tells a newcomer to do. Everything is gone
# afterwards. It needs root, the package debootstrap, 5 GB and a quarter of an hour,
# so CI does not run it.
#
# Debian 13 has no Python that fits, and Debian 12's cannot be installed there: all that
# is tried is that set-up says so.
set -euo pipefail

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
this=scripts/reliability/fresh_machine.sh
release=${1:-}

fail() {
  printf 'fresh_machine.sh: %s\n' "$*" >&2
  exit 1
}

say() {
  printf '\n== %s\n' "$*"
}

# Processes and mounts of a namespace end with it, whatever happens.
enter_namespace() {
  [[ $release == bookworm || $release == trixie ]] ||
    fail "usage: $this bookworm|trixie"
  ((EUID == 0)) || fail 'needs root, for debootstrap and chroot'
  command -v debootstrap >/dev/null || fail 'no debootstrap: apt install debootstrap'
  temporary=$(mktemp -d)
  trap 'rm -rf --one-file-system -- "$temporary"' EXIT
  unshare --mount --pid --fork --kill-child "$this" "$release" "$temporary/debian"
}

make_debian() {
  local mirror variable
  # shellcheck disable=SC2016 # apt-get fills in the address.
  mirror=$(apt-get indextargets --format '$(SITE)' \
    'Identifier: Packages' 'Label: Debian' | head -n 1)
  debootstrap --variant=minbase --include=ca-certificates "$release" "$root" "$mirror"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  # The way to the network is the machine's, as it would be for a machine beside it.
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  for variable in http_proxy https_proxy no_proxy PIP_INDEX_URL PIP_CERT; do
    [[ ! -v $variable ]] || network+=("$variable=${!variable}")
  done
  mkdir "$root/project"
  git archive HEAD | tar -x -C "$root/project"
}

# Runs a command on the fresh machine, as its root, in the project. Not by chroot: the
# kernel makes no user namespaces in there, and SAC_PRIVATE_NETWORK may need one.
there() {
  # shellcheck disable=SC2016 # The inner shell expands them.
  unshare --mount sh -c 'mount --rbind "$0" "$0" && cd "$0" && pivot_root . mnt &&
    cd / && umount --lazy /mnt && exec "$@"' "$root" \
    env -i HOME=/root LANG=C.UTF-8 PATH="$PATH" "${network[@]}" \
    env --chdir=/project "$@"
}

get_python() {
  say 'without Python, set-up says what it needs'
  ! there scripts/setup.sh || fail 'set-up went on without Python'
  there apt-get -qq update
  there env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install \
    --no-install-recommends python3 >/dev/null
}

train() {
  local own=$root/newcomer
  mkdir "$own"
  printf '%s\n' '{"name": "Pendulum-v1", "train_params": {"num_iter": 2,
    "n_buffer_init_episodes": 2, "n_eval_episodes": 1}}' >"$own/cart.json"
  # The params file of the README.
  awk '/^```python/ { on = 1; next } /^```/ { on = 0 } on' README.md \
    >"$own/cart_params.py"
  printf '%s\n' SAC_EXP_NAME=cart SAC_NUM_COLLECT_WORKERS=1 \
    SAC_PARAMS=/newcomer/cart_params.py SAC_CONFIG=/newcomer/cart.json >"$own/cart.sh"
  there ./launch_training.sh /newcomer/cart.sh
  [[ -f $root/project/logs/cart/DONE ]] || fail 'no DONE'
}

try_it() {
  make_debian
  get_python
  if [[ $release == trixie ]]; then
    say 'with Python 3.13, set-up says what it needs'
    ! there scripts/setup.sh || fail 'set-up took Python 3.13'
    return
  fi
  say 'set-up and a training in many processes'
  train
  say 'a training in one process'
  there .venv/bin/sac-train --logdir runs/cart --env Pendulum-v1 --iterations 300 \
    --warm_up_steps 100 --hidden 16
  say 'checks'
  there scripts/check.sh
  say 'tests'
  there scripts/test.sh tests/test_docs.py tests/scripts/test_shell.py tests/host \
    tests/environments
  say "all of it works on Debian $release"
}

if (($# == 2)); then
  # The first process of a namespace has no other default than to ignore them.
  trap 'exit 130' INT TERM
  root=$2 network=()
  try_it
else
  enter_namespace
fi
