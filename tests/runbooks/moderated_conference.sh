#!/bin/sh
# Moderate a conference in which one person speaks: mute everyone else in the room, and everyone who joins. At the
# end, on Ctrl-C or a signal, unmute all legs in the room that were muted from this machine.
#
#   ROOM=all-hands SPEAKER=63f61863-4a51-4f6b-86e1-46edebcf9356 sh moderated_conference.sh
#
# ROOM     the room, or the CON-... of its conversation
# SPEAKER  the leg of the speaker
# HOLD     for how long (1h)
# MOST     how many legs may be muted (200)
set -eu
: "${ROOM:?name the room}" "${SPEAKER:?name the leg of the speaker}"

voicectl mute --conversation "$ROOM" --except "$SPEAKER" --hold "${HOLD:-1h}" --max "${MOST:-200}" --yes &
hold=$!
trap 'kill "$hold" 2>/dev/null || :' INT TERM HUP
status=0
wait "$hold" || status=$?
while kill -0 "$hold" 2>/dev/null; do # a signal ended the wait, and then the hold
  status=0
  wait "$hold" || status=$?
done
case $status in
2 | 3 | 4 | 9) exit "$status" ;; # no leg was muted
esac
voicectl mute --undo --conversation "$ROOM" --max "${MOST:-200}" --yes
[ "$status" -gt 128 ] || exit "$status"
