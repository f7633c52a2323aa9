// The conversation: one column a turn. One path a colour, so that thousands of turns stay cheap; it works as a slider.

const SVG = "http://www.w3.org/2000/svg";
const chart = { mode: "action", slider: null, readout: null, geometry: null, mark: null };
const TALL = 168;
const TOP = 14;
const BOTTOM = 20;
const LEFT = 44;

const draws = (tag, attributes) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};

/** Layers of the chart: [name, class]. */
const layers = () =>
  (chart.mode === "action" ? ACTIONS.map(([name]) => [name, tone(name)]) : TIERS.map(([name], at) => [name, `t-${at}`]))
    .map((layer, at) => [...layer, at])
    .filter(([, , at]) => CALLS.some((_, call) => sumsOf(call)[chart.mode][at] > 0));

async function initTimeline() {
  if (CALLS.length < 2) return;
  for (let from = 0, started = performance.now(); from < CALLS.length; from++) {
    sumsOf(from);
    if (performance.now() - started > SLICE_MS) {
      await breathe();
      started = performance.now();
    }
  }
  const node = byId("timeline");
  node.hidden = false;
  const mode = make(
    "select",
    { id: "stack" },
    make("option", { value: "action", textContent: "action" }),
    make("option", { value: "age", textContent: "age" }),
  );
  mode.addEventListener("change", () => {
    chart.mode = mode.value;
    drawTimeline();
  });
  chart.slider = make("div", {
    className: "chart",
    role: "slider",
    tabIndex: 0,
    "aria-label": capital(UNIT),
    "aria-valuemin": 1,
    "aria-valuemax": CALLS.length,
  });
  chart.readout = make("p", { className: "readout" });
  chart.legend = make("p", { className: "legend" });
  chart.slider.addEventListener("click", (event) => choose({ call: callAt(event), scope: "call", segment: null }));
  chart.slider.addEventListener("pointermove", (event) => say(callAt(event)));
  chart.slider.addEventListener("pointerleave", () => say(state.call));
  chart.slider.addEventListener("keydown", (event) => {
    const moves = {
      ArrowRight: 1,
      ArrowUp: 1,
      ArrowLeft: -1,
      ArrowDown: -1,
      PageUp: 10,
      PageDown: -10,
      Home: -Infinity,
      End: Infinity,
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(moves[event.key]);
  });
  const rows = make("details", { className: "astable" }, make("summary", { textContent: "Timeline as a table" }));
  rows.addEventListener("toggle", () => {
    if (rows.open && rows.childElementCount === 1) rows.append(timelineTable());
  });
  node.append(
    make(
      "div",
      { className: "charttools" },
      make("label", { htmlFor: "stack", textContent: "Tokens sent, by" }),
      mode,
      chart.legend,
    ),
    chart.slider,
    chart.readout,
    rows,
  );
  new ResizeObserver(() => requestAnimationFrame(drawTimeline)).observe(chart.slider);
}

const step = (by) =>
  choose({ call: Math.max(0, Math.min(CALLS.length - 1, state.call + by)), scope: "call", segment: null });

function callAt(event) {
  const { left } = chart.slider.getBoundingClientRect();
  const { width } = chart.geometry;
  return Math.max(0, Math.min(CALLS.length - 1, Math.floor((event.clientX - left - LEFT) / width)));
}

/** A round number at or above a value: 1, 2, 2.5 or 5 times a power of ten. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value);
}

function drawTimeline() {
  if (!chart.slider) return;
  const wide = chart.slider.clientWidth;
  if (wide < 80) return;
  let most = 1;
  for (const call of CALLS) most = Math.max(most, call.before, call.after);
  const top = ceiling(most);
  const width = (wide - LEFT - 4) / CALLS.length;
  const bar = Math.max(0.6, width > 5 ? Math.min(width - 2, 48) : width);
  const shift = (width - bar) / 2;
  const y = (value) => TOP + TALL * (1 - value / top);
  const box = (call, low, high) =>
    high > low
      ? `M${(LEFT + call * width + shift).toFixed(2)} ${y(low).toFixed(2)}V${y(high).toFixed(2)}h${bar.toFixed(2)}V${y(low).toFixed(2)}z`
      : "";
  chart.geometry = { width };
  const svg = draws("svg", {
    viewBox: `0 0 ${wide} ${TOP + TALL + BOTTOM}`,
    width: wide,
    height: TOP + TALL + BOTTOM,
    "aria-hidden": "true",
    focusable: "false",
  });
  for (const value of [0, top / 2, top]) {
    svg.append(draws("path", { class: "grid", d: `M${LEFT} ${y(value)}H${wide - 4}` }));
    const label = draws("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" });
    label.textContent = short(value);
    svg.append(label);
  }
  chart.mark = draws("rect", { class: "chosen", y: TOP - 4, height: TALL + 4, rx: 2 });
  svg.append(
    chart.mark,
    draws("path", {
      class: "before",
      d: CALLS.map((call, at) => box(at, Math.min(call.after, call.before), call.before)).join(""),
    }),
  );
  const shown = layers();
  const base = CALLS.map(() => 0);
  for (const [, name, layer] of [...shown].reverse()) {
    let path = "";
    CALLS.forEach((_, at) => {
      const value = sumsOf(at)[chart.mode][layer];
      path += box(at, base[at], base[at] + value);
      base[at] += value;
    });
    svg.append(draws("path", { class: name, d: path }));
  }
  svg.append(
    draws("path", {
      class: "rewrote",
      d: CALLS.map((call, at) =>
        call.rewrote ? `M${(LEFT + (at + 0.5) * width).toFixed(2)} ${TOP - 4}l-4 -8h8z` : "",
      ).join(""),
    }),
  );
  const every = Math.max(1, Math.ceil(CALLS.length / Math.max(2, Math.floor(wide / 80))));
  CALLS.forEach((call, at) => {
    if (at % every) return;
    const label = draws("text", { x: LEFT + (at + 0.5) * width, y: TOP + TALL + 15, "text-anchor": "middle" });
    label.textContent = String(call.turn);
    svg.append(label);
  });
  chart.slider.replaceChildren(svg);
  chart.legend.replaceChildren(
    ...shown.map(([name, tint]) =>
      make("span", { className: `key ${tint}` }, make("i", { "aria-hidden": "true" }), name),
    ),
    make("span", { className: "key k-before" }, make("i", { "aria-hidden": "true" }), "left out"),
    ...(CALLS.some((call) => call.rewrote)
      ? [
          make(
            "span",
            { className: "key k-rewrote" },
            make("i", { "aria-hidden": "true", textContent: "▼" }),
            "cached prefix rewritten",
          ),
        ]
      : []),
  );
  markTurn();
}

function markTurn() {
  if (!chart.slider) return;
  if (chart.mark) {
    chart.mark.setAttribute("x", LEFT + state.call * chart.geometry.width - 1);
    chart.mark.setAttribute("width", Math.max(3, chart.geometry.width + 2));
    chart.mark.setAttribute("visibility", state.scope === "call" ? "visible" : "hidden");
  }
  chart.slider.setAttribute("aria-valuenow", state.call + 1);
  chart.slider.setAttribute("aria-valuetext", sentence(state.call));
  say(state.call);
}

function sentence(at) {
  const call = CALLS[at];
  const parts = [`${capital(turnName(call))}: ${count(call.before)} → ${count(call.after)} tokens`];
  for (const [label, , layer] of layers())
    if (sumsOf(at)[chart.mode][layer]) parts.push(`${label} ${count(sumsOf(at)[chart.mode][layer])}`);
  if (call.rewrote) parts.push(`${several(call.rewrote, "segment")} of the cached prefix rewritten`);
  if (call.warnings?.length) parts.push(several(call.warnings.length, "warning"));
  return parts.join(", ");
}

const say = (at) => {
  chart.readout.textContent = sentence(at);
};

const TABLE_PAGE = 50;
function timelineTable() {
  let from = Math.floor(state.call / TABLE_PAGE) * TABLE_PAGE;
  const box = make("div");
  const draw = () => {
    const to = Math.min(from + TABLE_PAGE, CALLS.length);
    const rows = CALLS.slice(from, to).map((call, at) => {
      const go = make("button", { type: "button", className: "link", textContent: capital(turnName(call)) });
      go.addEventListener("click", () => choose({ call: from + at, scope: "call", segment: null }));
      return [
        go,
        call.before,
        call.after,
        percent(call.after, call.before),
        call.rewrote ?? 0,
        call.risk,
        call.warnings?.length ?? 0,
        ...ACTIONS.map((_, layer) => sumsOf(from + at).action[layer]),
      ];
    });
    const turn = (name, by) => {
      const button = make("button", {
        type: "button",
        textContent: name,
        disabled: from + by < 0 || from + by >= CALLS.length,
      });
      button.addEventListener("click", () => {
        from += by;
        draw();
      });
      return button;
    };
    box.replaceChildren(
      table(
        `${capital(UNIT)}s ${from + 1} to ${to} of ${CALLS.length}; tokens sent by action in the last columns`,
        [capital(UNIT), "Before", "After", "Kept", "Rewritten", "Risk", "Warnings", ...ACTIONS.map(([name]) => name)],
        rows,
      ),
    );
    if (CALLS.length > TABLE_PAGE)
      box.append(
        make("p", { className: "pager" }, turn(`Earlier ${UNIT}s`, -TABLE_PAGE), turn(`Later ${UNIT}s`, TABLE_PAGE)),
      );
  };
  draw();
  return box;
}
