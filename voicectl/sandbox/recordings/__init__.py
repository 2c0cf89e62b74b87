"""Recordings: what was heard, made into audio files and transcriptions."""
