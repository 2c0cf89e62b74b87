#!/bin/sh
# End a stuck conversation: announce it to every leg that is at least two hours old, and end those legs.
# Younger legs stay: someone may have called back. Exit status 10: some legs could not be ended; see above.
#
#   ROOM=support-17 sh end_stuck_conversation.sh
#
# ROOM     the room, or the CON-... of its conversation
# AGE      how old a leg must be (2h)
# MOST     how many legs may be ended; with more nothing is done (10)
# MESSAGE  the text they hear first
set -eu

voicectl hangup --conversation "${ROOM:?name the room}" --older-than "${AGE:-2h}" --max "${MOST:-10}" --yes \
  --say "${MESSAGE:-This call is ended by the operator. Please call again.}"
