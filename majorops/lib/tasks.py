"""Django's Tasks API, wherever this Django has it: its own from 6.0 on, before that the package it grew out of."""

from __future__ import annotations

import sys

import django

if sys.version_info >= (3, 12) and django.VERSION >= (6, 0):
    from django.tasks import task, task_backends
else:
    from django_tasks import task, task_backends

__all__ = ["task", "task_backends"]
