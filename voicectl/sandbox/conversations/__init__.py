"""Conversations as the Conversation API represents them: with users, members and events in addition to legs."""
