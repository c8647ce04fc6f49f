"""Healing: from findings to an ordered plan, and the plan carried out, each step durable, locked and undoable."""
