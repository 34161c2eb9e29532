#!/usr/bin/python3
"""A small caching HTTP proxy for package archives, so that the network does not count.

    bench/proxy.py DIR [PORT]

Listens on loopback, prints its address, and ends when standard input is closed, if that is a pipe.
Packages, which never change under their name, are kept in DIR for ever. Everything else (indices)
is kept while the proxy runs, so that all runs of a benchmark see one state of the archive.
HTTP only: what is encrypted cannot be kept. Where http_proxy is set, it is asked in turn.
"""

import collections
import hashlib
import http.server
import os
import pathlib
import shutil
import stat
import sys
import tempfile
import threading
import urllib.error
import urllib.request

TIMEOUT = 60  # seconds without a byte from the archive
KEPT = (".deb", ".udeb")


class Store:
    """Answers by address: a file for the body, one beside it for the time of the last change."""

    def __init__(self, directory):
        self.kept = pathlib.Path(directory)
        self.kept.mkdir(parents=True, exist_ok=True)
        self.session = tempfile.TemporaryDirectory(prefix="session-", dir=directory)
        self.locks = collections.defaultdict(threading.Lock)

    def get(self, address):
        """The body's file and its Last-Modified, fetched if need be; raises HTTPError and OSError."""
        directory = self.kept if address.endswith(KEPT) else pathlib.Path(self.session.name)
        body = directory / hashlib.sha256(address.encode()).hexdigest()
        date = body.with_suffix(".date")
        with self.locks[address]:
            if not body.exists():
                with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, \
                        tempfile.NamedTemporaryFile(dir=directory, delete=False) as part:
                    shutil.copyfileobj(answer, part, 1 << 20)
                    length = answer.headers.get("Content-Length")
                    complete = length is None or part.tell() == int(length)
                if not complete:
                    os.unlink(part.name)
                    raise OSError(f"{address} ended early")
                date.write_text(answer.headers.get("Last-Modified") or "")
                os.replace(part.name, body)
        return body, date.read_text() if date.exists() else ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from the store."""

    protocol_version = "HTTP/1.1"
    store = None

    def log_message(self, format, *arguments):
        pass

    def do_GET(self):
        if not self.path.startswith("http://"):
            return self.empty(400)
        try:
            body, date = self.store.get(self.path)
        except urllib.error.HTTPError as error:
            return self.empty(error.code)
        except OSError:
            return self.empty(502)
        if date and self.headers.get("If-Modified-Since") == date:
            return self.empty(304)
        with body.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            if date:
                self.send_header("Last-Modified", date)
            self.end_headers()
            if self.command == "GET":
                shutil.copyfileobj(file, self.wfile, 1 << 20)

    do_HEAD = do_GET

    def empty(self, code):
        """An answer without a body."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main():
    """Serves until told to end."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    Handler.store = Store(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) == 3 else 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        Handler.store.session.cleanup()


if __name__ == "__main__":
    main()
