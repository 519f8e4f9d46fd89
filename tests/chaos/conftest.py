"""Runs that take long are asked for; where they write, and with which seeds."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--long", type=int, default=0, metavar="N", help="long chaos runs, N seeds")
    parser.addoption("--seed", type=int, default=None, help="the first seed of chaos runs")
