#!/bin/sh
# Bring the engineer on call into a customer's call, and announce it to everyone in the call.
#
#   bridge_engineer.sh CUSTOMER ENGINEER ROOM      bridge_engineer.sh 447700900001 447700900600 incident-17
#
# No call is dropped: the party that the customer talks to is moved too. Needs a profile with a number to call from.
set -eu
customer=$1 engineer=$2 room=$3

legs=$(voicectl call list --status answered --match-to "$customer" -q
  voicectl call list --status answered --match-from "$customer" -q)
leg=$(printf '%s\n' "$legs" | sort -u)
case $leg in
'') echo "bridge_engineer: $customer is in no call" >&2 && exit 4 ;;
*'
'*) echo "bridge_engineer: $customer is in several calls: $leg" >&2 && exit 4 ;;
esac

voicectl move "$leg" "$room" --with-partners --yes >/dev/null

on_call=$(voicectl call create --to "$engineer" --join "$room" --wait answered --timeout 60 \
  --hangup-on-timeout -q) || {
  status=$?
  why='could not be called' # voicectl has printed the reason
  case $status in 8 | 11) why='did not answer' ;; 12) why='may or may not be called: see above' ;; esac
  voicectl conversation talk "$room" 'The engineer cannot be reached. Please hold on.' >/dev/null || :
  echo "bridge_engineer: $engineer $why; the others are in $room" >&2
  exit "$status"
}
voicectl conversation talk "$room" 'The engineer on call has joined.' >/dev/null

# Print the legs in the call; the last line is the engineer's own leg.
voicectl conversation show "$room" --fields uuid,status,muted
echo "$on_call"
