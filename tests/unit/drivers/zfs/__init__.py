"""The zfs driver, part by part."""
