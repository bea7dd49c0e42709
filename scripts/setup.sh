#!/usr/bin/env bash
# Makes .venv beside pyproject.toml and installs snnlab into it, with its tools, in the versions of constraints.txt.
# Does nothing when that is done already. train.sh and test.sh call it first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=.venv/bin/python
state=.venv/snnlab-setup # a checksum of what was installed, or "unfinished"
key="$PWD $(cat pyproject.toml scripts/constraints.txt | cksum)"

say() { printf 'setup: %s\n' "$*" >&2; }
runs() { "$1" -IS -c '' >/dev/null 2>&1; }
is_done() { [[ -f $state && $(<"$state") == "$key" ]] && runs "$python"; }
# Some systems have a python without ensurepip, or a name on the PATH behind which no python is.
is_fit() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}
has_pip() { # some tools make environments without it
    "$python" -m pip --version >/dev/null 2>&1 || { "$python" -m ensurepip && "$python" -m pip --version; } >/dev/null 2>&1
}
note() { # written whole or not at all
    printf '%s\n' "$1" >"$state.part"
    mv "$state.part" "$state"
}

create() {
    local name found=""
    for name in python3.11 python3.13 python3.12 python3 python; do
        if is_fit "$name"; then
            found=$name
            break
        fi
    done
    if [[ -z $found ]]; then
        say "found no Python 3.11, 3.12 or 3.13 with venv and ensurepip (on Debian: the package python3.11-venv)."
        say "Install one, put it on the PATH and run this again."
        exit 1
    fi
    rm -rf .venv
    mkdir .venv
    note unfinished
    "$found" -m venv .venv
}

is_done && exit 0
# Two runs started at once must not install into the same folder. The lock ends with the last process that holds it,
# so it also covers a pip that outlived a killed set-up.
exec 9>.venv.lock
if command -v flock >/dev/null && ! flock -n 9; then
    say "another set-up is at work: waiting for it."
    flock 9 || true
    is_done && exit 0
fi

if [[ ! -e .venv ]]; then
    create
elif ! runs "$python" || [[ -f $state && $(<"$state") == unfinished ]]; then
    say ".venv is broken or unfinished: making it again."
    create
elif ! is_fit "$python"; then
    say ".venv has $("$python" --version); snnlab takes 3.11 to 3.13, with ensurepip. Remove or rename .venv and run this again."
    exit 1
elif ! has_pip; then
    say ".venv has no working pip: making it again."
    create
fi
before=$(cat "$state" 2>/dev/null || true) # empty: somebody else made this .venv; it is not ours to remove
[[ -z $before ]] || note unfinished
say "installing into .venv ($("$python" --version)); minutes, the first time. Details: .venv/setup.log"
if ! PIP_DISABLE_PIP_VERSION_CHECK=1 "$python" -m pip install -c scripts/constraints.txt -e '.[dev]' >.venv/setup.log 2>&1; then
    if [[ -n $before ]] && ! grep -q '^Installing collected packages' .venv/setup.log; then
        note "$before" # pip gave up before it changed anything
    fi
    tail -n 15 .venv/setup.log >&2
    say "pip failed; the end of .venv/setup.log is above."
    exit 1
fi
note "$key"
