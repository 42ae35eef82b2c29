#!/usr/bin/env bash
# SIPp against a gateway of its own on loopback: every scenario once, then basic calls at rising rates, then a storm of
# registrations. Prints tables; stops by itself.
#
# usage: scripts/load.sh [CALLS_PER_SECOND ...]
set -euo pipefail
cd "$(dirname "$0")/.."
command -v sipp >/dev/null || { echo "load: SIPp is not installed; run scripts/setup.sh test" >&2; exit 2; }
dir=$PWD/target/load scenarios=$PWD/sip-configs/sipp
rm -rf "$dir" && mkdir -p "$dir"
sip=25060
sed -e "s/127.0.0.1:5060/127.0.0.1:$sip/g" -e 's/127.0.0.1:8060/127.0.0.1:28060/' -e "s#\"var/baton.db\"#\"$dir/baton.db\"#" \
    -e "s#\"media/models\"#\"$PWD/media/models\"#" -e "s#\"var/speech-cache\"#\"$PWD/target/speech-cache\"#" \
    sip-configs/baton.toml sip-configs/flows/orders.toml >"$dir/baton.toml"
# The extensions of registrations.csv: NUMBER;[authentication username=NUMBER password=PASSWORD]
sed -n 's/^\([0-9]*\);.*password=\(.*\)\]$/\n[[extension]]\nnumber = "\1"\npassword = "\2"/p' "$scenarios/registrations.csv" >>"$dir/baton.toml"

target/release/baton run --config "$dir/baton.toml" >"$dir/out" 2>"$dir/log" &
gateway=$!
trap 'kill $gateway 2>/dev/null || true; wait $gateway 2>/dev/null || true' EXIT
for _ in $(seq 300); do grep -q 'baton is ready' "$dir/out" && break; kill -0 $gateway || { cat "$dir/log"; exit 1; }; read -rt 0.2 <> <(:) || true; done
ticks() { awk '{print $14 + $15}' "/proc/$gateway/stat"; }

# scenario NAME CALLS RATE [SIPP'S OWN ...]: one row; SIPp's time-outs are generous, a scenario that hangs is a failed call.
row() {
    local name=$1 calls=$2 rate=$3 before after
    shift 3
    before=$(ticks)
    (cd "$scenarios" && sipp "$@" -s 5000 -m "$calls" -r "$rate" -i 127.0.0.1 -nostdin -timeout 90 -recv_timeout 40000 \
        -trace_stat -stf "$dir/$name.csv" -trace_err -error_file "$dir/$name.err" "127.0.0.1:$sip" >/dev/null 2>&1) || true
    after=$(ticks)
    awk -F';' -v name="$name" -v rate="$rate" -v ticks=$((after - before)) '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        { done = $(at["SuccessfulCall(C)"]); failed = $(at["FailedCall(C)"]) }
        END { printf "%-22s %8s %8s %8s %14.1f\n", name, rate, done, failed, ticks * 10 / (done + failed ? done + failed : 1) }' "$dir/$name.csv"
}

printf '%-22s %8s %8s %8s %14s\n' scenario 'calls/s' done failed 'CPU ms a call'
row basic 20 10 -sf uac.xml -d 1000
row speech 6 2 -sf speech.xml
row dtmf 20 10 -sf dtmf.xml
row hold 20 10 -sf hold.xml
row reinvite 20 10 -sf reinvite.xml
row cancel 20 10 -sf cancel.xml
row late-bye 20 10 -sf late-bye.xml
row refer 20 10 -sf refer.xml
row no-ack 10 10 -sf no-ack.xml
for rate in "${@:-10 25 50}"; do
    for rate in $rate; do row "basic-$rate" $((rate * 10)) "$rate" -sf uac.xml -d 1000; done
done
row registrations 2000 200 -sf registrations.xml -inf registrations.csv
echo "what failed and why: $dir/*.err; the gateway's log: $dir/log"
