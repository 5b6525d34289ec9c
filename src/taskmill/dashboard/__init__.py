"""The dashboard: pages for people, drawn here and kept fresh by the change_ticker of the feed.

How a page is added:

1. A module in `pages/` with endpoints `async def show_x(view: View) -> Response` and a list `ROUTES`, which
   `app.py` joins to the others. An endpoint reads by `view.context` (the service, settings, clock), and
   answers `view.page("x.html", title=…, …)`. Errors of the tree (`TaskNotFound`, `Unavailable`) are raised:
   `app.py` shows them.
2. A template in `templates/` that extends `layout.html`. What block `live` has is drawn anew, with the same
   address, whenever something has changed: then only this block is sent, so it imports `parts.html` itself.
   Everything around it stays. `layout.html` says what the blocks are; `parts.html` has the macros (status,
   time, progress, JSON, empty state, pager).
3. Words in `texts/en.json` and `texts/ru.json`, used as `t("x.title")`. A text with a number is a mapping of
   plural forms, and gets `n`. Tests compare the two, and with what templates use.
4. A line in `navigation.py`, if it is to be found there.
5. Styles in `static/app.css`; a script only for what HTML can't do. There is no inline script and no inline
   style: the policy refuses them. Widths that depend on data are attributes of SVG, `progress` and `meter`.
6. Forms post to addresses of the dashboard; `runtime.http_access` lets them come from its own pages only. An
   answer to a form is a redirect (`view.redirect`), or the fragment that htmx asked for (`view.fragment`). A form
   with `data-confirm` asks first.
7. Queries are bounded, and cost the same at 5,000,000 tasks.

It knows the operations, and neither the API nor any other role.
"""
