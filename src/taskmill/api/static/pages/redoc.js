"use strict";

const page = document.getElementById("page");

const fonts = 'system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif';

Redoc.init(
  page.dataset.document,
  {
    hideDownloadButtons: false,
    theme: {
      typography: { fontFamily: fonts, headings: { fontFamily: fonts } },
    },
  },
  page,
);
