#!/usr/bin/env python3
"""A long-lived agent in Python: reads a task from each line, writes the answer as a line.

A task is {"add": [1, 2, 3]}, {"fail": "why", "retry": false} or {"steps": 3}; anything else comes back as it is.
What is printed to stderr is the log of the task.
"""

import json
import sys


def say(**line):
    print(json.dumps(line), flush=True)


def work(id, task):
    """The result; raises what goes wrong."""
    if isinstance(task, dict):
        if "add" in task:
            return sum(task["add"])
        if "steps" in task:
            for step in range(task["steps"]):
                say(id=id, progress=step + 1)
    return task


for text in sys.stdin:
    order = json.loads(text)
    id, task = order["id"], order["task"]
    if isinstance(task, dict) and "fail" in task:
        # With `retry: false`, the task is not tried again, whatever --retries says.
        say(id=id, ok=False, error=task["fail"], retry=task.get("retry", True))
        continue
    try:
        say(id=id, ok=True, result=work(id, task))
    except Exception as error:
        say(id=id, ok=False, error=str(error))
