"""A cell of a notebook, run by a Jupyter Server on a machine as its users run one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examplekit import secret

if TYPE_CHECKING:
    from bundler.machine import Machine

__all__ = ["run_cell", "type_in_terminal"]

# Jupyter's own protocol (https://jupyter-client.readthedocs.io/en/stable/messaging.html) with a client library that
# the environment has. It runs as nobody: what it is given is the token, in its environment, and nothing else.
_CLIENT = """
import json, os, sys, urllib.request
import websocket

url = "127.0.0.1:8888/api/kernels"
headers = {"Authorization": "token " + os.environ["TOKEN"]}

def ask(method, address, body=None):
    request = urllib.request.Request(f"http://{address}", body, headers, method=method)
    return urllib.request.urlopen(request, timeout=60).read()

kernel = json.loads(ask("POST", url, b'{"name": "python3", "path": "/"}'))["id"]
channels = websocket.create_connection(f"ws://{url}/{kernel}/channels", header=headers, timeout=int(sys.argv[2]))
header = {"msg_id": "1", "msg_type": "execute_request", "session": "1", "username": "", "version": "5.3", "date": ""}
content = {"code": sys.argv[1], "silent": False, "allow_stdin": False}
message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
channels.send(json.dumps(message))
while True:
    message = json.loads(channels.recv())
    kind, content = message["header"]["msg_type"], message["content"]
    if kind == "status" and content["execution_state"] == "restarting":
        print("the kernel has died")
        sys.exit()  # another is being started in its place, which the server cannot remove yet
    if message["parent_header"].get("msg_id") != "1":
        continue
    if kind == "stream":
        print(content["text"], end="", file=getattr(sys, content["name"]))
    elif kind == "error":
        sys.exit("\\n".join(content["traceback"]))
    elif kind == "status" and content["execution_state"] == "idle":
        break
ask("DELETE", f"{url}/{kernel}")
"""


def run_cell(machine: Machine, name: str, code: str, *, patience: int = 60) -> str:
    """What a cell prints, in a kernel of its own of the bundle's server; ``patience`` in seconds.

    Of a kernel that has died under it the server says so, and that is told.
    """
    python = f"/opt/{name}/current/env/bin/python"
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", python, "-I", "-c", _CLIENT)
    token = {"TOKEN": secret(machine, name, "JUPYTER_TOKEN")}
    done = machine.run(*nobody, code, str(patience), env=token, timeout=2 * patience)
    assert done.status == 0, done.stderr + machine.run("journalctl", "-u", name, "--no-pager", "-n60").stdout
    return done.stdout


# What is typed is echoed: the test's own words must not look like the answer.
_TERMINAL = """
import json, os, sys, time, urllib.request
import websocket

url = "127.0.0.1:8888"
headers = {"Authorization": "token " + os.environ["TOKEN"]}
request = urllib.request.Request(f"http://{url}/api/terminals", b"{}", headers, method="POST")
name = json.loads(urllib.request.urlopen(request, timeout=60).read())["name"]
terminal = websocket.create_connection(f"ws://{url}/terminals/websocket/{name}", header=headers, timeout=30)
terminal.send(json.dumps(["stdin", sys.argv[1] + "; echo e''nd\\r"]))
text = ""
while "end\\r\\n" not in text:
    kind, *content = json.loads(terminal.recv())
    text += content[0] if kind == "stdout" else ""
print(text)
"""


def type_in_terminal(machine: Machine, name: str, line: str) -> str:
    """What a terminal of the bundle's notebook server shows after ``line`` was typed, the line itself included."""
    python = f"/opt/{name}/current/env/bin/python"
    token = {"TOKEN": secret(machine, name, "JUPYTER_TOKEN")}
    done = machine.run(python, "-I", "-c", _TERMINAL, line, env=token, timeout=60)
    assert done.status == 0, done.stderr
    return done.stdout
