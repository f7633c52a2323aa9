// The list: a listbox that holds only the rows in view, whatever their number.

const list = { node: byId("list"), spacer: null, rows: [], active: -1, height: 64, drawn: "", choose: null };
const OVERSCAN = 6;
const MARGIN = 40;

function initList(choose) {
  list.choose = choose;
  list.spacer = make("div", { role: "presentation", className: "spacer" });
  list.node.append(list.spacer);
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      measure();
      draw();
    });
  };
  list.node.addEventListener("scroll", later, { passive: true });
  new ResizeObserver(later).observe(list.node);
  list.node.addEventListener("keydown", listKey);
  list.node.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) activate(Number(row.dataset.row), true, true);
  });
  list.node.addEventListener("focus", () => {
    if (list.active < 0 && list.rows.length) activate(0, true);
  });
}

/** Rows are as high as the style sheet says, in the reader's font size. */
function measure() {
  const height = parseFloat(getComputedStyle(list.spacer).getPropertyValue("line-height"));
  if (height > 0) list.height = height;
}

function showRows(rows) {
  list.rows = rows;
  list.active = rows.findIndex(([index]) => index === state.segment);
  list.drawn = "";
  measure();
  list.spacer.style.height = `${rows.length * list.height}px`;
  list.node.style.setProperty("--high", `${rows.length * list.height + 2}px`);
  if (list.active < 0) list.node.scrollTop = 0;
  else reveal(list.active);
  draw();
}

function draw() {
  const from = Math.max(0, Math.floor(list.node.scrollTop / list.height) - OVERSCAN);
  const to = Math.min(
    list.rows.length,
    Math.ceil((list.node.scrollTop + list.node.clientHeight) / list.height) + OVERSCAN,
  );
  const key = `${from} ${to} ${list.active} ${list.height}`;
  if (key === list.drawn) return;
  list.drawn = key;
  list.spacer.style.height = `${list.rows.length * list.height}px`;
  const shown = new Set();
  for (let row = from; row < to; row++) shown.add(row);
  // The active row stays in the document, so that it can be announced after scrolling away from it.
  if (list.active >= 0) shown.add(list.active);
  list.spacer.replaceChildren(...[...shown].sort((a, b) => a - b).map(rowNode));
  if (list.active >= 0) list.node.setAttribute("aria-activedescendant", `row-${list.active}`);
  else list.node.removeAttribute("aria-activedescendant");
}

function rowNode(row) {
  const [index, age, where] = list.rows[row];
  const segment = SEGMENTS[index];
  const node = make("div", {
    role: "option",
    id: `row-${row}`,
    className: "row",
    "data-row": row,
    "aria-selected": String(row === list.active),
    "aria-setsize": list.rows.length,
    "aria-posinset": row + 1,
  });
  node.style.transform = `translateY(${row * list.height}px)`;
  const name = make("bdi", { className: "id", dir: "auto" });
  marked(name, String(segment.id).slice(0, 120));
  const meter = make(
    "span",
    { className: "meter", "aria-hidden": "true" },
    make("i", { className: tone(segment.action) }),
  );
  meter.firstChild.style.width = `${segment.before ? Math.min(100, (100 * segment.after) / segment.before) : 100}%`;
  node.append(
    make("span", { className: "line" }, name, make("span", { className: "amount", textContent: change(segment) })),
    make(
      "span",
      { className: "line" },
      badge(segment.action),
      make(
        "span",
        { className: "meta" },
        text([segment.kind, segment.type].filter(Boolean).join(", ").replaceAll("_", " "), "bdi", "", 60),
        age === null ? "" : `, age ${age}`,
      ),
    ),
    make("span", { className: "line" }, excerpt(segment, where)),
    meter,
  );
  return node;
}

const change = (segment) =>
  segment.before === segment.after ? count(segment.before) : `${count(segment.before)} → ${count(segment.after)}`;
const badge = (action) =>
  make(
    "span",
    { className: `badge ${tone(action)}` },
    make("i", { "aria-hidden": "true" }),
    text(action, "bdi", "", 40),
  );

/** The reason, or the surroundings of the first hit. */
function excerpt(segment, where) {
  const node = make("bdi", { className: "why", dir: "auto" });
  let value = String(segment.reason ?? "");
  if (where === "text") {
    for (const at of [segment.in, segment.out, segment.source]) {
      const found = typeof at === "number" ? pattern()?.exec(textOf(at)) : null;
      if (!found) continue;
      const start = Math.max(0, found.index - MARGIN);
      value = (start ? "…" : "") + textOf(at).slice(start, start + 160);
      break;
    }
  }
  return marked(node, value.slice(0, 200).replace(/\s+/g, " "));
}

function reveal(row) {
  const top = row * list.height;
  if (top < list.node.scrollTop) list.node.scrollTop = top;
  else if (top + list.height > list.node.scrollTop + list.node.clientHeight)
    list.node.scrollTop = top + list.height - list.node.clientHeight;
}

function activate(row, chosen, clicked = false) {
  if (!list.rows.length) return;
  list.active = Math.max(0, Math.min(row, list.rows.length - 1));
  reveal(list.active);
  draw();
  if (chosen) list.choose(list.rows[list.active][0], clicked);
}

function listKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const page = Math.max(1, Math.floor(list.node.clientHeight / list.height) - 1);
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (event.key in moves) activate(list.active < 0 ? 0 : list.active + moves[event.key], true);
  else if (event.key === "Enter") byId("detail").focus();
  else return;
  event.preventDefault();
}
