// Charts: draws the points of an element, which are JSON, as series over time, in the colours of the page. Below each
// are the values at the pointer, else the latest ones. To drag, or Shift with the arrows and then Enter, opens the page
// for the steps that are chosen, each to its end: what a point shows is within them. They are in the address, and stay.
"use strict";
(() => {
  const LEAST_S = 300;
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
  const isMissing = (value) => value === null || value === undefined;
  function number(value) {
    if (isMissing(value)) return "–";
    for (const [unit, size] of [[million, 1e6], [thousand, 1000]]) if (value >= size) return `${digits(value / size, 3)}${unit}`;
    return digits(value, 3);
  }
  const [s, min, h, d, ms] = document.body.dataset.units.split(",");
  function span(value) {
    if (isMissing(value)) return "–";
    if (value === 0) return "0";
    if (value < 1) return `${digits(value * 1000, 2)} ${ms}`;
    for (const [unit, size] of [[d, 86400], [h, 3600], [min, 60]]) if (value >= size) return `${digits(value / size, 2)} ${unit}`;
    return `${digits(value, 2)} ${s}`;
  }
  const two = (value) => String(value).padStart(2, "0");
  function moment(seconds, times) {
    const at = new Date(seconds * 1000), day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return times[times.length - 1] - times[0] > 72000 ? `${day} ${clock}` : clock;
  }
  // A line needs two adjacent values; a single one is drawn as a point.
  function singles(chart, index) {
    const values = chart.data[index], exists = (at) => !isMissing(values[at]);
    return [...values.keys()].filter((at) => exists(at) && !exists(at - 1) && !exists(at + 1));
  }
  // Each series on top of those before it; the highest is drawn first.
  function stacked([times, ...series]) {
    const sums = times.map(() => 0);
    return [times, ...series.map((values) => values.map((value, at) => (sums[at] += value ?? 0))).reverse()];
  }
  const read = (node) => {
    const points = JSON.parse(node.dataset.points);
    return { points, shown: "bars" in node.dataset ? stacked(points) : points };
  };

  function zoom(from, to) {
    const middle = (from + to) / 2, half = Math.max(to - from, LEAST_S) / 2;
    const text = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16) + "Z";
    const address = new URL(location.href);
    address.searchParams.delete("window");
    address.searchParams.set("from", text(Math.floor((middle - half) / 60) * 60));
    address.searchParams.set("to", text(Math.ceil((middle + half) / 60) * 60));
    location.assign(address);
  }

  class Chart {
    constructor(node) {
      this.node = node;
      this.plot = node.appendChild(document.createElement("div"));
      this.legend = node.appendChild(document.createElement("p"));
      this.plot.className = "plot";
      this.legend.className = "legend";
      this.isHeld = this.isStale = false;
      this.draw();
      this.listen();
    }
    get step() { return Number(this.node.dataset.step) || 60; }
    // A bar is around where its step begins, and a point there.
    get margin() { return "bars" in this.node.dataset ? this.step / 2 : 0; }
    get marks() { return JSON.parse(this.node.dataset.marks || "[]"); }
    draw() {
      const at = this.uplot?.cursor.idx;
      this.uplot?.destroy();
      const { points, shown } = read(this.node);
      this.points = points;
      this.drawn = this.node.dataset.names;
      this.names = this.drawn.split("|");
      this.colours = this.node.dataset.colours.split("|").map(colour);
      this.uplot = new uPlot(this.options(), shown, this.plot);
      this.show(at);
    }
    options() {
      const { node } = this, isBars = "bars" in node.dataset;
      const format = this.format = node.dataset.chart === "time" ? span : number;
      const grid = { stroke: colour("line"), width: 1 };
      const axis = { stroke: colour("muted"), grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      const { margin } = this, isZoom = "zoom" in node.dataset;
      return {
        width: this.plot.clientWidth, height: this.plot.clientHeight,
        // Half of a label has to fit beside the last line of the grid.
        padding: [8, 28, 0, 0],
        cursor: {
          y: false, points: { size: 6, show: !isBars }, drag: { x: isZoom, y: false, setScale: false },
          bind: { dblclick: () => null },
        },
        legend: { show: false },
        scales: {
          x: isBars ? { range: (_, low, high) => [low - margin, high + margin] } : {},
          y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] },
        },
        axes: [
          { ...axis, size: 26, values: [
            [3600 * 24 * 30, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
            [3600 * 24, "{DD}.{MM}", null, null, null, null, null, null, 1],
            [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
            [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
          ] },
          { ...axis, size: 62, values: (_, values) => values.map(format) },
        ],
        series: [{}, ...this.series(isBars)],
        hooks: {
          draw: [(plot) => this.drawMarks(plot)],
          setCursor: [(plot) => this.show(plot.cursor.idx)],
          setSelect: [(plot) => this.choose(plot)],
        },
      };
    }
    series(isBars) {
      if (isBars) {
        const paths = uPlot.paths.bars({ size: [0.8, 48] });
        return this.colours.map((one) => ({ stroke: one, fill: one, width: 0, paths, points: { show: false } })).reverse();
      }
      return this.colours.map((stroke, index) => ({
        stroke, width: 1.75, spanGaps: false, points: { show: false, size: 6, filter: singles },
        fill: index === Number(this.node.dataset.filled ?? -1) ? stroke.replace("rgb(", "rgba(").replace(")", ", .08)") : undefined,
      }));
    }
    drawMarks({ ctx, bbox, scales, valToPos }) {
      ctx.save();
      ctx.strokeStyle = colour("late");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
      for (const [at] of this.marks) {
        const place = this.place(at);
        if (!(place >= scales.x.min && place <= scales.x.max)) continue;
        const x = Math.round(valToPos(place, "x", true));
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    }
    // Where a mark is drawn. The last step goes on beyond the last point.
    place(at) {
      const last = this.points[0].at(-1);
      return at < last + this.step ? Math.min(at - this.margin, last + this.margin) : undefined;
    }
    // The values of a step, of the latest without one.
    show(index) {
      const [times, ...series] = this.points;
      const at = index ?? times.length - 1;
      this.legend.replaceChildren();
      const add = (className, text, parent = this.legend) => {
        const node = parent.appendChild(document.createElement("span"));
        node.className = className;
        node.textContent = text;
        return node;
      };
      if (times.length) add("at", moment(times[at], times));
      this.names.forEach((name, number) => {
        const key = add("key", "");
        key.appendChild(document.createElement("i")).style.background = this.colours[number];
        key.append(`${name} `);
        key.appendChild(document.createElement("b")).textContent = this.format(series[number]?.[at]);
      });
      for (const [when, text] of this.marks) if (Math.abs(this.place(when) - times[at]) <= this.step / 2) add("mark", text);
    }
    choose({ select, posToIdx }) {
      if (select.width >= 8) this.open(posToIdx(select.left), posToIdx(select.left + select.width));
      else if (select.width) this.unselect();
    }
    // How many tasks wait is of a moment, and the last one is the end of the span: nothing is beyond it.
    open(first, last) {
      const times = this.points[0], { dataset } = this.node;
      const isEnd = dataset.chart === "count" && !("bars" in dataset) && last === times.length - 1;
      zoom(times[first], isEnd ? times[last] : times[last] + this.step);
    }
    unselect() { this.uplot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false); }
    // An update waits while the reader chooses a span: its steps would move on.
    update() {
      if (this.isHeld || this.anchor !== undefined) { this.isStale = true; return; }
      this.isStale = false;
      if (this.node.dataset.names !== this.drawn) { this.draw(); return; }
      const { points, shown } = read(this.node);
      this.points = points;
      this.uplot.setData(shown);
      this.show(this.uplot.cursor.idx);
    }
    release() {
      this.isHeld = false;
      if (this.isStale) this.update();
    }
    go(index, isChoosing) {
      const times = this.points[0], { uplot } = this;
      if (!times.length) return;
      const to = Math.min(Math.max(index, 0), times.length - 1), left = uplot.valToPos(times[to], "x");
      this.anchor = isChoosing ? this.anchor ?? uplot.cursor.idx ?? times.length - 1 : undefined;
      this.legend.setAttribute("aria-live", "polite");
      uplot.setCursor({ left, top: 0 });
      const from = isChoosing ? uplot.valToPos(times[this.anchor], "x") : left;
      const height = isChoosing ? uplot.over.clientHeight : 0;
      uplot.setSelect({ left: Math.min(from, left), width: Math.abs(left - from), top: 0, height }, false);
      this.index = to;
    }
    leave() {
      this.anchor = undefined;
      this.legend.removeAttribute("aria-live");
      this.unselect();
      this.uplot.setCursor({ left: -10, top: -10 });
      this.release();
    }
    key(event) {
      const times = this.points[0], last = times.length - 1, now = this.uplot.cursor.idx ?? last + 1;
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
      if (to !== undefined) this.go(to, event.shiftKey && "zoom" in this.node.dataset);
      else if (event.key === "Enter" && this.anchor !== undefined && this.anchor !== this.index) {
        this.open(Math.min(this.anchor, this.index), Math.max(this.anchor, this.index));
      } else if (event.key === "Escape") this.leave();
      else return;
      event.preventDefault();
      event.stopPropagation();
    }
    listen() {
      const { node } = this;
      node.addEventListener("points", () => this.update());
      node.addEventListener("keydown", (event) => { if (!event.ctrlKey && !event.metaKey && !event.altKey) this.key(event); });
      node.addEventListener("blur", () => this.leave());
      node.addEventListener("pointerdown", () => { this.isHeld = true; });
      // A finger shows values; it still scrolls the page up and down.
      for (const name of ["pointerdown", "pointermove"]) node.addEventListener(name, (event) => {
        if (event.pointerType === "mouse") return;
        const box = this.uplot.over.getBoundingClientRect();
        this.uplot.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
      });
    }
    resize() {
      const width = this.plot.clientWidth;
      if (width && this.uplot.width !== width) this.uplot.setSize({ width, height: this.uplot.height });
    }
  }

  const watch = new ResizeObserver((entries) => { for (const { target } of entries) charts.get(target)?.resize(); });
  // An update may bring charts, and take others away.
  function find() {
    for (const [node, chart] of charts) if (!node.isConnected) {
      watch.unobserve(node);
      chart.uplot.destroy();
      charts.delete(node);
    }
    for (const node of document.querySelectorAll("[data-chart]")) if (!charts.has(node)) {
      charts.set(node, new Chart(node));
      watch.observe(node);
    }
  }
  find();
  document.body.addEventListener("htmx:afterSettle", find);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { for (const chart of charts.values()) chart.release(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const chart of charts.values()) chart.draw(); });
})();
