"""Errors about drivers and programs that cannot do it here."""

from __future__ import annotations

from cstore.errors import DriverError, SystemFailure


class DriverUnusable(DriverError):
    """The driver exists, but not on this kernel or file system."""


class ProgramMissing(SystemFailure):
    """A program that was to be run is not there. The exit code is a shell's."""

    exit_code = 127


class ProgramRefused(SystemFailure):
    """A program that was to be run is there, and cannot be run. The exit code is a shell's."""

    exit_code = 126
