#!/usr/bin/env bash
# Bans that no lint can express: which room may know what.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
say() { printf 'ban broken: %s\n' "$*" >&2; fail=1; }

# Rooms that await nothing. Pure rooms also know no sockets (tokio is the only way in this tree to grow one unseen).
for room in audio media intake agents call speech tone; do
  if cargo tree --locked -e normal -p "baton-$room" | grep -qE '\btokio v'; then say "baton-$room depends on tokio"; fi
done
# The pure rooms read no clock and open no file or socket. Their tests may: what stands behind #[cfg(test)] is left out.
for room in intake agents call tone; do
  for file in $(git ls-files "crates/$room/src/*.rs" | grep -v tests); do
    if sed '/#\[cfg(test)\]/,$d' "$file" | grep -nE 'Instant::now|SystemTime::now|Timestamp::now|std::(net|fs|thread)::'; then
      say "$file reaches for a clock, a file, a socket or a thread"
    fi
  done
done
# sipx-sip is young and by one author: it stays behind crates/sip. The tester shares no parser with what it tests.
if grep -rln 'sipx_s' crates tests benches --include='*.rs' | grep -v '^crates/sip/'; then say "sipx is named outside crates/sip"; fi
for dep in baton-sip baton-media; do
  if cargo tree --locked -e normal -p baton-phone | grep -q "$dep v"; then say "the test phone depends on $dep"; fi
done
# Native speech stays in the leaf: nothing but the gateway and the whole-system tests links it.
for room in sip media call crm store phone speech; do
  if cargo tree --locked -e normal -p "baton-$room" | grep -qE '\b(whisper-rs|piper-rs) v'; then say "baton-$room links native speech"; fi
done
exit $fail
