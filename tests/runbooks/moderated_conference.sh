#!/bin/sh
# A conference in which one person speaks: everyone else in the room is muted, and whoever joins meanwhile. At the
# end, or on Ctrl-C, those that were muted from here may speak again.
#
#   ROOM=all-hands SPEAKER=63f61863-4a51-4f6b-86e1-46edebcf9356 sh moderated_conference.sh
#
# ROOM     the room, or the CON-... of its conversation
# SPEAKER  the leg of who speaks
# HOLD     for how long (1h)
# MOST     how many legs may be muted (200)
set -eu
: "${ROOM:?name the room}" "${SPEAKER:?name the leg of who speaks}"

trap : INT # it ends the hold, and the rest is done all the same
status=0
voicectl mute --conversation "$ROOM" --except "$SPEAKER" --hold "${HOLD:-1h}" --max "${MOST:-200}" --yes ||
  status=$?
voicectl mute --undo --conversation "$ROOM" --max "${MOST:-200}" --yes
[ "$status" -eq 130 ] || exit "$status"
