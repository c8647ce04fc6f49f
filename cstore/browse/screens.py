"""The base classes of application and screens, the list widget, and windows over a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Input, Static

from cstore.errors import CstoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cstore.browse.texts import Texts
    from cstore.insight import Plan

T = TypeVar("T")

CLOSE: list[BindingType] = [Binding("escape,q", "dismiss(None)", "close")]


class BrowserApp(App[None]):
    """The base of the application. Runs long work in threads, so that keys still respond; `texts` formats values."""

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self.texts = texts

    def aside(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run `work` in a thread and call `then` with its result in the main thread, or show its error."""

        def run() -> None:
            try:
                found = work()
            except CstoreError as error:
                self.call_from_thread(self.tell, error)
            else:
                self.call_from_thread(then, found)

        self.run_worker(run, thread=True)

    def tell(self, error: CstoreError) -> None:
        """Show an error."""
        text = f"{error.message} ({error.hint})" if error.hint else error.message
        self.notify(self.texts.plain(text), severity="error", timeout=15, markup=False)


class Page(Screen[None]):
    """The base of a full screen of the application."""

    @property
    def browser(self) -> BrowserApp:
        """The application that shows this screen."""
        app = self.app
        if not isinstance(app, BrowserApp):
            raise TypeError(f"{type(app).__name__} cannot show this screen")
        return app

    @property
    def texts(self) -> Texts:
        """The text formatters."""
        return self.browser.texts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  - Textual gives it
        """Return whether an action is enabled: all are, except the search while a text field has the focus.

        In a text field, a slash is an ordinary character. Elsewhere its binding has priority, so that the keys typed
        next go to the search field.
        """
        return action != "search" or not isinstance(self.focused, Input)

    def write(self, place: str, *lines: str) -> None:
        """Write lines to a widget of the screen, each truncated at the edge of the window."""
        self.query_one(place, Static).update(Text("\n".join(map(self.texts.plain, lines))))

    def on_resize(self) -> None:
        """Resize the column of names."""
        self.query_one(Table).refit()


class Table(DataTable[Text]):
    """A list with a row cursor. Its first column gets the remaining width."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open"),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False)
        self._shown: tuple[Sequence[tuple[str, int, bool]], Sequence[Sequence[str]]] = ((), ())

    def fill(self, columns: Sequence[tuple[str, int, bool]], rows: Sequence[Sequence[str]], at: int = 0) -> None:
        """Show rows. Each column has a title, a width (0: the remaining width) and whether it is numeric."""
        self._shown = columns, rows
        self.clear(columns=True)
        padding = 2 * self.cell_padding
        left = self.app.size.width - sum(width + padding for _, width, _ in columns) - 2
        for title, width, numbers in columns:
            self.add_column(Text(title, justify="right" if numbers else "left"), width=width or max(left, 12))
        self.add_rows(
            [Text(cell, justify="right" if numbers else "left", no_wrap=True, overflow="ellipsis")
             for cell, (_, _, numbers) in zip(row, columns, strict=True)]
            for row in rows
        )  # fmt: skip
        if rows:
            self.move_cursor(row=min(at, len(rows) - 1), animate=False)

    def refit(self) -> None:
        """Show the same rows in a window of another size."""
        columns, rows = self._shown
        if columns:
            self.fill(columns, rows, self.cursor_row)


class Window(ModalScreen[None]):
    """A scrollable text in a frame; `show` can supply the text later."""

    BINDINGS: ClassVar[list[BindingType]] = [*CLOSE, Binding("enter,space", "dismiss(None)", show=False)]

    def __init__(self, title: str, text: str = "…") -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """See Textual."""
        with Vertical(classes="window") as window:
            window.border_title = Text(self._title)
            window.border_subtitle = "escape: close"
            with VerticalScroll():
                yield Static(Text(self._text), id="text")

    def show(self, text: str) -> None:
        """Replace the text, if the window still exists."""
        self._text = text
        if self.is_attached:
            self.query_one("#text", Static).update(Text(text))


class Preview(ModalScreen[bool]):
    """The items to delete, the refusals, and the bytes to be freed; returns the user's answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "agree", "delete"),
        Binding("escape,n,q", "dismiss(False)", "keep"),
    ]

    def __init__(self, plan: Plan, texts: Texts) -> None:
        super().__init__()
        self._plan, self._texts = plan, texts

    def compose(self) -> ComposeResult:
        """See Textual."""
        with Vertical(classes="window") as window:
            window.border_title = "this cannot be deleted" if self._plan.refused else "delete these?"
            window.border_subtitle = "escape: close" if self._plan.refused else "y: delete · n: keep"
            with VerticalScroll():
                yield Static(Text("\n".join(preview_lines(self._plan, self._texts))), id="text")

    def action_agree(self) -> None:
        """Confirm, if there is something to delete."""
        if self._plan.going and not self._plan.refused:
            self.dismiss(True)


def preview_lines(plan: Plan, texts: Texts) -> list[str]:
    """Return the preview of a deletion, with the contents of `cstore rm --dry-run`, as lines of text."""
    found = [texts.brief(problem) for problem in plan.problems]
    found += [f"cannot read {texts.plain(path)}: {reason}" for path, reason in plan.unread]
    for refusal in plan.refused:
        found.append(texts.brief(refusal.error.message))
        if refusal.error.hint:
            found.append(texts.brief(f"  {refusal.error.hint}"))
    if plan.refused:
        return [*found, "", "Nothing is deleted."]
    for going in plan.going:
        names = f"  {', '.join(going.names)}" if going.names else ""
        with_it = "  goes with it" if going.goes_with else ""
        line = f"{going.kind:<9} {texts.short(going.id)} {texts.size(going.disk):>9}{names}{with_it}"
        found.append(texts.plain(line))
    return [*found, "", f"{texts.size(plan.freed)} ({plan.freed} bytes) will be free."]
