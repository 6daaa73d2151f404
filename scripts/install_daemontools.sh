#!/usr/bin/env bash
# Makes sure that daemontools is there (the programs that supervise the processes
# of a run) and prints the folder that its programs are in, and nothing else:
#
#     scripts/install_daemontools.sh
#
# Without root the package is unpacked into .daemontools/ of the repository, so that
# nobody needs an administrator to train.
set -euo pipefail

programs=(supervise svscan svc svstat svok multilog envdir setlock)

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
unpacked=$root/.daemontools/usr/bin

say() {
  printf 'install_daemontools.sh: %s\n' "$*" >&2
}

have_on_path() {
  local program
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || return 1
  done
}

have_unpacked() {
  local program
  for program in "${programs[@]}"; do
    [[ -x $unpacked/$program ]] || return 1
  done
}

have_all() {
  have_on_path || have_unpacked
}

# Runs apt-get, with a prefix such as sudo if need be; shows only what goes wrong.
# Waiting for the lock is for new machines, which often upgrade themselves at first.
install_package() {
  local apt=("$@" env DEBIAN_FRONTEND=noninteractive) name
  # sudo clears the environment.
  for name in http_proxy https_proxy no_proxy; do
    [[ ! -v $name ]] || apt+=("$name=${!name}")
  done
  apt+=(apt-get -qq -y -o DPkg::Lock::Timeout=300)
  say "installing the package daemontools"
  # A new machine knows no package until it has been told to look.
  "${apt[@]}" install --no-install-recommends daemontools </dev/null >/dev/null 2>&1 ||
    { "${apt[@]}" update </dev/null >/dev/null &&
      "${apt[@]}" install --no-install-recommends daemontools </dev/null >/dev/null; }
}

# Unpacks the package below the repository: the last step is a rename, so that
# an interrupted run leaves nothing that looks complete.
unpack_package() (
  say "not root: unpacking the package daemontools into .daemontools/"
  temporary=$(mktemp -d "$root/.daemontools-XXXXXX") || exit 1
  trap 'rm -rf -- "$temporary"' EXIT
  cd -- "$temporary"
  mkdir -p lists/partial archives/partial
  # The machine's package lists can be empty, and only root could fill them:
  # then lists of our own are fetched.
  own=(-o "Dir::State::Lists=$temporary/lists" -o "Dir::Cache=$temporary")
  apt-get -qq download daemontools >/dev/null 2>&1 ||
    { apt-get -qq "${own[@]}" update >/dev/null &&
      apt-get -qq "${own[@]}" download daemontools >/dev/null; } || exit 1
  dpkg -x daemontools_*.deb tree || exit 1
  rm -rf -- "$root/.daemontools"
  mv tree "$root/.daemontools"
)

obtain() {
  if ! command -v apt-get >/dev/null; then
    return 1
  elif ((EUID == 0)); then
    install_package
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    install_package sudo -n
  elif [[ -w $root ]]; then
    unpack_package
  else
    return 1
  fi
}

if ! have_all; then
  obtain || true
fi
if ! have_all; then
  say "no daemontools: install the package daemontools (Debian, Ubuntu)" \
    "or build it from source (https://cr.yp.to/daemontools.html)"
  exit 1
fi

if have_on_path; then
  dirname -- "$(command -v svscan)"
else
  printf '%s\n' "$unpacked"
fi
