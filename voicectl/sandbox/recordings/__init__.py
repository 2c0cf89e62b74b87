"""Recordings: audio files and transcriptions of the sounds of a call."""
