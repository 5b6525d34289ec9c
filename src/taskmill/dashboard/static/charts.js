// Charts: draws the points of an element, which are JSON, as series over time, in the colours of the page.
"use strict";
(() => {
  const charts = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  // Colours are defined for both themes at once; a probe element resolves the current one.
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  const colour = (name) => { probe.style.color = css(name); return getComputedStyle(probe).color; };
  const digits = (value, most) => {
    const text = String(+value.toPrecision(most));
    return document.documentElement.lang === "en" ? text : text.replace(".", ",");
  };
  const [million, thousand] = document.body.dataset.large.split(",");
  function number(value) {
    if (value === null || value === undefined) return "–";
    for (const [unit, size] of [[million, 1e6], [thousand, 1000]]) if (value >= size) return `${digits(value / size, 3)}${unit}`;
    return digits(value, 3);
  }
  const [s, min, h, d, ms] = document.body.dataset.units.split(",");
  function span(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    if (value < 1) return `${digits(value * 1000, 2)} ${ms}`;
    for (const [unit, size] of [[d, 86400], [h, 3600], [min, 60]]) if (value >= size) return `${digits(value / size, 2)} ${unit}`;
    return `${digits(value, 2)} ${s}`;
  }
  // A line needs two adjacent values; a single one is drawn as a point.
  function singles(chart, index) {
    const values = chart.data[index], exists = (at) => values[at] !== null && values[at] !== undefined;
    return [...values.keys()].filter((at) => exists(at) && !exists(at - 1) && !exists(at + 1));
  }
  function draw(node) {
    charts.get(node)?.destroy();
    node.replaceChildren();
    const show = node.dataset.chart === "time" ? span : number;
    const names = node.dataset.names.split("|"), colours = node.dataset.colours.split("|").map(colour);
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: colour("muted"), grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const options = {
      width: node.clientWidth, height: node.clientHeight - 26,
      // Half of a label has to fit beside the last line of the grid.
      padding: [8, 28, 0, 0],
      cursor: { y: false, points: { size: 6 } },
      legend: { live: false, markers: { width: 2 } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, size: 26, values: [
          [3600 * 24 * 30, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
          [3600 * 24, "{DD}.{MM}", null, null, null, null, null, null, 1],
          [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
          [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
        ] },
        { ...axis, size: 62, values: (_, values) => values.map(show) },
      ],
      series: [
        { label: "", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        ...names.map((label, index) => ({
          label, stroke: colours[index], width: 1.75, spanGaps: false,
          points: { show: false, size: 6, filter: singles }, value: (_, value) => show(value),
          fill: index === 1 && node.dataset.chart === "rate" ? colours[index].replace("rgb(", "rgba(").replace(")", ", .08)") : undefined,
        })),
      ],
    };
    charts.set(node, new uPlot(options, JSON.parse(node.dataset.points), node));
  }
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts.get(target);
      if (chart && target.clientWidth && chart.width !== target.clientWidth) chart.setSize({ width: target.clientWidth, height: chart.height });
    }
  });
  for (const node of document.querySelectorAll("[data-chart]")) {
    draw(node);
    watch.observe(node);
    node.addEventListener("points", () => charts.get(node).setData(JSON.parse(node.dataset.points)));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const node of charts.keys()) draw(node); });
})();
