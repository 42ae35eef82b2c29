#!/usr/bin/env bash
# Which system calls the media thread makes while it relays: 100 calls for some seconds under `strace -c`. Anything but
# socket calls, epoll, timer and the short rest is a fault: exit 1. Needs strace; tracing slows the thread, so figures of
# time mean nothing here.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v strace >/dev/null || { echo 'media-syscalls: strace is not installed' >&2; exit 2; }
BATON_BENCH_TARGETS=none cargo bench -p baton-media --bench relay >/dev/null # builds it
BATON_BENCH_TARGETS=baton BATON_BENCH_CALLS=100 BATON_BENCH_SECONDS=12 BATON_BENCH_ONLY=relay \
    cargo bench -p baton-media --bench relay >/dev/null &
bench=$!
trap 'kill "$bench" 2>/dev/null || true' EXIT
thread=
for _ in $(seq 100); do
    thread=$(grep -lx baton-media-0 /proc/[0-9]*/task/[0-9]*/comm 2>/dev/null | head -1 | cut -d/ -f5) || true
    [ -n "$thread" ] && break
    sleep 0.1
done
[ -n "$thread" ] || { echo 'media-syscalls: no media thread appeared' >&2; exit 2; }
sleep 3 # the calls are set up
report=$(mktemp)
timeout --signal=INT 5 strace -c -p "$thread" -o "$report" || true
wait "$bench" || true
cat "$report"
allowed='recvfrom|sendto|epoll_wait|epoll_pwait|read|write|clock_nanosleep|restart_syscall|total|syscall'
if awk 'NR > 2 && NF && $1 !~ /^-/ { print $NF }' "$report" | grep -vxE "$allowed"; then
    echo 'media-syscalls: the above are neither socket nor timer' >&2
    exit 1
fi
