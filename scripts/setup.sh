#!/usr/bin/env bash
# Installs what Baton needs to be built (and with `test`, to be tested) on Debian 12 and its kin: only what is missing, and
# nothing at all when nothing is. Run by make before every build; safe to run as often as one likes.
#
# usage: scripts/setup.sh [test]
set -euo pipefail

# cmake, g++, clang, libclang-dev: whisper.cpp, espeak-ng and their bindings. libssl-dev, pkg-config: a build script's HTTP
# client. python3, pip: where models come from.
packages=(ca-certificates make cmake g++ clang libclang-dev pkg-config libssl-dev python3 python3-pip python3-venv)
# What tests talk to: SIP peers (SIPp, sipsak, baresip without its sound and video, Kamailio, SIPVicious), and a real help
# desk, Request Tracker 5 with SQLite and its own web server: some minutes to install, once.
test_packages=(sip-tester sipsak baresip-core kamailio sipvicious request-tracker5 rt5-db-sqlite rt5-standalone)

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

case "${1:-}" in
'') ;;
test) packages+=("${test_packages[@]}") ;;
*) fail "usage: scripts/setup.sh [test]" ;;
esac

command -v cargo >/dev/null ||
    fail 'cargo was not found. Install Rust 1.95 or later (rustup, or your distribution), open a new shell, run this again.'

# Elsewhere than on Debian the packages have other names: check for what they bring, and say what lacks.
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    missing=()
    for tool in make cmake c++ clang pkg-config python3; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if [ "${1:-}" = test ]; then
        for tool in sipp sipsak baresip; do
            command -v "$tool" >/dev/null || missing+=("$tool")
        done
    fi
    [ ${#missing[@]} -eq 0 ] || fail "this is no Debian: please install ${missing[*]}, and libclang and OpenSSL for development."
    exit 0
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "please have these installed, as root: apt-get install --no-install-recommends ${missing[*]}"
    root=(sudo)
fi

say "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1 || {
        cat "$log" >&2
        fail "apt-get $* failed (above). Put that right, or install by hand: ${missing[*]}"
    }
}
apt update
apt install --no-install-recommends "${missing[@]}"
say 'done'
