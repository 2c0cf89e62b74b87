"""The names of the operations of the platform's APIs, as in the platform's OpenAPI descriptions."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """An operation of one of the platform's APIs.

    The OpenAPI descriptions do not contain the two operations for real-time DTMF. Their names are modelled on the
    other names.
    """

    GET_CALLS = "getCalls"
    CREATE_CALL = "createCall"
    GET_CALL = "getCall"
    UPDATE_CALL = "updateCall"
    START_STREAM = "startStream"
    STOP_STREAM = "stopStream"
    START_TALK = "startTalk"
    STOP_TALK = "stopTalk"
    START_DTMF = "startDTMF"
    SUBSCRIBE_DTMF = "subscribeDTMF"
    UNSUBSCRIBE_DTMF = "unsubscribeDTMF"
    GET_FILE = "getFile"
    LIST_APPLICATIONS = "listApplications"
    CREATE_APPLICATION = "createApplication"
    GET_APPLICATION = "getApplication"
    UPDATE_APPLICATION = "updateApplication"
    DELETE_APPLICATION = "deleteApplication"
    GET_OWNED_NUMBERS = "getOwnedNumbers"
    UPDATE_NUMBER = "updateANumber"
    LIST_CONVERSATIONS = "listConversations"
    CREATE_CONVERSATION = "createConversation"
    GET_CONVERSATION = "getConversation"
    UPDATE_CONVERSATION = "updateConversation"
    DELETE_CONVERSATION = "deleteConversation"
    START_CONVERSATION_TALK = "startConversationTalk"
    STOP_CONVERSATION_TALK = "stopConversationTalk"
    START_CONVERSATION_STREAM = "startConversationStream"
    STOP_CONVERSATION_STREAM = "stopConversationStream"
    RECORD_CONVERSATION = "recordConversation"
    LIST_MEMBERS = "listMembers"
    CREATE_MEMBER = "createMember"
    GET_ME = "getMe"
    GET_MEMBER = "getMember"
    UPDATE_MEMBER = "updateMember"
    DELETE_MEMBER = "deleteMember"
    LIST_LEGS = "listLegs"
    DELETE_LEG = "deleteLeg"
    LIST_EVENTS = "listEvents"
    CREATE_EVENT = "createEvent"
    GET_EVENT = "getEvent"
    DELETE_EVENT = "deleteEvent"
    LIST_USERS = "listUsers"
    CREATE_USER = "createUser"
    GET_USER = "getUser"
    UPDATE_USER = "updateUser"
    DELETE_USER = "deleteUser"
    LIST_USER_CONVERSATIONS = "listUserConversations"
    LIST_SESSIONS = "listSessions"
