"""Creates tasks one by one over one open connection, and notes when each call began and when its 201 came.

It is a process of its own, so that nothing else delays the notes.
"""

import argparse
import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.peers.given import paced

_JSON = {"Content-Type": "application/json"}
_TIMEOUT_S = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pauses", type=Path, required=True)
    parser.add_argument("--sent", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    connection = http.client.HTTPConnection(urlsplit(options.url).netloc, timeout=_TIMEOUT_S)

    def send(number: int) -> None:
        task = {"name": "probe", "type": "stamp", "payload": {"number": number}}
        connection.request("POST", "/tasks", json.dumps(task), _JSON)
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.CREATED:
            raise SystemExit(f"the response to POST /tasks was {response.status}: {body[:200]!r}")

    paced(send, json.loads(options.pauses.read_text()), options.sent)


if __name__ == "__main__":
    main()
