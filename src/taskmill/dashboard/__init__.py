"""The dashboard: pages for people, rendered here and refreshed by the change ticker.

How to add a page:

1. A module in `pages/` with endpoints `async def show_x(view: View) -> Response` and a list `ROUTES`, which
   `app.py` joins to the others. An endpoint reads through `view.context` (the service, settings, clock), and
   returns `view.page("x.html", title=…, …)`. Errors of the tree (`TaskNotFound`, `Unavailable`) are raised:
   `app.py` shows them.
2. A template in `templates/` that extends `layout.html`. Its block `live` is rendered again, at the same address,
   whenever something has changed: then only this block is sent, so it imports `parts.html` itself. Everything
   around it stays. `layout.html` lists the blocks; `parts.html` has the macros (status, time, progress, JSON,
   empty state, pager).
3. Texts in `texts/en.json` and `texts/ru.json`, used as `t("x.title")`. A text with a number is a mapping of
   plural forms, and gets `n`. Tests compare the two languages, and both with what templates use.
4. An entry in `navigation.py`, if the page belongs there.
5. Styles in `static/app.css`; a script only for what HTML can't do. There are no inline scripts and styles: the
   policy refuses them. Widths that depend on data are attributes of SVG, `progress` and `meter`.
6. Forms post to addresses of the dashboard; `runtime.http_access` accepts them from its own pages only. The
   response to a form is a redirect (`view.redirect`), or the fragment that htmx requested (`view.fragment`). A
   form with `data-confirm` asks first.
7. Queries are bounded, and cost the same at 5,000,000 tasks.

It knows the operations, and neither the API nor any other role.
"""
