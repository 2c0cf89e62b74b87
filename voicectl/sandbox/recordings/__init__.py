"""Recordings of calls: audio files and transcriptions."""
