"""Commands for the data items of a container, and for its directories, which the container engine uses."""

from __future__ import annotations

from cstore.cli.command import command, json_option, text, word
from cstore.cli.commands.bigdata import show_items, write_out
from cstore.cli.session import Intent, Session


@command("list-container-data", example="cstore list-container-data web")
@word("container", "CONTAINER")
@json_option
def list_container_data(session: Session, container: str) -> None:
    """List the data items of a container."""
    show_items(session, session.open(Intent.RECORDS).containers.data_names(container))


@command("get-container-data", example="cstore get-container-data -f config.json web config")
@word("container", "CONTAINER")
@word("item", "NAME")
@text("-f", "--file", metavar="FILE", help="Write to FILE instead of standard output.")
def get_container_data(session: Session, container: str, item: str, file: str) -> None:
    """Write a data item of a container.

    FILE is written only if the item exists.
    """
    write_out(session, session.open(Intent.RECORDS).containers.open_data(container, item), file)


@command("get-container-data-size", example="cstore get-container-data-size web config")
@word("container", "CONTAINER")
@word("item", "NAME")
def get_container_data_size(session: Session, container: str, item: str) -> None:
    """Print the size of a data item of a container."""
    session.lines([str(session.open(Intent.RECORDS).containers.data_size(container, item))])


@command("get-container-data-digest", example="cstore get-container-data-digest web config")
@word("container", "CONTAINER")
@word("item", "NAME")
def get_container_data_digest(session: Session, container: str, item: str) -> None:
    """Print the digest of a data item of a container."""
    session.lines([session.open(Intent.RECORDS).containers.data_digest(container, item)])


@command("set-container-data", example="cstore set-container-data -f config.json web config")
@word("container", "CONTAINER")
@word("item", "NAME")
@text("-f", "--file", metavar="FILE", help="Read from FILE instead of standard input.")
def set_container_data(session: Session, container: str, item: str, file: str) -> None:
    """Store a data item with a container.

    Atomically replaces an item of the same name.
    """
    from cstore.cli.files import standard_input

    session.open(Intent.WRITE).containers.set_data(container, item, file or standard_input())


@command("delete-container-data", example="cstore delete-container-data web config")
@word("container", "CONTAINER")
@word("item", "NAME")
def delete_container_data(session: Session, container: str, item: str) -> None:
    """Delete a data item of a container."""
    session.open(Intent.WRITE).containers.delete_data(container, item)


@command("get-container-dir", example="cstore get-container-dir web")
@word("container", "CONTAINER")
def get_container_dir(session: Session, container: str) -> None:
    """Print a container's own directory.

    The program that runs the container may keep files there. The first call creates the directory; deleting the
    container removes it.
    """
    session.lines([session.open(Intent.WRITE).containers.directory(container)])


@command("get-container-run-dir", example="cstore get-container-run-dir web")
@word("container", "CONTAINER")
def get_container_run_dir(session: Session, container: str) -> None:
    """Print a container's own run-time directory.

    The first call creates the directory; deleting the container, or a reboot, removes it.
    """
    session.lines([session.open(Intent.WRITE).containers.run_directory(container)])
