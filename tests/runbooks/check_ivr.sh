#!/bin/sh
# Check an IVR: call it, press keys, and listen for a word. For cron: prints nothing if the check passes.
#
#   */10 * * * *  EVENT_URL=https://voice.example.org/webhooks/event  check_ivr.sh 442079460100 12# 'sales'
#
# EVENT_URL must lead to a 'voicectl webhook serve' that stores events where this script reads them.
set -eu
number=$1 keys=$2 word=$3 seconds=${4:-30}

flow='[
  {"action": "input", "type": ["speech"], "speech": {"startTimeout": 10}, "eventUrl": ["'$EVENT_URL'"]},
  {"action": "input", "type": ["speech"], "speech": {"startTimeout": 10}, "eventUrl": ["'$EVENT_URL'"]},
  {"action": "input", "type": ["speech"], "speech": {"startTimeout": 10}, "eventUrl": ["'$EVENT_URL'"]}
]'

leg=$(printf '%s' "$flow" | voicectl call create --to "$number" --ncco - -q)
trap 'voicectl hangup "$leg" >/dev/null 2>&1 || :' EXIT

said=$(voicectl wait "$leg" --for answered --timeout 30 --fields status 2>&1) || {
  status=$?
  case $status in
  8 | 11) echo "check_ivr: $number did not answer" >&2 ;;
  *) echo "check_ivr: could not find out whether $number answers" >&2 ;;
  esac
  printf '%s\n' "$said" >&2
  exit "$status"
}
pressed=$(date -u +%Y-%m-%dT%H:%M:%SZ)
voicectl dtmf "$leg" "$keys" >/dev/null

while [ "$seconds" -gt 0 ]; do
  heard=$(voicectl webhook list --leg "$leg" --kind input --since "$pressed" --fields event.speech -o jsonl)
  case $heard in *"$word"*) exit 0 ;; esac
  seconds=$((seconds - 1))
  sleep 1
done
echo "check_ivr: $number did not say '$word' after $keys; it said: ${heard:-nothing}" >&2
exit 1
