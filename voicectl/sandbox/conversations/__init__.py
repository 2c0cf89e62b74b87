"""Conversations as the Conversation API shows them: with users, members and events in addition to legs."""
