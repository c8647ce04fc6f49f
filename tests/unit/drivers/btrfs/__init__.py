"""The btrfs driver, part by part."""
