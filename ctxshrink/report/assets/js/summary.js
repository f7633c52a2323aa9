// What stands first: the figures, what needs attention; and the bench at the end.

const WARNINGS = 8;

function initSummary() {
  byId("title").replaceChildren(text(DATA.title || "Report", "bdi", "", 200));
  if (!CALLS.length) {
    if (!DATA.bench) {
      byId("summary").hidden = false;
      byId("summary").append(
        make("p", { className: "note", textContent: "There is nothing to show: the file holds no calls." }),
      );
    }
    return;
  }
  const node = byId("summary");
  node.hidden = false;
  const before = CALLS.reduce((sum, call) => sum + call.before, 0);
  const after = CALLS.reduce((sum, call) => sum + call.after, 0);
  const observed = CALLS.every((call) => call.mode === "observe");
  const counters = [...new Set(CALLS.map((call) => call.counter))];
  const exact = CALLS.every((call) => call.exact);
  const risk = Math.max(...CALLS.map((call) => call.risk ?? 0));
  const hero = make(
    "div",
    { className: "hero" },
    make(
      "p",
      { className: "headline" },
      make("span", { textContent: count(before) }),
      make("span", { className: "arrow", role: "img", "aria-label": "became", textContent: "→" }),
      make("strong", { textContent: count(after) }),
      make("span", { className: "unit", textContent: " tokens" }),
    ),
    make(
      "p",
      { className: "muted" },
      observed ? "Observed only: nothing was changed. " : "",
      `${several(CALLS.length, "call")}, ${several(SEGMENTS.length, "distinct segment record")}.`,
    ),
  );
  const track = make(
    "div",
    {
      className: "track",
      role: "img",
      "aria-label": `${percent(after, before)} of the tokens ${observed ? "would have been" : "were"} sent`,
    },
    make("i"),
  );
  track.firstChild.style.width = `${before ? Math.min(100, (100 * after) / before) : 100}%`;
  hero.append(track);
  node.append(hero, definitions(figures(before, after, counters, exact, risk), "figures"));
  const notes = [...(DATA.savings?.notes ?? [])];
  if (notes.length) node.append(make("ul", { className: "notes" }, ...notes.map((note) => make("li", {}, text(note)))));
  const net = DATA.savings?.net;
  if (net)
    node.append(
      make(
        "details",
        { className: "astable" },
        make("summary", { textContent: "Net savings in full" }),
        table(
          "What is left of the savings once everything is paid",
          ["Figure", "Value"],
          Object.entries(net).map(([name, value]) => [
            name.replaceAll("_", " "),
            value === null ? "not known" : typeof value === "number" ? value : String(value),
          ]),
        ),
      ),
    );
  attention();
}

function figures(before, after, counters, exact, risk) {
  const savings = DATA.savings ?? {};
  const gross = savings.gross_tokens ?? before - after;
  const whole = savings.of_tokens ?? before;
  const pairs = [["Saved, gross", `${count(gross)} tokens`, `${percent(gross, whole)} of ${count(whole)}`]];
  const net = savings.net;
  const netted = Object.entries(net ?? {}).filter(([name]) => /^(tokens )?saved, net/.test(name));
  for (const [name, value] of netted) {
    const plain = net[name.replace(/^(tokens )?saved, net/, "input without compression")];
    pairs.push([
      capital(name),
      typeof value === "number" ? decimal(value) : String(value),
      plain === undefined
        ? "once everything is paid"
        : `of ${typeof plain === "number" ? decimal(plain) : plain} uncompressed`,
    ]);
  }
  if (!netted.length) pairs.push(["Saved, net", "not worked out", "needs prices"]);
  const judged = SEGMENTS.some((segment) => typeof segment.score === "number");
  if (!judged) pairs.push(["Highest estimated risk", "not estimated", "no guardrail judged anything"]);
  else pairs.push([
    "Highest estimated risk",
    decimal(risk),
    risk === 1 && SEGMENTS.some((segment) => segment.action === "forced")
      ? "text forced through unchecked counts as 1"
      : "that needed text was lost",
  ]);
  pairs.push([
    "Tokens counted by",
    counters.join(", "),
    exact ? "the model's own tokenizer" : "an estimate for your model",
  ]);
  const goal = CALLS.at(-1).goal ?? {};
  const asked = [
    typeof goal.keep === "number" ? `keep ${decimal(goal.keep)}` : "",
    typeof goal.max_tokens === "number" ? `at most ${count(goal.max_tokens)} tokens` : "",
    goal.lossless ? "nothing left out" : "",
  ].filter(Boolean);
  pairs.push(["Asked for", asked.join(", ") || "the policy's own goal", CALLS.length > 1 ? "in the last call" : ""]);
  pairs.push([
    "Time",
    `${decimal(CALLS.reduce((sum, call) => sum + (call.seconds ?? 0), 0))} s`,
    "to compress and check",
  ]);
  return pairs;
}

function attention() {
  const node = byId("attention");
  const found = make("ul", { className: "alerts" });
  for (const action of ["forced", "fallback"]) {
    const rows = SEGMENTS.map((segment, index) => [segment, index]).filter(([segment]) => segment.action === action);
    if (!rows.length) continue;
    const tokens = rows.reduce((sum, [segment]) => sum + segment.before, 0);
    const go = make("button", { type: "button", textContent: "Show them" });
    go.addEventListener("click", () => {
      resetFilters();
      state.filters.action = action;
      choose({ scope: CALLS.length > 1 ? "all" : state.scope, segment: rows[0][1] }, true);
    });
    found.append(
      make(
        "li",
        { className: tone(action) },
        make(
          "p",
          {},
          badge(action),
          make(
            "span",
            {},
            make("strong", { textContent: several(rows.length, "segment") }),
            ` of ${count(tokens)} tokens: ${MEANING.get(action)}.`,
          ),
        ),
        go,
      ),
    );
  }
  // What differs in its numbers and quotations only is one warning: a conversation repeats them.
  const warnings = new Map();
  CALLS.forEach((call, at) => {
    for (const warning of call.warnings ?? []) {
      const key = String(warning)
        .slice(0, LONGEST)
        .replace(/'[^']*'/g, "''")
        .replace(/\d+/g, "#");
      const known = warnings.get(key) ?? { warning, turns: [], other: 0 };
      if (known.turns.at(-1) !== at) known.turns.push(at);
      if (warning !== known.warning) known.other++;
      warnings.set(key, known);
    }
  });
  [...warnings.values()].slice(0, WARNINGS).forEach((one) => found.append(warningItem(one)));
  if (warnings.size > WARNINGS) {
    const rest = make(
      "details",
      {},
      make("summary", { textContent: several(warnings.size - WARNINGS, "more warning") }),
    );
    rest.addEventListener("toggle", () => {
      if (rest.childElementCount === 1)
        rest.append(
          make(
            "ul",
            { className: "alerts" },
            ...[...warnings.values()].slice(WARNINGS, WARNINGS + 200).map(warningItem),
            ...(warnings.size > WARNINGS + 200
              ? [
                  make("li", {
                    textContent: `${several(warnings.size - WARNINGS - 200, "warning")} not listed here; each call shows its own.`,
                  }),
                ]
              : []),
          ),
        );
    });
    found.append(make("li", {}, rest));
  }
  node.hidden = false;
  if (found.childElementCount) node.append(found);
  else
    node.append(
      make("p", { className: "calm", textContent: "Nothing: no warning, no fallback, no text forced through." }),
    );
}

function warningItem({ warning, turns, other }) {
  const more = other
    ? make("span", { className: "muted", textContent: ` (and ${count(other)} more that differ in numbers or names)` })
    : null;
  const item = make(
    "li",
    { className: "warning" },
    make(
      "p",
      {},
      make("span", { className: "badge warns" }, make("i", { "aria-hidden": "true" }), "warning"),
      make("span", {}, text(warning), ...(more ? [more] : [])),
    ),
  );
  if (CALLS.length > 1) {
    const go = make("button", {
      type: "button",
      textContent: turns.length > 1 ? `First of ${count(turns.length)} ${UNIT}s` : capital(turnName(CALLS[turns[0]])),
    });
    go.addEventListener("click", () => choose({ call: turns[0], scope: "call", segment: null }, true));
    item.append(go);
  }
  return item;
}

function initBench() {
  const bench = DATA.bench;
  if (!bench) return;
  const node = byId("bench");
  node.hidden = false;
  for (const plot of Object.values(bench.plots ?? {}).map(String)) {
    // As a picture nothing in it can run, load or reach the page.
    const title = /<title[^>]*>([^<]{1,300})/.exec(plot)?.[1] ?? "Plot";
    node.append(
      make(
        "figure",
        {},
        make("img", {
          src: `data:image/svg+xml,${encodeURIComponent(plot.toWellFormed ? plot.toWellFormed() : plot)}`,
          alt: plain(title.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")),
          loading: "lazy",
        }),
      ),
    );
  }
  for (const one of bench.tables ?? []) {
    node.append(table(one.title, one.columns ?? [], one.rows ?? [], false, one.left));
    const note = one.note ?? one.caption;
    if (note) node.append(make("p", { className: "muted" }, text(note)));
  }
}
