"""WebSocket endpoints: what their servers hear and say."""
