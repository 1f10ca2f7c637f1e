"""`mcp-authz serve` in processes of its own, asked over gRPC and HTTP; its policy needs no issuer that answers."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
from envoy.service.auth.v3 import external_auth_pb2

from authz.demo.ports import free_port
from tests.support import tokens
from tests.support.policy_files import POLICY
from tests.support.waiting import DEADLINE, eventually

KEYS = json.dumps({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]})
INLINE = POLICY.replace(
    "jwks: {remote: {url: https://issuer.example/jwks.json}}", f"jwks: {{inline: '{KEYS}'}}"
)
METHOD = "/envoy.service.auth.v3.Authorization/Check"


def check_request(source=""):
    """A Check of a request without a token, which any policy denies; its record names the source."""
    message = external_auth_pb2.CheckRequest()
    http = message.attributes.request.http
    http.method, http.host, http.path, http.raw_body = "POST", "mcp.example", "/mcp", b"{}"
    http.headers["content-type"] = "application/json"
    message.attributes.source.address.socket_address.address = source
    return message.SerializeToString()


class Served:
    """A service of several workers, ended with the block."""

    def __init__(self, folder, *options, workers=2, grpc_address="", text=INLINE, stdout=None, program=()):
        self.file = Path(folder) / "policy.yaml"
        self.file.write_text(text)
        self.log = Path(folder) / "service.log"
        self.audit = Path(folder) / "audit.jsonl"
        self.http = f"127.0.0.1:{free_port()}"
        self.grpc = grpc_address or f"127.0.0.1:{free_port()}"
        self.options = ["--workers", str(workers), "--grpc", self.grpc, "--http", self.http, *options]
        self.program = program or [sys.executable, "-m", "authz"]
        self.cwd = folder if program else None  # another installation must not find this checkout
        self._stdout, self._stack = stdout, ExitStack()

    def __enter__(self):
        err = self._stack.enter_context(self.log.open("ab"))
        out = self._stdout or self._stack.enter_context(self.audit.open("ab"))
        argv = [*self.program, "serve", "-c", str(self.file), *self.options]
        self.process = subprocess.Popen(argv, stdout=out, stderr=err, start_new_session=True, cwd=self.cwd)
        self._stack.callback(self.end)
        assert eventually(lambda: self.events("serving") or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def end(self):
        """End it the hard way; its workers end by themselves."""
        pids = self.pids() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait(DEADLINE)
        assert eventually(lambda: not any(alive(pid) for pid in pids))

    def events(self, event):
        """Return the log entries of this name."""
        lines = self.log.read_bytes().decode().split("\n")[:-1]
        return [entry for line in lines if (entry := json.loads(line))["event"] == event]

    def pids(self):
        """Return the process ids of the workers, in order."""
        found = {entry["worker"]: entry["pid"] for entry in self.events("worker serves")}
        return [found[number] for number in sorted(found)]

    def records(self):
        """Return the audit records; each line must be one."""
        return [json.loads(line) for line in self.audit.read_bytes().decode().split("\n")[:-1]]

    def get(self, path):
        return httpx.get(f"http://{self.http}{path}", trust_env=False, timeout=DEADLINE)

    def post(self, path):
        return httpx.post(f"http://{self.http}{path}", trust_env=False, timeout=DEADLINE)

    def metrics(self):
        """Return sample with labels to value."""
        lines = [line for line in self.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def decided(self):
        """Count the decisions that the metrics show."""
        found = self.metrics().items()
        return sum(value for name, value in found if name.startswith("mcp_authz_decisions_total"))

    def replace(self, number, signum):
        """Send a worker a signal and wait until another serves in its place."""
        before = self.pids()[number]
        os.kill(before, signum)
        assert eventually(lambda: self.pids()[number] != before)

    def stop(self):
        """Ask it to end; gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def alive(pid):
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def channel(address):
    """Open a connection of its own: gRPC would share one between channels to the same address."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def ask(address, *, connections=1, each=1, source="", seconds=DEADLINE):
    """Send Checks over so many connections; gives how many were answered, each within so many seconds."""
    answered = 0
    for _ in range(connections):
        with channel(address) as connected:
            call = connected.unary_unary(METHOD)
            for _ in range(each):
                call(check_request(source), timeout=seconds, wait_for_ready=True)
                answered += 1
    return answered
