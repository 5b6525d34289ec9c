// Charts: an element with its points as JSON becomes lines over time, in the colours of the page.
"use strict";
(() => {
  const charts = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  // Colours are given for both themes at once; a probe tells which one holds.
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  const colour = (name) => { probe.style.color = css(name); return getComputedStyle(probe).color; };
  function number(value) {
    if (value === null || value === undefined) return "–";
    if (value >= 1000) return `${+(value / 1000).toPrecision(3)}k`;
    return String(+value.toPrecision(3));
  }
  const [s, min, h, d, ms] = document.body.dataset.units.split(",");
  function span(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    if (value < 1) return `${+(value * 1000).toPrecision(2)} ${ms}`;
    for (const [unit, size] of [[d, 86400], [h, 3600], [min, 60]]) if (value >= size) return `${+(value / size).toPrecision(2)} ${unit}`;
    return `${+value.toPrecision(2)} ${s}`;
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
      padding: [8, 18, 0, 0],
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
        { ...axis, size: 56, values: (_, values) => values.map(show) },
      ],
      series: [
        { label: "", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        ...names.map((label, place) => ({
          label, stroke: colours[place], width: 1.75, spanGaps: false,
          points: node.dataset.chart === "time" ? { size: 4 } : { show: false }, value: (_, value) => show(value),
          fill: place === 1 && node.dataset.chart === "rate" ? colours[place].replace("rgb(", "rgba(").replace(")", ", .08)") : undefined,
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
