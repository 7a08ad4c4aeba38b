"""Exact programs: searches whose objective and constraints are sums over layers."""
