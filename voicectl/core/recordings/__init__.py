"""Recordings: reading their announcements in events, fetching their files, and listing the files in a directory."""
