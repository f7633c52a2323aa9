// Which segments are shown: the scope (one call or all), the facets and the search. Long work is done in slices.

const state = {
  call: CALLS.length - 1,
  scope: CALLS.length > 1 ? "call" : "all",
  segment: null,
  filters: {},
  query: "",
  sort: "attention",
  heat: false,
  view: "",
};
const SLICE_MS = 8;

/** The search as a pattern that takes its characters literally; null without one. */
function pattern(query = state.query) {
  const wanted = query.trim();
  return wanted ? new RegExp(wanted.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu") : null;
}

/** The segments of the scope in the order they were sent: [segment index, age or null]. */
const scoped = () =>
  state.scope === "call" && CALLS[state.call]
    ? CALLS[state.call].segments.filter(([index]) => SEGMENTS[index])
    : SEGMENTS.map((_, index) => [index, null]);

const passes = (index, but = null) =>
  Object.entries(state.filters).every(([name, value]) => !value || name === but || facets(index)[name].includes(value));

const SORTS = {
  attention: (a, b) => rank(SEGMENTS[a[0]]) - rank(SEGMENTS[b[0]]),
  order: null,
  saved: (a, b) => SEGMENTS[b[0]].before - SEGMENTS[b[0]].after - (SEGMENTS[a[0]].before - SEGMENTS[a[0]].after),
  risk: (a, b) => (SEGMENTS[b[0]].score ?? -1) - (SEGMENTS[a[0]].score ?? -1),
  size: (a, b) => SEGMENTS[b[0]].before - SEGMENTS[a[0]].before,
};
const SORT_NAMES = {
  attention: "Needs attention first",
  order: "As sent",
  saved: "Most saved",
  risk: "Highest risk",
  size: "Largest",
};

/** Where a segment matches: "id", "reason" or "text"; null where it does not. `seen` remembers texts. */
function match(index, wanted, seen) {
  const segment = SEGMENTS[index];
  const says = (value) => {
    wanted.lastIndex = 0;
    return wanted.test(value);
  };
  if (says(String(segment.id)) || says(String(segment.title ?? ""))) return "id";
  if (says(String(segment.reason ?? "")) || says(String(segment.lock ?? ""))) return "reason";
  for (const at of new Set([segment.in, segment.out, segment.source])) {
    if (typeof at !== "number") continue;
    if (!seen.has(at)) seen.set(at, says(textOf(at)));
    if (seen.get(at)) return "text";
  }
  return null;
}

let running = 0;
/**
 * Works out the list anew.
 *
 * @returns null where a later call has taken over; else rows [segment index, age, place of the hit], and for each facet
 *   the number of rows that each of its values would leave.
 */
async function select() {
  const mine = ++running;
  const wanted = pattern();
  const seen = new Map();
  const rows = [];
  const counts = Object.fromEntries(Object.keys(FACETS).map((name) => [name, new Map()]));
  const all = scoped();
  let started = performance.now();
  for (const [index, age] of all) {
    if (performance.now() - started > SLICE_MS) {
      await breathe();
      if (mine !== running) return null;
      started = performance.now();
    }
    const where = wanted ? match(index, wanted, seen) : "";
    if (where === null) continue;
    for (const name of Object.keys(FACETS)) {
      if (!passes(index, name)) continue;
      for (const value of facets(index)[name]) counts[name].set(value, (counts[name].get(value) ?? 0) + 1);
    }
    if (passes(index)) rows.push([index, age, where]);
  }
  if (SORTS[state.sort]) rows.sort(SORTS[state.sort]);
  return { rows, counts, total: all.length };
}

/** The hits in a range of a text, as [start, end, "hit"]. */
function hits(value, from, to) {
  const wanted = pattern();
  if (!wanted) return [];
  const reach = state.query.length;
  const start = Math.max(0, from - reach);
  const part = value.slice(start, to + reach);
  const found = [];
  for (let hit; found.length < 1000 && (hit = wanted.exec(part));)
    found.push([start + hit.index, start + hit.index + hit[0].length, "hit"]);
  return found;
}

/** Appends a text with its hits marked. */
function marked(node, value) {
  let from = 0;
  for (const [start, end] of hits(value, 0, value.length)) {
    append(node, value.slice(from, start));
    const mark = make("mark");
    append(mark, value.slice(start, end));
    node.append(mark);
    from = end;
  }
  append(node, value.slice(from));
  return node;
}
