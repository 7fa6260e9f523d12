"""Servers on loopback that speak the part of Immich's and PhotoPrism's API that ismila uses.

What they are asked and what they answer is held against shapes taken from Immich's OpenAPI 3.0.0 (packages/sdk) and
PhotoPrism's Go structs: a field of another name or type is a failed test. Faults can be switched on.
"""

import hashlib
import json
import re
import sys
import threading
import time
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

KEY = "s3cret-t0ken"
NOW = "2026-11-26T10:00:00.000Z"
MAYBE_TEXT = (str, type(None))


def misfit(value, shape, where="body"):
    """Where a value does not fit a shape; empty when it does.

    A shape is a type or several, a set of allowed values, `[shape]`, or a dict whose names end with `?` where they
    may be missing; a name that the dict has not is a misfit.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where}: {value!r} is no object"
        names = {name.rstrip("?"): (name.endswith("?"), inner) for name, inner in shape.items()}
        if extra := set(value) - set(names):
            return f"{where}: {extra} is not in the API"
        for name, (optional, inner) in names.items():
            if name not in value and not optional:
                return f"{where}: {name} is missing"
            if name in value and (found := misfit(value[name], inner, f"{where}.{name}")):
                return found
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where}: {value!r} is no list"
        return next(filter(None, (misfit(one, shape[0], f"{where}[]") for one in value)), "")
    if isinstance(shape, set):
        return "" if value in shape else f"{where}: {value!r} is none of {shape}"
    fits = isinstance(value, shape) and not (isinstance(value, bool) and shape in (int, float))
    return "" if fits else f"{where}: {value!r} is no {shape}"


class PhotoServer:
    """What both have in common.

    Attributes:
        faults: name -> how often it still happens.
        calls: `METHOD /path` with ids left out -> how often.
        misfits: what was asked or answered against the API.
        seen: every header and address that came, to look for a token in.
    """

    prefix = ""
    shapes = {}

    def __init__(self, photos):
        self.photos = dict(photos)  # name -> bytes
        self.faults = Counter()
        self.calls = Counter()
        self.misfits = []
        self.seen = []
        self.leads_to = ""
        self.content = None  # answers everything
        self.status = 200
        self.bomb = b""
        self.drip_s = 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

        for method in ("GET", "POST", "PUT", "DELETE"):
            setattr(Handler, f"do_{method}", server.handle_of())
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = self.note_error
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        assert not self.misfits, self.misfits[:3]

    def note_error(self, *_):
        error = sys.exception()
        if not isinstance(error, ConnectionError):  # who asks may hang up
            self.misfits.append(repr(error))

    def handle_of(self):
        return lambda handler: self.handle(handler)

    def happens(self, fault):
        if self.faults[fault] > 0:
            self.faults[fault] -= 1
            return True
        return False

    def handle(self, handler):
        address = urlsplit(handler.path)
        self.seen.append((handler.path, dict(handler.headers)))
        length = int(handler.headers.get("Content-Length") or 0)
        content = handler.rfile.read(length)
        body = json.loads(content) if content else None
        path = address.path.removeprefix(self.prefix)
        name = f"{handler.command} {self.without_ids(path)}"
        self.calls[name] += 1
        if self.drip_s:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            for _ in range(1000):
                handler.wfile.write(b"x")
                time.sleep(self.drip_s)
            return None
        if self.bomb:
            return self.send(handler, 200, self.bomb, **{"Content-Encoding": "gzip"})
        if self.content is not None:
            return self.send(handler, self.status, self.content)
        if self.happens("429"):
            return self.send(handler, 429, b"slow down", **{"Retry-After": "0"})
        if self.happens("503"):
            return self.send(handler, 503, b"", **{"Retry-After": "0"})
        if self.happens("html"):
            return self.send(handler, 200, b"<html>a page</html>", "text/html")
        if self.faults["down after"] and sum(self.calls.values()) > self.faults["down after"]:
            return self.send(handler, 503, b"", **{"Retry-After": "0"})
        is_deaf = 0 < self.faults["deaf after"] <= sum(self.calls.values())
        if self.leads_to:
            return self.send(handler, 302, b"", Location=f"{self.leads_to}{handler.path}")
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        if name not in self.shapes and not self.is_file(name):
            return self.send(handler, 404, b'{"message": "Cannot %s"}' % name.encode())
        if (status := self.refused(handler, name, query)) is not None:
            return self.send(handler, status, json.dumps({"message": "no"}).encode())
        if self.is_file(name):
            return self.send_file(handler, path, query)
        allowed, asked, answered = self.shapes[name]
        if extra := set(query) - set(allowed):
            self.misfits.append(f"{name}: {extra} in the address")
        if asked is not None and (found := misfit(body, asked)):
            self.misfits.append(f"{name} asked: {found}")
        status, answer = self.answer(name, path, query, body)
        if status < 400 and (found := misfit(answer, answered)):
            self.misfits.append(f"{name} answered: {found}")
        if is_deaf:  # it was done, and nobody hears of it
            return self.send(handler, 503, b"", **{"Retry-After": "0"})
        return self.send(handler, status, json.dumps(answer).encode(), **self.headers())

    def headers(self):
        return {}

    def send(self, handler, status, body, kind="application/json", **headers):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


TAG = {
    "id": str,
    "name": str,
    "value": str,
    "createdAt": str,
    "updatedAt": str,
    "color?": str,
    "parentId?": str,
}
ALBUM = {
    "id": str, "albumName": str, "albumThumbnailAssetId": MAYBE_TEXT, "albumUsers": [dict], "assetCount": int,
    "createdAt": str, "description": str, "hasSharedLink": bool, "isActivityEnabled": bool, "shared": bool,
    "updatedAt": str,
}  # fmt: skip
ASSET = {
    "id": str, "checksum": str, "createdAt": str, "duration": (int, type(None)), "fileCreatedAt": str,
    "fileModifiedAt": str, "hasMetadata": bool, "height": (int, type(None)), "width": (int, type(None)),
    "isArchived": bool, "isEdited": bool, "isFavorite": bool, "isOffline": bool, "isTrashed": bool,
    "localDateTime": str, "originalFileName": str, "originalPath": str, "ownerId": str, "thumbhash": MAYBE_TEXT,
    "type": {"IMAGE", "VIDEO", "AUDIO", "OTHER"}, "updatedAt": str,
    "visibility": {"archive", "timeline", "hidden", "locked"}, "people?": [dict],
}  # fmt: skip
PERSON = {
    "id": str, "name": str, "birthDate": MAYBE_TEXT, "isHidden": bool, "thumbnailPath": str, "color?": str,
    "isFavorite?": bool, "updatedAt?": str,
}  # fmt: skip
FACE = {
    "id": str, "boundingBoxX1": int, "boundingBoxX2": int, "boundingBoxY1": int, "boundingBoxY2": int,
    "imageHeight": int, "imageWidth": int, "sourceType?": str,
}  # fmt: skip
BULK = {
    "id": str, "success": bool, "errorMessage?": str,
    "error?": {"duplicate", "no_permission", "not_found", "unknown", "validation"},
}  # fmt: skip
FOUND = {
    "albums": {"count": int, "total": int, "items": [dict], "facets": [dict]},
    "assets": {
        "count": int,
        "total": int,
        "items": [ASSET],
        "facets": [dict],
        "nextPage": MAYBE_TEXT,
    },
}
QUERY = {
    "tagIds?": [str], "albumIds?": [str], "personIds?": [str], "page?": int, "size?": int,
    "type?": {"IMAGE", "VIDEO", "AUDIO", "OTHER"}, "withPeople?": bool,
}  # fmt: skip
CHECKED = {
    "id": str, "action": {"accept", "reject"}, "assetId?": str, "isTrashed?": bool,
    "reason?": {"duplicate", "unsupported-format"},
}  # fmt: skip
IDS = {"ids": [str]}


class ImmichServer(PhotoServer):
    """One user's photos. `people`, `tags` and `albums` are name -> ids of assets.

    Attributes:
        rights: those of the key; None is all.
        external: path on the server -> name, photos of an external library.
        others: ids of assets that belong to somebody else.
        offline, deleted: ids of assets whose file is not there, and of those that go while they are asked for.
        trashed: ids of assets in the bin.
    """

    prefix = "/api"
    shapes = {
        "GET /server/version": ((), None, {"major": int, "minor": int, "patch": int}),
        "POST /assets/bulk-upload-check": (
            (), {"assets": [{"id": str, "checksum": str}]}, {"results": [CHECKED]},
        ),
        "GET /tags": ((), None, [TAG]),
        "PUT /tags": ((), {"tags": [str]}, [TAG]),
        "PUT /tags/ID/assets": ((), IDS, [BULK]),
        "DELETE /tags/ID/assets": ((), IDS, [BULK]),
        "GET /albums": ((), None, [ALBUM]),
        "POST /albums": ((), {"albumName": str, "description?": str, "assetIds?": [str]}, ALBUM),
        "PUT /albums/ID/assets": ((), IDS, [BULK]),
        "DELETE /albums/ID/assets": ((), IDS, [BULK]),
        "POST /search/metadata": ((), QUERY, FOUND),
        "GET /people": (
            ("page", "size", "withHidden"), None,
            {"people": [PERSON], "hidden": int, "total": int, "hasNextPage?": bool},
        ),
    }  # fmt: skip
    rights_for = {
        "POST /assets/bulk-upload-check": "asset.upload", "GET /tags": "tag.read", "PUT /tags": "tag.create",
        "PUT /tags/ID/assets": "tag.asset", "DELETE /tags/ID/assets": "tag.asset", "GET /albums": "album.read",
        "POST /albums": "album.create", "PUT /albums/ID/assets": "albumAsset.create",
        "DELETE /albums/ID/assets": "albumAsset.delete", "POST /search/metadata": "asset.read",
        "GET /people": "person.read", "GET /assets/ID/original": "asset.download",
    }  # fmt: skip

    def __init__(self, photos):
        super().__init__(photos)
        self.people, self.tags, self.albums = {}, {}, {}
        self.boxes = {}
        self.trashed = set()
        self.external = {}
        self.others = set()
        self.offline = set()
        self.deleted = set()
        self.rights = None
        self.page_size = 1000
        self.endless = 0  # pages of photos that never were

    def id_of(self, name):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def without_ids(self, path):
        return re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/ID", path)

    def is_file(self, name):
        return name == "GET /assets/ID/original"

    def refused(self, handler, name, query):
        if name == "GET /server/version":
            return None
        if handler.headers.get("x-api-key") != KEY:
            return 401
        return 403 if self.rights is not None and self.rights_for[name] not in self.rights else None

    def checksums(self):
        found = {hashlib.sha1(content).hexdigest(): name for name, content in self.photos.items()}
        for path, name in self.external.items():
            found = {checksum: one for checksum, one in found.items() if one != name}
            found[hashlib.sha1(f"path:{path}".encode()).hexdigest()] = name
        return found

    def send_file(self, handler, path, query):
        by_id = {self.id_of(name): content for name, content in self.photos.items()}
        by_id = {one: content for one, content in by_id.items() if one not in self.deleted}
        content = by_id.get(path.split("/")[2])
        return self.send(
            handler, 200 if content else 404, content or b"{}", "application/octet-stream"
        )

    def answer(self, name, path, query, body):
        marks = {"tags": self.tags, "albums": self.albums}.get(path.split("/")[1], {})
        if name == "GET /server/version":
            return 200, {"major": 3, "minor": 0, "patch": 0}
        if name == "POST /assets/bulk-upload-check":
            return 200, {"results": [self.checked(one) for one in body["assets"]]}
        if name == "GET /tags":
            return 200, [self.tag(one) for one in self.tags]
        if name == "PUT /tags":
            for one in body["tags"]:
                self.tags.setdefault(one, set())
            return 200, [self.tag(one) for one in body["tags"]]
        if name == "GET /albums":
            return 200, [self.album(one) for one in self.albums]
        if name == "POST /albums":
            self.albums[body["albumName"]] = set()
            return 201, self.album(body["albumName"])
        if name.endswith("/ID/assets"):
            return 200, self.changed(name.split()[0], marks, path.split("/")[2], body["ids"])
        if name == "POST /search/metadata":
            return 200, self.found(body)
        if name == "GET /people":
            people = [self.person(one) for one in self.people]
            size = int(query["size"])
            start = (int(query["page"]) - 1) * size
            more = len(people) > start + size
            return 200, {
                "people": people[start : start + size], "hidden": 0, "total": len(people), "hasNextPage": more,
            }  # fmt: skip
        raise KeyError(name)

    def checked(self, asked):
        name = self.checksums().get(asked["checksum"])
        if name is None:
            return {"id": asked["id"], "action": "accept"}
        asset_id = self.id_of(name)
        return {
            "id": asked["id"], "action": "reject", "reason": "duplicate", "assetId": asset_id,
            "isTrashed": asset_id in self.trashed,
        }  # fmt: skip

    def changed(self, method, marks, mark_id, ids):
        carried = next(
            ids_of for one, ids_of in marks.items() if self.id_of(f"mark {one}") == mark_id
        )
        known = {self.id_of(name) for name in self.photos}
        results = []
        for one in ids:
            error = "no_permission" if one not in known - self.others else None
            if method == "PUT" and one in carried:
                error = "duplicate"
            if method == "DELETE" and one not in carried:
                error = "not_found"
            if error is None:
                carried.add(one) if method == "PUT" else carried.discard(one)
            results.append(
                {"id": one, "success": error is None} | ({"error": error} if error else {})
            )
        return results

    def found(self, query):
        ids = {self.id_of(name) for name in self.photos} - self.trashed
        for key, marks in (
            ("tagIds", self.tags),
            ("albumIds", self.albums),
            ("personIds", self.people),
        ):
            for mark_id in query.get(key, []):
                ids &= next(of for one, of in marks.items() if self.id_of(f"mark {one}") == mark_id)
        names = sorted(name for name in self.photos if self.id_of(name) in ids)
        size = min(query.get("size", 250), self.page_size)
        start = (query.get("page", 1) - 1) * size
        if self.endless:
            return self.page_of_endless(query)
        items = [self.asset(name) for name in names[start : start + size]]
        for item in items if query.get("withPeople") else []:
            item["people"] = self.people_in(item["id"])
        next_page = str(query.get("page", 1) + 1) if len(names) > start + size else None
        nothing = {"count": 0, "total": 0, "items": [], "facets": []}
        assets = {
            "count": len(items),
            "total": len(items),
            "items": items,
            "facets": [],
            "nextPage": next_page,
        }
        return {"albums": nothing, "assets": assets}

    def page_of_endless(self, query):
        page = query["page"]
        first = self.asset("0.jpg")
        items = [first | {"id": str(uuid.UUID(int=page * 1000 + number))} for number in range(1000)]
        next_page = str(page + 1) if page < self.endless else None
        nothing = {"count": 0, "total": 0, "items": [], "facets": []}
        return {"albums": nothing, "assets": {**nothing, "items": items, "nextPage": next_page}}

    def people_in(self, asset_id):
        people = [name for name, ids in self.people.items() if asset_id in ids]
        return [self.person(name) | {"faces": self.faces(asset_id, name)} for name in people]

    def faces(self, asset_id, person):
        faces = [
            {
                "id": self.id_of(f"face {number}"), "imageWidth": 1000, "imageHeight": 500, "sourceType": "manual",
                "boundingBoxX1": box[0], "boundingBoxY1": box[1], "boundingBoxX2": box[2], "boundingBoxY2": box[3],
            }
            for number, (name, box) in enumerate(self.boxes.get(asset_id, []))
            if name == person
        ]  # fmt: skip
        assert not misfit(faces, [FACE])
        return faces

    def tag(self, name):
        return {
            "id": self.id_of(f"mark {name}"), "name": name.rpartition("/")[2], "value": name, "createdAt": NOW,
            "updatedAt": NOW,
        }  # fmt: skip

    def album(self, name):
        return {
            "id": self.id_of(f"mark {name}"), "albumName": name, "albumThumbnailAssetId": None, "albumUsers": [],
            "assetCount": len(self.albums[name]), "createdAt": NOW, "description": "", "hasSharedLink": False,
            "isActivityEnabled": True, "shared": False, "updatedAt": NOW,
        }  # fmt: skip

    def person(self, name):
        return {
            "id": self.id_of(f"mark {name}"), "name": name, "birthDate": None, "isHidden": False,
            "thumbnailPath": "",
        }  # fmt: skip

    def asset(self, name):
        content = self.photos[name]
        return {
            "id": self.id_of(name), "checksum": hashlib.sha1(content).hexdigest(), "createdAt": NOW,
            "duration": None, "fileCreatedAt": NOW, "fileModifiedAt": NOW, "hasMetadata": True, "height": 120,
            "width": 160, "isArchived": False, "isEdited": False, "isFavorite": False,
            "isOffline": self.id_of(name) in self.offline,
            "isTrashed": False, "localDateTime": NOW, "originalFileName": name, "ownerId": self.id_of("owner"),
            "originalPath": f"/data/upload/{name}", "thumbhash": None, "type": "IMAGE", "updatedAt": NOW,
            "visibility": "timeline",
        }  # fmt: skip


ROW = {
    "UID": str, "Type": str, "Title": str, "Path": str, "Name": str, "OriginalName": str, "FileUID": str,
    "FileRoot": str, "FileName": str, "Hash": str, "Width": int, "Height": int, "Merged": bool, "TakenAt": str,
    "Files": (list, type(None)),
}  # fmt: skip
LABEL = {
    "ID": int,
    "UID": str,
    "Slug": str,
    "CustomSlug": str,
    "Name": str,
    "Priority": int,
    "PhotoCount": int,
}
PRISM_ALBUM = {
    "UID": str,
    "Slug": str,
    "Type": str,
    "Title": str,
    "CreatedAt": str,
    "UpdatedAt": str,
}
SUBJECT = {"UID": str, "Slug": str, "Name": str, "Type": str, "PhotoCount": int}
PHOTO = {
    "UID": str, "Type": str, "Title": str, "TakenAt": str,
    "Labels": [{"PhotoID": int, "LabelID": int, "LabelSrc": str, "Uncertainty": int, "Label": dict}],
}  # fmt: skip
PAGES = ("count", "offset", "order")


class PhotoPrismServer(PhotoServer):
    """`people`, `labels` and `albums` are name -> UIDs of photos.

    Attributes:
        roots: name -> root of a file that PhotoPrism made itself ("sidecar").
        vanishing: UIDs of photos that are found, and gone when they are asked for.
    """

    prefix = "/api/v1"
    shapes = {
        "GET /status": ((), None, {"status": str}),
        "GET /config": ((), None, {"downloadToken?": str, "version": str}),
        "GET /photos": (
            (*PAGES, "merged", "hash", "label", "s", "subject", "keywords"),
            None,
            [ROW],
        ),
        "GET /photos/UID": ((), None, PHOTO),
        "POST /photos/UID/label": ((), {"Name": str, "Priority?": int, "Uncertainty?": int}, PHOTO),
        "DELETE /photos/UID/label/ID": ((), None, PHOTO),
        "GET /labels": ((*PAGES, "all"), None, [LABEL]),
        "GET /albums": ((*PAGES, "type"), None, [PRISM_ALBUM]),
        "GET /subjects": ((*PAGES, "type"), None, [SUBJECT]),
        "POST /albums": ((), {"Title": str, "Favorite?": bool}, PRISM_ALBUM),
        "POST /albums/UID/photos": (
            (),
            {"photos": [str]},
            {"code": int, "message": str, "added": list},
        ),
        "DELETE /albums/UID/photos": (
            (),
            {"photos": [str]},
            {"code": int, "message": str, "removed": list},
        ),
    }
    download_token = "d0wnl0ad"

    def __init__(self, photos):
        super().__init__(photos)
        self.people, self.labels, self.albums, self.keywords = {}, {}, {}, {}
        self.roots = {}
        self.vanishing = set()
        self.renames = False  # labels with odd characters

    def uid_of(self, name, kind="p"):
        return f"{kind}s{hashlib.sha1(name.encode()).hexdigest()[:14]}"

    def label_id(self, name):
        return int(hashlib.sha1(name.lower().encode()).hexdigest()[:6], 16)

    def without_ids(self, path):
        path = re.sub(r"/[pa]s[0-9a-f]{14}", "/UID", path)
        path = re.sub(r"/dl/[0-9a-f]{40}", "/dl/HASH", path)
        return re.sub(r"/label/[0-9]+", "/label/ID", path)

    def is_file(self, name):
        return name == "GET /dl/HASH"

    def headers(self):
        return {"X-Download-Token": self.download_token} if self.download_token else {}

    def refused(self, handler, name, query):
        if name == "GET /status":
            return None
        if self.is_file(name):
            return None if query.get("t") == self.download_token else 403
        return None if handler.headers.get("Authorization") == f"Bearer {KEY}" else 401

    def send_file(self, handler, path, query):
        hashes = {hashlib.sha1(content).hexdigest(): content for content in self.photos.values()}
        content = hashes.get(path.rpartition("/")[2])
        return self.send(handler, 200 if content else 404, content or b"", "image/jpeg")

    def answer(self, name, path, query, body):
        parts = path.split("/")
        if name == "GET /status":
            return 200, {"status": "operational"}
        if name == "GET /config":
            return 200, {"version": "test", "downloadToken": self.download_token}
        if name == "GET /photos":
            return 200, self.rows(query)
        if (
            name.startswith("POST /photos")
            or name.startswith("DELETE /photos")
            or name == "GET /photos/UID"
        ):
            return self.photo(name, parts, body)
        if name == "POST /albums":
            self.albums.setdefault(body["Title"], set())
            return 200, self.album(body["Title"])
        if name.endswith("/UID/photos"):
            return 200, self.changed(name.split()[0], parts[2], body["photos"])
        listed = {
            "GET /labels": [self.label(one) for one in self.labels],
            "GET /albums": [self.album(one) for one in self.albums],
            "GET /subjects": [self.subject(one) for one in self.people],
        }[name]
        start = int(query["offset"])
        return 200, listed[start : start + int(query["count"])]

    def rows(self, query):
        uids = {self.uid_of(name) for name in self.photos}
        for key, marks, kind in (
            ("label", self.labels, "slug"),
            ("s", self.albums, "a"),
            ("subject", self.people, "j"),
        ):
            if key in query:
                known = {
                    one.lower() if kind == "slug" else self.uid_of(one, kind): of
                    for one, of in marks.items()
                }
                uids &= known.get(query[key], set())
        if "keywords" in query:
            uids &= self.keywords.get(query["keywords"], set())
        rows = [self.row(name) for name in sorted(self.photos) if self.uid_of(name) in uids]
        if "hash" in query:
            rows = [row for row in rows if row["Hash"] in query["hash"].split("|")]
        start = int(query["offset"])
        return rows[start : start + int(query["count"])]

    def photo(self, name, parts, body):
        uid = parts[2]
        if uid not in {self.uid_of(one) for one in self.photos} - self.vanishing:
            return 404, {"error": "Entity not found"}
        if name.startswith("POST") and self.renames:
            body["Name"] = "".join(c for c in body["Name"] if c.isalpha())
        if name.startswith("POST"):
            known = next(
                (one for one in self.labels if one.lower() == body["Name"].lower()),
                body["Name"].capitalize(),
            )
            self.labels.setdefault(known, set()).add(uid)
        if name.startswith("DELETE"):
            for one, uids in self.labels.items():
                if self.label_id(one) == int(parts[4]):
                    uids.discard(uid)
        labels = [
            {
                "PhotoID": 1, "LabelID": self.label_id(one), "LabelSrc": "manual", "Uncertainty": 0,
                "Label": self.label(one),
            }
            for one, uids in self.labels.items()
            if uid in uids
        ]  # fmt: skip
        return 200, {"UID": uid, "Type": "image", "Title": "", "TakenAt": NOW, "Labels": labels}

    def changed(self, method, album_uid, uids):
        carried = next(of for one, of in self.albums.items() if self.uid_of(one, "a") == album_uid)
        if method == "POST":
            carried.update(uids)
            return {
                "code": 200,
                "message": "Changes saved",
                "added": [{"PhotoUID": uid} for uid in uids],
            }
        carried.difference_update(uids)
        return {
            "code": 200,
            "message": "Changes saved",
            "removed": [{"PhotoUID": uid} for uid in uids],
        }

    def row(self, name):
        return {
            "UID": self.uid_of(name), "Type": "image", "Title": "", "Path": "2026", "Name": name.rpartition(".")[0],
            "OriginalName": "", "FileUID": self.uid_of(name, "f"), "FileRoot": self.roots.get(name, "/"),
            "FileName": f"2026/{name}", "Hash": hashlib.sha1(self.photos[name]).hexdigest(), "Width": 160,
            "Height": 120, "Merged": False, "TakenAt": NOW, "Files": None,
        }  # fmt: skip

    def label(self, name):
        return {
            "ID": self.label_id(name), "UID": self.uid_of(name, "l"), "Slug": name.lower(),
            "CustomSlug": name.lower(), "Name": name, "Priority": 0, "PhotoCount": len(self.labels.get(name, ())),
        }  # fmt: skip

    def album(self, name):
        return {
            "UID": self.uid_of(name, "a"), "Slug": name.lower(), "Type": "album", "Title": name, "CreatedAt": NOW,
            "UpdatedAt": NOW,
        }  # fmt: skip

    def subject(self, name):
        return {
            "UID": self.uid_of(name, "j"), "Slug": name.lower(), "Name": name, "Type": "person", "PhotoCount": 1,
        }  # fmt: skip
