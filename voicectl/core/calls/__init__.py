"""Creating calls, and finding, selecting, following, moving and ending their legs."""
