"""The effects of keys."""

from taskmill.cli.top.keys import Key
from taskmill.cli.top.rows import Board, QueueRow, WorkerRow
from taskmill.cli.top.view import ChangeQueue, Effect, Mode, Pane, Quit, Reread, View
from taskmill.domain.activity import Window
from tests.support.pictures import a_failure, a_picture, a_queue, a_snapshot, a_worker_view


def a_board(*names: str) -> Board:
    """A board whose queues are in this order."""
    queues = [a_queue(name, waiting=9 - position) for position, name in enumerate(names or "abc")]
    failures = [a_failure("ä report"), a_failure("other", 2, queue="c")]
    return a_picture(a_snapshot(queues, [a_worker_view()], failures)).board


def pressed(view: View, *keys: Key | str, board: Board | None = None) -> Effect:
    """Press keys; returns the effect of the last one."""
    effect: Effect = None
    for key in keys:
        effect = view.press(key, board or a_board())
    return effect


def state(view: View) -> tuple[Mode, Pane]:
    return view.mode, view.pane


def chosen(view: View, board: Board) -> str:
    row = view.chosen(board)
    assert isinstance(row, QueueRow)
    return row.name


def test_a_chosen_row_stays_chosen_wherever_it_goes() -> None:
    view = View()
    pressed(view, Key.DOWN)
    assert chosen(view, a_board()) == "b"
    assert chosen(view, a_board("b", "a", "c")) == "b"
    assert chosen(view, a_board("c", "a", "x", "b")) == "b"


def test_the_top_row_is_chosen_until_another_one_is() -> None:
    assert chosen(View(), a_board("c", "a")) == "c"


def test_a_chosen_row_that_goes_is_replaced_by_the_one_in_its_position() -> None:
    view = View()
    pressed(view, Key.END)
    assert chosen(view, a_board("a", "b")) == "b"
    assert view.chosen(a_picture(a_snapshot()).board) is None


def test_arrows_stop_at_the_ends() -> None:
    view = View(page=2)
    pressed(view, Key.UP)
    assert chosen(view, a_board()) == "a"
    pressed(view, Key.PAGE_DOWN, Key.PAGE_DOWN, "j")
    assert chosen(view, a_board()) == "c"
    pressed(view, "k", Key.HOME)
    assert chosen(view, a_board()) == "a"


def test_tab_goes_round_the_tables() -> None:
    view = View()
    pressed(view, Key.TAB)
    assert state(view)[1] is Pane.WORKERS
    pressed(view, Key.RIGHT, Key.TAB)
    assert state(view)[1] is Pane.QUEUES
    pressed(view, Key.BACK_TAB)
    assert state(view)[1] is Pane.FAILURES


def test_enter_opens_what_is_chosen_and_escape_closes_it() -> None:
    view = View()
    assert pressed(view, Key.DOWN, Key.ENTER) == Reread()
    assert view.open_queue == "b"
    pressed(view, Key.ESCAPE, Key.TAB, Key.ENTER)
    assert [type(view.opened), view.open_queue] == [WorkerRow, None]
    pressed(view, Key.ENTER)
    assert [view.mode, view.opened] == [Mode.TABLES, None]


def test_nothing_is_opened_where_there_is_nothing() -> None:
    view = View()
    pressed(view, Key.ENTER, board=a_picture(a_snapshot()).board)
    assert state(view)[0] is Mode.TABLES


def test_what_is_open_follows_the_board_and_stays_when_it_has_gone() -> None:
    view = View()
    pressed(view, Key.ENTER)
    view.refresh(a_board("b", "a"))
    assert isinstance(view.opened, QueueRow)
    assert (view.opened.name, view.opened.waiting) == ("a", 8)
    view.refresh(a_board("b"))
    assert view.opened.waiting == 8


def test_a_queue_is_paused_only_after_a_yes() -> None:
    view = View()
    assert pressed(view, Key.DOWN, "P") is None
    assert state(view)[0] is Mode.CONFIRM
    assert pressed(view, "y") == ChangeQueue("b", pause=True)
    assert state(view)[0] is Mode.TABLES
    for no in ("n", Key.ENTER, Key.ESCAPE, "q", "P"):
        assert pressed(view, "P", no) is None
        assert (view.mode, view.message) == (Mode.TABLES, "nothing was changed")
    assert pressed(view, "y") is None


def test_an_open_queue_is_paused_too_and_stays_open() -> None:
    view = View()
    pressed(view, Key.ENTER, "P")
    assert view.open_queue == "a"
    assert pressed(view, "y") == ChangeQueue("a", pause=True)
    assert state(view)[0] is Mode.DETAILS


def test_a_paused_queue_is_resumed() -> None:
    board = a_picture(a_snapshot([a_queue(paused=True)])).board
    assert pressed(View(), "P", "y", board=board) == ChangeQueue("mail", pause=False)


def test_only_queues_are_paused() -> None:
    view = View()
    assert pressed(view, Key.TAB, "P", "y") is None
    pressed(view, "P")
    assert view.message.startswith("choose a queue first")


def test_a_filter_is_typed_and_ended() -> None:
    view = View()
    pressed(view, "/", "q", "x", Key.BACKSPACE, Key.BACKSPACE, *"Ä REP", Key.UP, Key.ENTER)
    assert view.filter == "Ä REP"
    assert [len(view.rows(a_board(), pane)) for pane in Pane] == [0, 0, 1]
    pressed(view, Key.ESCAPE)
    assert [len(view.rows(a_board(), pane)) for pane in Pane] == [3, 1, 2]
    pressed(view, "/", "c", Key.ESCAPE)
    assert view.filter == ""


def test_letters_do_what_the_help_lists() -> None:
    view = View()
    assert pressed(view, "q") == Quit()
    assert pressed(view, "r") == Reread()
    assert (pressed(view, "p"), view.is_frozen) == (None, True)
    assert (pressed(view, "p"), view.is_frozen) == (Reread(), False)
    assert (pressed(view, "w"), view.window) == (Reread(), Window.HOUR)
    pressed(view, "z")
    assert view.is_zoomed
    pressed(view, "?")
    assert state(view)[0] is Mode.HELP
    assert (pressed(view, "x"), view.mode) == (None, Mode.TABLES)
    assert pressed(view, "?", "q") == Quit()


def test_a_window_that_no_key_leads_to_is_left_by_the_key() -> None:
    view = View(window=Window.MONTH)
    pressed(view, "w")
    assert view.window is Window.MINUTES_5


def test_details_are_scrolled_and_never_above_their_top() -> None:
    view = View(page=5)
    pressed(view, Key.ENTER, Key.DOWN, Key.PAGE_DOWN, "j", Key.UP)
    assert view.scroll == 6
    pressed(view, Key.HOME)
    assert view.scroll == 0
