"""Folders that stages run in: git, DVC, worktrees, texts, experiments."""
