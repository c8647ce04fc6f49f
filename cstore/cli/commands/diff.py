"""Commands that list and measure the changes of a layer, write them as a tar archive, and apply an archive."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word
from cstore.cli.session import Intent, Session, View


@command("changes", example="cstore changes app\ncstore changes app base\ncstore changes -0 app | xargs -0 -n 1 echo")
@word("layer", "LAYER")
@word("reference", "REFERENCE", required=False)
@switch("-0", "--null", help="End each line with NUL instead of newline, and do not quote paths.")
@json_option
def changes(session: Session, layer: str, reference: str, null: bool) -> None:
    """List the files that a layer adds, modifies and deletes.

    Compares the layer with its parent, or with REFERENCE.
    """
    from cstore.cli.output import plain, structured

    found = session.open(Intent.CONTENT).layers.changes(layer, reference)

    def table() -> None:
        from cstore.cli.output import styled

        styled.changes(found)

    lines = plain.unquoted_changes if null else plain.changes
    session.show(View(lambda: structured.changes(found), lambda: lines(found), table, paths=null, null=null))


@command("diffsize", example="cstore diffsize app")
@word("layer", "LAYER")
@word("reference", "REFERENCE", required=False)
def diffsize(session: Session, layer: str, reference: str) -> None:
    """Print the size of a layer's changes.

    Counts the bytes of the files that LAYER adds to its parent, or to REFERENCE, or modifies there. Directories and tar
    headers do not count.
    """
    session.lines([str(session.open(Intent.CONTENT).layers.diff_size(layer, reference))])


@command("diff", example="cstore diff -u base > base.tar\ncstore diff --zstd -f app.tar.zst app")
@word("layer", "LAYER")
@word("reference", "REFERENCE", required=False)
@text("-f", "--file", metavar="FILE", help="Write to FILE instead of standard output.")
@switch("-u", "--uncompressed", help="Do not compress.")
@switch("-c", "--gzip", help="Compress with gzip.")
@switch("--zstd", help="Compress with zstd.")
@switch("-b", "--bzip2", "--bz2", help="Compress with bzip2.")
@switch("-x", "--xz", help="Compress with xz.")
@switch("-q", "--quiet", help="Show no progress.")
def diff(session: Session, /, layer: str, reference: str, file: str, quiet: bool, **forms: bool) -> None:
    """Write a layer as a tar archive.

    Writes an imported layer byte for byte as it was imported, in its original compression unless an option chooses
    another. With REFERENCE, the archive contains the changes since REFERENCE instead of the parent.
    """
    from cstore import Compression
    from cstore.cli.files import result_file
    from cstore.cli.output.progress import progress_bar

    store = session.open(Intent.CONTENT)
    record = store.layers.get(layer)
    ranked = (
        ("xz", Compression.XZ),
        ("bzip2", Compression.BZIP2),
        ("zstd", Compression.ZSTD),
        ("gzip", Compression.GZIP),
        ("uncompressed", Compression.NONE),
    )
    # Use the strongest requested compression, or else the compression of the imported archive.
    compression = next((compression for form, compression in ranked if forms[form]), None)
    compressed = record.compression if compression is None else compression
    total = record.diff_size if record.diff_digest and not (compressed or reference) else None
    with (
        result_file(file, sync=session.config.sync) as sink,
        progress_bar("exporting", total, quiet=quiet or not file) as sink.progress,
    ):
        store.layers.diff(record.id, sink, reference, compression)


@command("applydiff-using-staging-dir", example="cstore applydiff-using-staging-dir app ./rootfs")
@word("layer", "LAYER")
@word("directory", "DIRECTORY")
def applydiff_using_staging_dir(session: Session, layer: str, directory: str) -> None:
    """Replace a layer's contents with a directory's.

    If there is no LAYER, a layer of that ID is created without a parent. Needs the overlay driver, and
    enable_partial_images = "true" among the pull_options in storage.conf.
    """
    session.open(Intent.WRITE).layers.put_directory(layer, directory)


@command("applydiff", example="cstore applydiff -f update.tar.gz app")
@word("layer", "LAYER")
@text("-f", "--file", metavar="FILE", help="Read the archive from FILE instead of standard input.")
@switch("-q", "--quiet", help="Show no progress.")
def applydiff(session: Session, layer: str, file: str, quiet: bool) -> None:
    """Apply a tar archive to a layer.

    Applies the whole archive or nothing: on failure the layer stays as it was. A mounted overlay layer is changed in
    place, with a warning; only then can a crash leave half of the change.
    """
    from cstore import presence
    from cstore.cli.files import archive_source, size_of
    from cstore.cli.output.progress import progress_bar

    with archive_source(file) as source:
        store = session.open(Intent.WRITE)
        found = store.layers.find(layer)
        point = store.layers.mount_point(found.id) if found else ""
        if point and presence.is_mount_point(point):  # with drivers that do not mount, no user holds the old tree
            session.warn([f"layer {layer} is mounted on {point}: its users may see old and new files side by side"])
        with progress_bar("applying", size_of(source), quiet=quiet) as progress:
            store.layers.apply_diff(layer, source, progress)
