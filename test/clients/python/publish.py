"""Publishes over a plain socket and reads the answers by the rules of nats.py.

Only the standard library is used: the client is not in Debian's packages. The
rules are that the error object becomes the keyword arguments of APIError, so
that an unknown key is a TypeError, and that an ack takes the keys that it knows.

usage: publish.py HOST PORT SUBJECT STREAM
prints a line for each request: its name, what was raised or "ack", err_code, seq, duplicate
"""

import dataclasses
import json
import socket
import sys


class APIError(Exception):
    def __init__(self, code=None, description=None, err_code=None, stream=None, seq=None):
        super().__init__(description)
        self.code, self.err_code = code, err_code


class BadRequest(APIError):
    pass


class NotFound(APIError):
    pass


class ServerError(APIError):
    pass


class Unavailable(APIError):
    pass


CLASSES = {400: BadRequest, 404: NotFound, 500: ServerError, 503: Unavailable}


class NoResponders(Exception):
    err_code = 0


@dataclasses.dataclass
class PubAck:
    stream: str
    seq: int
    domain: str | None = None
    duplicate: bool | None = None


class Connection:
    INBOX = "_INBOX.python"

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=60)
        self.input = self.socket.makefile("rb")
        self.answers = 0
        self.line()  # INFO
        options = {"verbose": False, "headers": True, "no_responders": True, "lang": "python", "version": "0"}
        self.send(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        self.send(f"SUB {self.INBOX}.* 1\r\n".encode())

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server has closed the connection")
        return line[:-2].decode()

    def request(self, subject, data, headers):
        self.answers += 1
        reply = f"{self.INBOX}.{self.answers}"
        block = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        block = f"NATS/1.0\r\n{block}\r\n".encode()
        self.send(f"HPUB {subject} {reply} {len(block)} {len(block) + len(data)}\r\n".encode() + block + data + b"\r\n")
        while True:
            operation, *rest = self.line().split(" ")
            if operation == "PING":
                self.send(b"PONG\r\n")
            elif operation == "-ERR":
                raise EOFError(" ".join(rest))
            elif operation in ("MSG", "HMSG"):
                size = int(rest[-1])
                split = int(rest[-2]) if operation == "HMSG" else 0
                message = self.input.read(size + 2)[:size]
                if rest[0] == reply:
                    return message[:split], message[split:]

    def publish(self, subject, data=b"", headers=None):
        status, answer = self.request(subject, data, headers or {})
        if status.startswith(b"NATS/1.0 503"):
            raise NoResponders
        response = json.loads(answer)
        if "error" in response:
            error = response["error"]
            raise CLASSES.get(error["code"], APIError)(**error)
        known = {field.name for field in dataclasses.fields(PubAck)}
        return PubAck(**{key: value for key, value in response.items() if key in known})


def main():
    host, port, subject, stream = sys.argv[1:]
    connection = Connection(host, int(port))
    requests = [
        ("plain", subject, b"plain", {}),
        ("right stream", subject, b"right", {"Nats-Expected-Stream": stream}),
        ("message id", subject, b"id", {"Nats-Msg-Id": "1"}),
        ("message id again", subject, b"id", {"Nats-Msg-Id": "1"}),
        ("another stream", subject, b"x", {"Nats-Expected-Stream": "OTHER"}),
        ("another last sequence", subject, b"x", {"Nats-Expected-Last-Sequence": "1"}),
        ("last sequence", subject, b"expected", {"Nats-Expected-Last-Sequence": "3"}),
        ("another last id", subject, b"x", {"Nats-Expected-Last-Msg-Id": "other"}),
        ("too large", subject, b"x" * (2 * 1024 * 1024 + 1), {}),
        ("unknown topic", subject + "7", b"x", {}),
    ]
    for name, to, data, headers in requests:
        try:
            ack = connection.publish(to, data, headers)
            if not isinstance(ack.seq, int) or ack.stream != stream:
                raise TypeError(f"the ack is {ack}")
            result = "ack", 0, ack.seq, bool(ack.duplicate)
        except (APIError, NoResponders, TypeError) as error:
            result = type(error).__name__, getattr(error, "err_code", error), 0, False
        print(name, *result, sep="\t")


main()
