"""The lists of images, containers and layers, and the actions on their items."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.widgets import Footer, Input, Static, Tab, Tabs

from cstore.browse.rows import COLUMNS, KINDS, NUMBERS, ORDERS, WIDTHS, rows_of
from cstore.browse.screens import BrowserApp, Page, Preview, Table, Window
from cstore.insight import holders, plan_removal, remove, summary

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from cstore.browse.rows import Row
    from cstore.browse.texts import Texts
    from cstore.contents import Contents
    from cstore.insight import Holding, Plan, Removed, Summary
    from cstore.store import Item, Store

_TITLES = {"id": "ID", "used-by": "Used", "names": "Name", "created": "Age"}
_KEYS = """\
enter   files of the item             w   what holds it
d       delete, after a preview       space   mark, to delete several together
/       search names, IDs, users      escape  end the search, clear the marks
s       sort by name, size or age     r   reload the store
1 2 3   images, containers, layers    q   leave

Among files: enter opens, backspace goes up, / finds names below."""


class Browser(BrowserApp):
    """The application, which starts with the lists."""

    CSS = """
    #top, #details { text-wrap: nowrap; text-overflow: ellipsis; }
    #top { height: 1; background: $primary; color: $text; }
    #details { height: 3; color: $text-muted; }
    #search { display: none; height: 1; border: none; padding: 0; }
    #search.wanted { display: block; }
    Table { height: 1fr; scrollbar-size: 1 1; }
    Window, Preview { align: center middle; }
    .window { width: 95%; max-width: 110; height: auto; max-height: 90%; border: round $primary; background: $surface;
              padding: 0 1; }
    .window VerticalScroll { height: auto; max-height: 100%; scrollbar-size: 1 1; }
    #text { width: 100%; height: auto; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, store: Store, texts: Texts) -> None:
        super().__init__(texts)
        self._store = store

    def get_default_screen(self) -> Screen[None]:
        """Return the screen with the lists; Textual calls this at startup."""
        return Lists(self._store)


class Lists(Page):
    """The screen with the lists of images, containers and layers."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "why", "what holds"),
        Binding("d", "delete", "delete"),
        Binding("space", "mark", "mark"),
        Binding("slash", "search", "search", priority=True),
        Binding("s", "sort", "sort"),
        Binding("r", "read", show=False),
        Binding("question_mark", "keys", "keys"),
        Binding("q", "app.quit", "quit"),
        Binding("escape", "clear", show=False),
        *(Binding(str(number), f"kind({number - 1})", show=False) for number in range(1, 4)),
    ]

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self._kind, self._order = KINDS[0], 0
        self._rows: list[Row] = []
        self._marked: set[Item] = set()

    # ── the screen ──

    def compose(self) -> ComposeResult:
        """Yield the widgets of the screen."""
        yield Static(id="top")
        yield Tabs(*(Tab(f"{kind.capitalize()}s", id=kind) for kind in KINDS))
        yield Table()
        yield Static(id="details")
        yield Input(placeholder="search", id="search", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Focus the list, and read the store."""
        self.set_focus(self.query_one(Table))
        self.action_read()

    def action_read(self, at: int = 0) -> None:
        """Read the current list, and the summary at the top."""
        kind, order, texts = self._kind, ORDERS[self._order], self.texts
        self.browser.aside(lambda: rows_of(self.store, kind, order, texts), lambda rows: self._take(kind, rows, at))
        self.browser.aside(lambda: summary(self.store.context), self._head)

    def _take(self, kind: str, rows: list[Row], at: int) -> None:
        if kind == self._kind:  # otherwise the user has switched to another list meanwhile
            self._rows = rows
            self._marked &= {row.item for row in rows}
            self._fill(at)
        for flaw in self.store.flaws:
            self.browser.tell(flaw)

    def _head(self, found: Summary) -> None:
        size, room = self.texts.size, found.file_system
        parts = [
            f"{one.count} {one.kind}{'' if one.count == 1 else 's'}{f' {size(one.size)}' if one.size else ''}"
            for one in found.sums
            if one.kind != "layer"
        ]
        free = f"{size(room.available)} free" if room is not None else ""
        damage = "damaged: see cstore check" if found.problems or found.flaws else ""
        self.write("#top", " · ".join(filter(None, (damage, *parts, free, self.store.driver_name, found.root))))
        for problem in found.problems:
            self.browser.notify(self.texts.brief(problem), severity="warning", markup=False)

    @property
    def _shown(self) -> list[Row]:
        sought = self.query_one("#search", Input).value
        return [row for row in self._rows if row.answers(sought)]

    def _fill(self, at: int = 0) -> None:
        columns = [
            (_TITLES.get(column, column.capitalize()), WIDTHS.get(column, 0), column in NUMBERS)
            for column in COLUMNS[self._kind]
        ]
        rows = [(f"* {row.cells[0]}", *row.cells[1:]) if row.item in self._marked else row.cells for row in self._shown]
        self.query_one(Table).fill(columns, rows, at)
        self._describe()

    @property
    def _row(self) -> Row | None:
        shown, at = self._shown, self.query_one(Table).cursor_row
        return shown[at] if 0 <= at < len(shown) else None

    def _describe(self) -> None:
        row = self._row
        count, sought = len(self._shown), self.query_one("#search", Input).value
        nothing = f"no {self._kind} with {sought!r}" if sought else f"no {self._kind}s"
        marks = f"; {len(self._marked)} marked" if self._marked else ""
        place = f"{self.query_one(Table).cursor_row + 1} of {count}{marks}: "
        self.write("#details", *([nothing] if row is None else [place + row.details[0], *row.details[1:]]))

    def on_data_table_row_highlighted(self) -> None:
        """Show details of the row at the cursor."""
        self._describe()

    # ── keys ──

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """Show the list of the activated tab."""
        if event.tab.id and event.tab.id != self._kind:
            self._kind = event.tab.id
            self._rows = []
            self._marked.clear()
            self.query_one("#search", Input).value = ""
            self.action_read()

    def action_kind(self, number: int) -> None:
        """Switch to a list by its number."""
        self.query_one(Tabs).active = KINDS[number]
        self.set_focus(self.query_one(Table))

    def action_sort(self) -> None:
        """Switch to the next sort order."""
        self._order = (self._order + 1) % len(ORDERS)
        self.browser.notify(("sorted by name", "largest first", "newest first")[self._order], timeout=2)
        self.action_read()

    def action_search(self) -> None:
        """Open the search field."""
        search = self.query_one("#search", Input)
        search.add_class("wanted")
        self.set_focus(search)  # immediately, because the next keys are meant for the search field

    def on_input_changed(self) -> None:
        """Show the matching rows."""
        self._fill()

    def on_input_submitted(self) -> None:
        """Move the focus to the list, which stays filtered."""
        self.set_focus(self.query_one(Table))

    def action_clear(self) -> None:
        """End the search, and remove all marks."""
        search = self.query_one("#search", Input)
        search.remove_class("wanted")
        self._marked.clear()
        if search.value:
            search.value = ""  # the resulting event shows all rows again
        else:
            self._fill(self.query_one(Table).cursor_row)
        self.set_focus(self.query_one(Table))

    def action_keys(self) -> None:
        """Show all keys."""
        self.browser.push_screen(Window("keys", _KEYS))

    def action_mark(self) -> None:
        """Mark or unmark the current row, and move to the next row."""
        row, at = self._row, self.query_one(Table).cursor_row
        if row is not None:
            self._marked ^= {row.item}
            self._fill(at + 1)

    def on_data_table_row_selected(self) -> None:
        """Open the files of the item, like `action_files`."""
        self.action_files()

    def action_files(self) -> None:
        """Open the files of the current item."""
        from cstore.browse.files import Files
        from cstore.contents import open_item

        row = self._row
        if row is not None:
            item, title = row.item, self._called(row)

            def show(contents: Contents) -> None:
                self.browser.push_screen(Files(contents, title))

            self.browser.aside(lambda: open_item(self.store, item), show)

    def _called(self, row: Row) -> str:
        return row.details[1] if row.cells[0] != "-" else row.details[0]

    def action_why(self) -> None:
        """Show the holders of the current item."""
        row = self._row
        if row is None:
            return
        window, item = Window(f"what holds {self._called(row)}"), row.item

        def show(found: Holding) -> None:
            window.show("\n".join(map(self.texts.brief, (*self.texts.holders(found), *found.problems))))

        self.browser.push_screen(window)
        self.browser.aside(lambda: holders(self.store.context, item), show)

    # ── deletion ──

    def action_delete(self) -> None:
        """Preview the deletion of the marked items, or of the current item, and delete them if the user confirms."""
        row = self._row
        items = sorted(self._marked, key=lambda item: item.id) or ([row.item] if row is not None else [])
        if items:
            self.browser.notify("finding what is deleted with it …", timeout=1)
            self.browser.aside(lambda: plan_removal(self.store.context, items), self._preview)

    def _preview(self, plan: Plan) -> None:
        def answered(agreed: bool | None) -> None:
            if agreed:
                self.browser.aside(lambda: remove(self.store.context, plan), self._removed)

        self.browser.push_screen(Preview(plan, self.texts), answered)

    def _removed(self, done: Removed) -> None:
        for going, error in done.failed:
            error.message = f"{going.kind} {self.texts.short(going.id)} stays: {error.message}"
            self.browser.tell(error)
        if done.going:
            count = "1 item" if len(done.going) == 1 else f"{len(done.going)} items"
            self.browser.notify(f"deleted {count}; {self.texts.size(done.freed)} are free", timeout=5)
        self._marked.clear()
        self.action_read(self.query_one(Table).cursor_row)
