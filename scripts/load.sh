#!/usr/bin/env bash
# SIPp's basic call against a gateway of its own on loopback, at rising rates. Prints a table. Stops by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v sipp >/dev/null || { echo "load: SIPp is not installed; run scripts/setup.sh test" >&2; exit 2; }
dir=target/load
rm -rf "$dir" && mkdir -p "$dir"
sip=25060
sed -e "s/127.0.0.1:5060/127.0.0.1:$sip/g" -e 's/127.0.0.1:8060/127.0.0.1:28060/' -e "s#\"var/baton.db\"#\"$PWD/$dir/baton.db\"#" \
    -e "s#\"media/models\"#\"$PWD/media/models\"#" -e "s#\"var/speech-cache\"#\"$PWD/target/speech-cache\"#" \
    sip-configs/baton.toml sip-configs/flows/orders.toml >"$dir/baton.toml"
target/release/baton run --config "$dir/baton.toml" >"$dir/out" 2>"$dir/log" &
gateway=$!
trap 'kill $gateway 2>/dev/null || true; wait $gateway 2>/dev/null || true' EXIT
for _ in $(seq 300); do grep -q 'baton is ready' "$dir/out" && break; kill -0 $gateway || { cat "$dir/log"; exit 1; }; read -rt 0.2 <> <(:) || true; done
ticks() { awk '{print $14 + $15}' "/proc/$gateway/stat"; }
printf '%10s %8s %8s %14s\n' 'calls/s' made failed 'CPU ms a call'
for rate in 10 25 50; do
    n=$((rate * 10)) before=$(ticks)
    (cd "$dir" && sipp -sn uac -s 5000 -m $n -r $rate -d 1000 -i 127.0.0.1 -p 25070 -nostdin -timeout 90 -trace_stat -stf "stat$rate.csv" "127.0.0.1:$sip" >/dev/null 2>&1) || true
    failed=$(tail -1 "$dir/stat$rate.csv" | cut -d';' -f18)
    printf '%10s %8s %8s %14s\n' $rate $n "${failed:-?}" "$((($(ticks) - before) * 10 / n))"
done
