#!/bin/sh
# A conversation is stuck: end every leg of it that has been there for two hours or longer, with a word before.
# Who is in it for less stays: somebody may have called back. Exit status 10: some are left, told above.
#
#   ROOM=support-17 sh end_stuck_conversation.sh
#
# ROOM     the room, or the CON-... of its conversation
# AGE      how old a leg must be (2h)
# MOST     how many legs may be ended; with more nothing is done (10)
# MESSAGE  what they hear first
set -eu

voicectl hangup --conversation "${ROOM:?name the room}" --older-than "${AGE:-2h}" --max "${MOST:-10}" --yes \
  --say "${MESSAGE:-This call is ended by the operator. Please call again.}"
