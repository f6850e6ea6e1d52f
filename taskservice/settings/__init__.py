"""The settings: what the environment says, checked and typed, or one clear line about it.

This room imports nothing of the package's others; service, web and cli read it.
"""

from taskservice.settings.channels import Channel, ChannelLanguage, channel_names
from taskservice.settings.oidc import is_local
from taskservice.settings.settings import PREFIX, Settings, SettingsError
from taskservice.settings.tokens import LEAST, ROLES, ApiToken, Role, hash_of, is_name
from taskservice.settings.values import EXECUTORS, LONGEST_SPAN, Executor, entries, is_loopback

__all__ = [
    "EXECUTORS",
    "LEAST",
    "LONGEST_SPAN",
    "PREFIX",
    "ROLES",
    "ApiToken",
    "Channel",
    "ChannelLanguage",
    "Executor",
    "Role",
    "Settings",
    "SettingsError",
    "channel_names",
    "entries",
    "hash_of",
    "is_local",
    "is_loopback",
    "is_name",
]
