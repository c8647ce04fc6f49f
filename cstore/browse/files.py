"""The files of an item: one directory at a time, search results below it, and file contents."""

from __future__ import annotations

import stat
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import Binding
from textual.widgets import Footer, Input, Static

from cstore.browse.screens import Page, Table, Window
from cstore.contents import Criteria, find, pieces
from cstore.errors import CstoreError

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cstore.browse.texts import Texts
    from cstore.contents import Contents, File

MOST = 5_000
"""Maximum number of rows: more are too many to scroll through, and a search finds the others."""

LARGEST = 256 << 10
"""Maximum number of bytes of a file to show."""

_COLUMNS = (("Name", 0, False), ("Mode", 10, False), ("Owner", 11, True), ("Size", 9, True), ("Modified", 16, False))
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")
_WIDTH = 16


class Shown(NamedTuple):
    """A list of files: its directory, the search pattern, the files, and whether there are more."""

    folder: bytes
    sought: str
    files: list[File]
    more: bool


class Files(Page):
    """The screen with the files in a directory of an item."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace,left,h", "up", "up"),
        Binding("slash", "search", "find below", priority=True),
        Binding("escape,q", "leave", "back"),
    ]

    def __init__(self, contents: Contents, title: str) -> None:
        super().__init__()
        self._contents, self._title = contents, title
        self._list = Shown(b"", "", [], more=False)
        self._told = 0

    def compose(self) -> ComposeResult:
        """Yield the widgets of the screen."""
        yield Static(id="top")
        yield Table()
        yield Static(id="details")
        yield Input(placeholder="name, or a pattern: *.conf", id="search", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Focus the list, and show the root directory."""
        self.set_focus(self.query_one(Table))
        self._go(b"")

    def on_unmount(self) -> None:
        """Close the layers."""
        self._contents.close()

    # ── lists ──

    def _go(self, folder: bytes, sought: str = "", came_from: bytes = b"") -> None:
        self.browser.aside(lambda: self._read(folder, sought), lambda found: self._show(found, came_from))

    def _read(self, folder: bytes, sought: str) -> Shown:
        if sought:
            pattern = sought if set("*?[") & set(sought) else f"*{sought}*"
            name = pattern.encode(errors="surrogateescape")
            found = list(islice(find(self._contents, folder, Criteria(name=name)), MOST + 1))
        else:
            found = list(islice(self._contents.list(folder), MOST + 1))
        return Shown(folder, sought, found[:MOST], len(found) > MOST)

    def _show(self, found: Shown, came_from: bytes) -> None:
        if not self.is_attached:
            return
        self._list = found
        at = next((place for place, file in enumerate(found.files) if file.path == came_from), 0)
        rows = []
        for file in found.files:
            path = file.path if found.sought else file.path.rpartition(b"/")[2]
            name = _decoded(path) + ("/" if file.format == stat.S_IFDIR else "")
            numbers = f"{file.device[0]},{file.device[1]}" if any(file.device) else self.texts.size(file.size)
            when = self.texts.time(file.mtime)[:16].replace("T", " ")
            mode = stat.filemode(file.format | file.mode)
            rows.append((self.texts.plain(name), mode, f"{file.uid}:{file.gid}", numbers, when))
        self.query_one(Table).fill(_COLUMNS, rows, at)
        more = f", the first {MOST} of more" if found.more else ""
        what = f"{found.sought!r} below " if found.sought else ""
        count = "1 file" if len(found.files) == 1 else f"{len(found.files)} files"
        self.write("#top", f"{self._title}: {what}/{_decoded(found.folder)} ({count}{more})")
        self._describe()
        for problem in self._contents.problems[self._told :]:
            self.browser.notify(self.texts.plain(f"incomplete: {problem}"), severity="warning", markup=False)
        self._told = len(self._contents.problems)

    @property
    def _file(self) -> File | None:
        at = self.query_one(Table).cursor_row
        return self._list.files[at] if 0 <= at < len(self._list.files) else None

    def on_data_table_row_highlighted(self) -> None:
        """Show details of the file at the cursor."""
        self._describe()

    def _describe(self) -> None:
        file, lines = self._file, [f"nothing here is named {self._list.sought!r}" if self._list.sought else "empty"]
        if file is not None:
            try:
                target, chain = self._contents.target(file), self._contents.chain
                layer = "" if chain.whole else f", from layer {chain.layer_of(file.number)}"
            except CstoreError as error:
                target, layer = b"", f", {error.message}"
            leads = f" -> {_decoded(target)}" if target else ""
            size = "1 byte" if file.size == 1 else f"{file.size} bytes"
            lines = [f"/{_decoded(file.path)}{leads}", f"{size}, {self.texts.time(file.mtime)}{layer}"]
        self.write("#details", *lines)

    # ── keys ──

    def on_data_table_row_selected(self) -> None:
        """Open the file, like `action_open`."""
        self.action_open()

    def action_open(self) -> None:
        """Enter a directory, follow a link, or show a file's contents."""
        file = self._file
        if file is None:
            return
        if file.format == stat.S_IFDIR:
            self._go(file.path)
        elif file.format == stat.S_IFLNK:
            self.browser.aside(lambda: self._contents.get(b"/" + file.path), self._follow)
        elif file.format == stat.S_IFREG:
            self._open(file)
        else:
            self.browser.notify("only directories, links and regular files can be opened", timeout=3)

    def _follow(self, file: File) -> None:
        if file.format == stat.S_IFDIR:
            self._go(file.path)
        elif file.format == stat.S_IFREG:
            self._open(file)

    def _open(self, file: File) -> None:
        window = Window(self.texts.plain(f"/{_decoded(file.path)}"))
        self.browser.push_screen(window)
        self.browser.aside(lambda: shown_text(self._contents, file, self.texts), window.show)

    def action_up(self) -> None:
        """Go to the parent directory, or back from search results."""
        here = self._list.folder
        if self._list.sought:
            self._go(here)
        elif here:
            self._go(here.rpartition(b"/")[0], came_from=here)
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Return to the list of items; from a search, return to the directory."""
        search = self.query_one("#search", Input)
        if search.has_focus or self._list.sought:
            search.remove_class("wanted")
            self.set_focus(self.query_one(Table))
            self._go(self._list.folder)
        else:
            self.dismiss()

    def action_search(self) -> None:
        """Open the search field for a pattern to find below this directory."""
        search = self.query_one("#search", Input)
        search.value = ""
        search.add_class("wanted")
        self.set_focus(search)  # immediately, because the next keys are meant for the search field

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Run the search."""
        event.stop()
        self.query_one("#search", Input).remove_class("wanted")
        self.set_focus(self.query_one(Table))
        self._go(self._list.folder, event.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Do nothing: a search below a directory takes too long to run after every key."""
        event.stop()


def shown_text(contents: Contents, file: File, texts: Texts) -> str:
    """Return the beginning of a file's contents, as text or a hex dump, below a note about truncation or an error."""
    found, note = b"", ""
    try:
        for piece in pieces(contents, file):
            found += piece
            if len(found) > LARGEST:
                note = f"\n… the first {texts.size(LARGEST)} of {texts.size(file.size)}, which were not verified"
                break
    except CstoreError as error:
        note = f"\n{error.message}"
    body = found[:LARGEST]
    if b"\0" in body or len(body.translate(None, bytes(_TEXT_CONTROLS | set(range(32, 256))))) > len(body) // 10:
        lines = (body[at : at + _WIDTH] for at in range(0, min(len(body), LARGEST // 8), _WIDTH))
        text = "\n".join(f"{at * _WIDTH:08x}  {line.hex(' '):<47}" for at, line in enumerate(lines))
    else:
        text = "\n".join(texts.plain(line.expandtabs()) for line in body.decode(errors="surrogateescape").split("\n"))
    return texts.plain(note.strip()) + ("\n\n" if note else "") + (text or "(empty)")


def _decoded(path: bytes) -> str:
    return path.decode(errors="surrogateescape")
