"""A server on loopback that speaks the part of Flickr's REST that `ismila fetch` uses, with faults to switch on."""

import functools
import gzip
import io
import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from PIL import Image

NSID = "12345678@N00"
FIRST_UPLOAD = 1_500_000_000


def jpeg(seed: int, size=(340, 320)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(out, "JPEG", quality=80, comment=str(seed).encode())
    return out.getvalue()


@functools.cache
def bomb():
    """Half a megabyte that unpacks to a hundred."""
    return gzip.compress(bytes(100 * 2**20), 1)


class FlickrServer:
    """Serves `photos` (dicts with id, tags, dateupload, title, datetaken) of one user.

    Attributes:
        faults: name -> how often it still happens (a large number: always), or for some a photo id.
        calls: how often each API method was called; "photo" counts downloads.
    """

    def __init__(self, photos, key="goodkey", body=None):
        self.photos, self.key, self.body = photos, key, body
        self.faults, self.calls, self.times, self.slow_s = Counter(), Counter(), [], 0.0
        self.answer = None  # to every call
        self.order = -1  # the newest upload first
        self.ids = {str(photo["id"]): number for number, photo in enumerate(photos)}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.photo(self, self.path)

            def do_POST(self):
                form = dict(
                    parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
                )
                if "/oauth/" in self.path:
                    server.send(
                        self,
                        200,
                        b"oauth_token=t&oauth_token_secret=s&fullname=x&username=x&user_nsid=x",
                    )
                else:
                    server.api(self, form)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: (
            None
        )  # who asked may hang up: that is what some tests are about
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def happens(self, fault):
        if self.faults[fault] > 0:
            self.faults[fault] -= 1
            return True
        return False

    def send(self, handler, status, body, kind="application/json", **headers):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def api(self, handler, form):
        method = form.get("method", "")
        self.calls[method] += 1
        self.times.append(time.monotonic())
        if self.happens("api 429"):
            return self.send(handler, 429, b"slow down", Retry_After="1")
        if self.happens("api 500"):
            return self.send(handler, 500, b"oops")
        if self.happens("api html"):
            return self.send(handler, 200, b"<html>Bad, bad panda</html>", "text/html")
        if self.happens("api endless"):
            body = gzip.compress(b'{"stat": "ok", "x": "' + bytes(100 * 2**20), 1)
            return self.send(handler, 200, body, Content_Encoding="gzip")
        if self.answer is not None:
            answer = self.answer
        elif form.get("api_key") != self.key:
            answer = {
                "stat": "fail",
                "code": 100,
                "message": "Invalid API Key (Key has invalid format)",
            }
        elif method == "flickr.people.findByUsername":
            known = form.get("username") == "Mila's human"
            answer = {"user": {"id": NSID, "nsid": NSID}, "stat": "ok"} if known else self.unknown
        elif method == "flickr.urls.lookupUser":
            known = form.get("url", "").rstrip("/").endswith("/photos/milashuman")
            answer = (
                {"user": {"id": NSID, "username": {"_content": "x"}}, "stat": "ok"}
                if known
                else self.unknown
            )
        elif method == "flickr.people.getPhotos" and form.get("user_id") == NSID:
            answer = {"photos": self.page(form), "stat": "ok"}
        else:
            answer = self.unknown
        return self.send(handler, 200, json.dumps(answer).encode())

    unknown = {"stat": "fail", "code": 1, "message": "User not found"}

    def page(self, form):
        low, high = int(form.get("min_upload_date", 0)), int(form.get("max_upload_date", 2**40))
        found = sorted(
            (p for p in self.photos if low <= p["dateupload"] <= high),
            key=lambda p: self.order * p["dateupload"],
        )
        size, number = min(int(form.get("per_page", 100)), 500), int(form.get("page", 1))
        if self.happens("shuffled"):
            random.Random(self.faults["shuffled"]).shuffle(found)
        if number > 1 and self.happens("page repeated"):
            number -= 1
        at = [i % 4000 for i in range((number - 1) * size, min(number * size, len(found)))]
        listed = [self.listed(found[i]) for i in at]
        return {
            "page": number,
            "pages": -(-len(found) // size),
            "total": str(len(found) + self.faults["never listed"]),
            "photo": listed,
        }

    def listed(self, photo):
        sizes = {"t": (100, 94), "n": (320, 301), "w": (400, 376), "l": (1024, 960)}
        urls = {}
        for suffix, (width, height) in sizes.items():
            urls |= {
                f"url_{suffix}": f"{self.address}/{photo['id']}_{suffix}.jpg",
                f"width_{suffix}": width,
                f"height_{suffix}": str(height),
            }
        return {
            **photo,
            "dateupload": str(photo["dateupload"]),
            "owner": NSID,
            "license": "4",
            **urls,
        }

    def body_of(self, photo_id):
        return self.body or jpeg(self.ids[photo_id])

    def photo(self, handler, path):
        self.calls["photo"] += 1
        name = urlsplit(path).path.strip("/")
        photo_id, _, suffix = name.removesuffix(".jpg").rpartition("_")
        if name.startswith("photo_unavailable"):
            return self.send(handler, 200, jpeg(0), "image/jpeg")
        if photo_id not in self.ids or suffix != "w":
            return self.send(handler, 404, b"")
        if self.happens("photo leads on"):
            return self.send(handler, 302, bomb(), Location=path, Content_Encoding="gzip")
        if self.happens("photo endless"):
            return self.send(handler, 200, bomb(), Content_Encoding="gzip")
        time.sleep(self.slow_s)
        if photo_id == str(self.faults.get("unavailable")):
            return self.send(handler, 302, b"", Location=f"{self.address}/photo_unavailable.png")
        if photo_id == str(self.faults.get("broken")):
            return self.send(handler, 200, b"<html>not a photo</html>", "image/jpeg")
        for status in (429, 503):
            if self.happens(f"photo {status}"):
                return self.send(
                    handler, status, b"", **({"Retry_After": "1"} if status == 429 else {})
                )
        body = self.body_of(photo_id)
        if self.happens("cut"):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
            return None
        return self.send(handler, 200, body, "image/jpeg")


def some_photos(n, first_id=1000):
    """Every fourth is the dog, every eighth another dog, the rest anything; two uploads a minute."""
    tags = {
        0: "Mila dog",
        1: "dog park",
        2: "beach",
        3: "",
        4: "mila",
        5: "cat",
        6: "car",
        7: "food",
    }
    return [
        {
            "id": str(first_id + i),
            "title": f"photo {i}",
            "tags": tags[i % 8].lower(),
            "dateupload": FIRST_UPLOAD + 30 * i,
            "datetaken": f"2016-05-{i % 28 + 1:02} 10:{i % 60:02}:00",
            "datetakenunknown": "0",
            "media": "photo",
        }
        for i in range(n)
    ]
