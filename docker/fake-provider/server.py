"""Answers as Vapi does when asked whether a key is right and what it opens: GET /assistant or /phone-number,
Authorization: Bearer KEY.

What happens is in the key:

    sk-good…        200 []
    sk-slow…        200 [] after 30 s
    sk-broken…      500
    sk-limited…     429 with Retry-After: 1
    sk-cut…         no answer: the connection is closed
    anything else   401
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PORT = 8090
SLOW = 30


class Provider(BaseHTTPRequestHandler):
    server_version, sys_version = "fake-provider", ""
    timeout = 60

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/healthz":
            return self.answer(200, {"ok": True})
        if path not in ("/assistant", "/phone-number"):
            return self.answer(404, {"message": f"Cannot GET {path}", "statusCode": 404})
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        self.judge(key if scheme.lower() == "bearer" else "")

    def judge(self, key):
        if key.startswith("sk-cut"):
            self.close_connection = True
        elif key.startswith("sk-broken"):
            self.answer(500, {"message": "Internal server error", "statusCode": 500})
        elif key.startswith("sk-limited"):
            self.answer(429, {"message": "Too Many Requests", "statusCode": 429}, ("Retry-After", "1"))
        elif key.startswith(("sk-good", "sk-slow")):
            time.sleep(SLOW if key.startswith("sk-slow") else 0)
            self.answer(200, [])
        else:
            self.answer(401, {"message": "Invalid Key.", "error": "Unauthorized", "statusCode": 401})

    def answer(self, status, body, *headers):
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code="-", size="-"):
        path = urlsplit(self.path).path
        if path != "/healthz":
            print(self.command, path, int(code), flush=True)  # never the key


if __name__ == "__main__":
    with ThreadingHTTPServer(("0.0.0.0", PORT), Provider) as server:
        server.daemon_threads = True
        server.serve_forever()
