"""`ismila VERB`: each parses, makes one call, prints."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ismila.cli import console
from ismila.photos import UserError


def _shared(*names: str, **told: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, parents=told.pop("parents", []))
    parser.add_argument(*names, **told)
    return parser


SUBJECT = _shared("--subject", default="mila")
RUN = _shared(
    "--run",
    default="best",
    help="best, latest, an alias, a run id or its beginning",
    parents=[SUBJECT],
)
ALBUM = _shared("--root", type=Path, help="the album, when it has moved since the run")
JSON = _shared("--json", action="store_true", help="one JSON object a line")


def make_parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    parser = argparse.ArgumentParser(
        prog="ismila",
        description="Is it Mila? Train with: python -m ismila.train model=mobilenet data=pets",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_album_verbs(verbs)
    _add_run_verbs(verbs)
    ui = verbs.add_parser("ui", help="open the MLflow UI on the runs")
    ui.add_argument("--port", type=int, default=5000)
    ui.set_defaults(call=_ui)
    return parser


def _add_album_verbs(verbs: Any) -> None:
    fetch = verbs.add_parser(
        "fetch",
        parents=[SUBJECT],
        help="fetch photos from Flickr, sorted into folders by their tags",
    )
    fetch.add_argument("--user", help="NSID, user name or profile address; with a login: me")
    fetch.add_argument(
        "--tags",
        action="append",
        default=[],
        help="tags of the subject, with commas (default: SUBJECT)",
    )
    fetch.add_argument(
        "--not-tags", action="append", default=[], help="leave out photos that carry one of these"
    )
    fetch.add_argument(
        "--pets-tags", action="append", default=[], help="tags of other animals: dog,cat,goat"
    )
    fetch.add_argument(
        "--balance", action="store_true", help="no more of the rest than of the subject"
    )
    fetch.add_argument(
        "--limit", type=int, default=0, metavar="N", help="at most N photos in all, the newest"
    )
    fetch.add_argument("--root", type=Path, default=console.PHOTOS)
    fetch.add_argument(
        "--login", action="store_true", help="let Flickr show your private photos, too; once"
    )
    fetch.set_defaults(call=_fetch)
    index = verbs.add_parser(
        "index", parents=[SUBJECT], help="read an album and name what is wrong with its photos"
    )
    index.add_argument("root", nargs="?", type=Path, default=console.PHOTOS)
    index.add_argument(
        "--cache", type=Path, help="where derived files go (default: <root>/.ismila)"
    )
    index.set_defaults(call=_index)
    add = verbs.add_parser(
        "add", parents=[SUBJECT], help="bring your own photos into the album; never moves them"
    )
    add.add_argument("sources", nargs="+", type=Path, metavar="DIR")
    add.add_argument(
        "--as", dest="place", required=True, metavar="LABEL", help="mila, not_mila or pets/KIND"
    )
    how = add.add_mutually_exclusive_group()
    how.add_argument("--copy", dest="how", action="store_const", const="copy")
    how.add_argument(
        "--link", dest="how", action="store_const", const="link", help="hard links only"
    )
    add.add_argument("--root", type=Path, default=console.PHOTOS)
    add.set_defaults(call=_add)
    check = verbs.add_parser(
        "check",
        parents=[SUBJECT],
        help="show what in the album looks wrong, worst first, and settle it",
    )
    check.add_argument("root", nargs="?", type=Path, default=None)
    check.add_argument("--root", dest="root_option", type=Path, default=None)
    check.add_argument(
        "--cache", type=Path, help="where derived files go (default: <root>/.ismila)"
    )
    shown = check.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="one JSON object a line")
    shown.add_argument("--html", type=Path, metavar="FILE", help="write one page of thumbnails")
    shown.add_argument(
        "--serve", action="store_true", help="open a page on which a click or a key settles it"
    )
    check.add_argument("--port", type=int, default=8765)
    check.set_defaults(call=_check)
    demo = verbs.add_parser("demo", parents=[SUBJECT], help="draw the demo album")
    demo.add_argument("root", nargs="?", type=Path, default=console.DEMO)
    demo.set_defaults(call=_demo)


def _add_run_verbs(verbs: Any) -> None:
    predict = verbs.add_parser(
        "predict", parents=[RUN, JSON], help="ask about photos and folders of photos"
    )
    predict.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        type=Path,
        help="a photo, a folder, or - for a list on stdin",
    )
    predict.set_defaults(call=_predict)
    scan = verbs.add_parser(
        "scan",
        parents=[RUN],
        help="find the subject in a whole library; resumable, changes no photo",
    )
    scan.add_argument("root", type=Path, metavar="DIR")
    scan.add_argument("--csv", type=Path, metavar="FILE", help="a line for each photo")
    scan.add_argument(
        "--link-to", type=Path, metavar="ALBUM", help="a folder of links to the photos found"
    )
    scan.add_argument(
        "--xmp", action="store_true", help="add the subject as a keyword in XMP side files"
    )
    scan.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="what has been judged (default: under data/cache)",
    )
    scan.set_defaults(call=_scan)
    serve = verbs.add_parser(
        "serve", parents=[SUBJECT, ALBUM], help="a page and an API that answer for a run"
    )
    what = serve.add_mutually_exclusive_group()
    what.add_argument(
        "--run", default="best", help="best, latest, a run id or the beginning of one"
    )
    what.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="an exported ONNX file instead of a run; needs no torch",
    )
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines ask, too")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument(
        "--feedback", action="store_true", help="take corrections from other machines, too"
    )
    serve.set_defaults(call=_serve)
    export = verbs.add_parser(
        "export",
        parents=[RUN, ALBUM],
        help="a run's classifier without ismila: one ONNX file, or a page for any host",
    )
    export.add_argument("--to", type=Path, required=True, metavar="DIR")
    export.add_argument("--format", choices=("onnx", "web"), required=True)
    export.add_argument(
        "--runtime", type=Path, metavar="FILE.tgz", help="onnxruntime-web as npm packs it, for web"
    )
    export.set_defaults(call=_export)
    explain = verbs.add_parser(
        "explain",
        parents=[RUN, ALBUM, JSON],
        help="show what in a photo speaks for the subject, and test it",
    )
    explain.add_argument("photos", nargs="+", metavar="PHOTO", type=Path)
    explain.add_argument(
        "--to", type=Path, default=Path("explanations"), metavar="DIR", help="where the pictures go"
    )
    explain.set_defaults(call=_explain)
    report = verbs.add_parser(
        "report", parents=[RUN, ALBUM], help="write one page that says how far a run can be trusted"
    )
    report.add_argument("--to", type=Path, default=Path("reports"), metavar="DIR")
    report.set_defaults(call=_report)
    compare = verbs.add_parser(
        "compare", parents=[SUBJECT, JSON], help="all runs side by side: model x variant over seeds"
    )
    compare.set_defaults(call=_compare)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `ismila`. 0 fine, 1 something could not be done, 2 wrong usage."""
    args = make_parser().parse_args(argv)
    try:
        return int(args.call(args))
    except UserError as error:
        console.say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `ismila predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fetch(args: argparse.Namespace) -> int:
    from ismila.photos.fetch import Sorting, fetch_album, tags_of
    from ismila.photos.flickr import Flickr, read_keys

    if not args.login and not args.user:
        raise UserError(
            "--user: give whose photos: an NSID (12345@N00), a user name or a profile address"
        )
    tags = tags_of(args.tags) or (args.subject,)
    sorting = Sorting(
        args.subject,
        tags,
        tags_of(args.not_tags),
        tags_of(args.pets_tags),
        args.balance,
        args.limit,
    )
    flickr = Flickr(read_keys(Path.cwd()))
    if args.login:
        flickr.login()
        if not args.user:
            return 0
        flickr = Flickr(read_keys(Path.cwd()))
    with console.transfer("Fetching photos") as advance:
        fetched = fetch_album(flickr, args.user, sorting, args.root, advance)
    return console.say_fetched(fetched, args.root)


def _index(args: argparse.Namespace) -> int:
    from ismila.photos.index import index_album
    from ismila.photos.labels import derived_folder

    index = index_album(
        args.root, args.subject, derived_folder(args.root, args.cache), console.progress
    )
    for path, problem in zip(index["path"], index["problem"], strict=True):
        if problem:
            print(f"{path}: {problem}")
    fine = index[index["problem"] == ""]
    for kind, n in Counter(fine["kind"]).most_common():
        print(f"{kind}: {n} photos")
    return 0


def _add(args: argparse.Namespace) -> int:
    from ismila.photos.add import add_photos

    added = add_photos(
        args.sources, args.place, args.root, args.subject, args.how, console.progress
    )
    print(
        f"{args.root / args.place}: {added.linked} linked, {added.copied} copied, {len(added.skipped)} skipped"
    )
    for path, reason in added.skipped:
        console.say(f"skipped: {path}: {reason}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from ismila.photos.album import Album
    from ismila.use.check.review import Review

    root = args.root_option or args.root or console.PHOTOS
    review = Review.of(Album.open(root, args.subject, args.cache), console.progress)
    if args.serve:
        from ismila.use.check.review_app import serve

        return serve(review, args.port)
    if args.html:
        from ismila.use.check.still_page import write_page

        write_page(review, args.html)
        print(f"{args.html}: {len(review.suspects)} photos")
        return 0
    console.say_suspects(review.suspects, as_json=args.json)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from ismila.demo.scenes import draw_album

    print(f"{args.root}: {draw_album(args.root, args.subject, progress=console.progress)} drawings")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from ismila.use.ask.predict import predict

    return predict(args.paths, args.run, args.subject, as_json=args.json)


def _scan(args: argparse.Namespace) -> int:
    from ismila.runs import find_run, load_classifier
    from ismila.use.ask.scan import Library, link_photos, write_csv, write_sidecars

    run = find_run(args.run, args.subject)
    classifier, library = load_classifier(run), Library(args.root, args.state)
    try:
        scanned = library.scan(classifier, run, console.progress)
    except KeyboardInterrupt:
        console.say("stopped; nothing is lost: the same command goes on from here")
        return 130
    code = console.say_scanned(scanned, args.root)
    if args.csv:
        print(
            f"{args.csv}: {write_csv(args.csv, library, classifier, run)} photos of {args.subject}"
        )
    if args.link_to:
        print(
            f"{args.link_to}: {link_photos(args.link_to, library, classifier, run)} photos of {args.subject} linked"
        )
    if args.xmp:
        count, failed = write_sidecars(library, classifier, run)
        print(f"{args.root}: {count} photos carry the keyword {args.subject} in a side file")
        for path, reason in failed[: console.NAMED_PROBLEMS]:
            console.say(f"no side file: {path}: {reason}")
        code = 1 if failed else code
    library.close()
    return code


def _serve(args: argparse.Namespace) -> int:
    from ismila.use.serve.app import serve

    if args.model:
        from ismila.use.serve.from_file import FileModels

        return serve(FileModels(args.model), args.host, args.port, args.feedback)
    from ismila.use.serve.from_runs import RunModels

    return serve(RunModels(args.subject, args.run, args.root), args.host, args.port, args.feedback)


def _export(args: argparse.Namespace) -> int:
    from ismila.runs import find_run
    from ismila.use.export.export_run import export_onnx, export_web

    run_id = find_run(args.run, args.subject)
    if args.format == "web":
        print(export_web(run_id, args.to, args.root, args.runtime))
    else:
        print(export_onnx(run_id, args.to, args.root))
    return 0


def _explain(args: argparse.Namespace) -> int:
    from ismila.evidence.explain import explain_photos

    return explain_photos(args.photos, args.run, args.subject, args.to, args.root, args.json)


def _report(args: argparse.Namespace) -> int:
    from ismila.evidence.report import write_report

    print(write_report(args.run, args.subject, args.to, args.root, console.progress))
    return 0


def _compare(args: argparse.Namespace) -> int:
    from ismila.evidence.compare import compare_runs, figures_of
    from ismila.runs import finished_runs

    runs, left_out = figures_of(finished_runs(args.subject))
    console.say_compared(compare_runs(runs), left_out, args.json)
    return 0


def _ui(args: argparse.Namespace) -> int:
    import subprocess

    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlruns/mlflow.db")
    print(f"http://127.0.0.1:{args.port}/#/experiments?workflowType=machine_learning")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        uri,
        "--port",
        str(args.port),
    ]
    return subprocess.run(command, check=False).returncode


def start() -> None:
    """What the `ismila` command calls."""
    console.leave(main())
