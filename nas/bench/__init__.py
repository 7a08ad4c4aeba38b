"""Judging strategies on tables of what others measured."""
