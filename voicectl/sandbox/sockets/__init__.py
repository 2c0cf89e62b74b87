"""WebSocket endpoints: the connections, and the audio in both directions."""
