// Puts the parts together: choosing, filtering, the address.

const FACET_NAMES = { kind: "Kind", type: "Content type", verdict: "Guardrail", compressor: "Compressor" };
let rowsShown = [];

/** Chooses a call, a scope or a segment, and shows it. */
async function choose(change, jump = false) {
  const scope = state.scope;
  const call = state.call;
  Object.assign(state, change);
  if (change.segment !== undefined) detail.original = false;
  const other = scope !== state.scope || (state.scope === "call" && call !== state.call);
  if (other || jump) {
    drawScope();
    markTurn();
    await refresh();
  } else if (state.segment !== null) {
    const row = rowsShown.findIndex(([index]) => index === state.segment);
    if (row >= 0 && row !== list.active) activate(row, false);
    showDetail();
  }
  writeAddress();
  if (jump) byId("explorer").scrollIntoView({ block: "start" });
}

/** Works out the list and everything that depends on it. */
async function refresh() {
  const found = await select();
  if (!found) return;
  rowsShown = found.rows;
  if (!rowsShown.some(([index]) => index === state.segment)) state.segment = rowsShown[0]?.[0] ?? null;
  showRows(rowsShown);
  drawFacets(found.counts);
  byId("none").hidden = rowsShown.length > 0;
  list.node.hidden = rowsShown.length === 0;
  byId("count").textContent =
    rowsShown.length === found.total
      ? several(found.total, "segment")
      : `${count(rowsShown.length)} of ${several(found.total, "segment")}`;
  showDetail();
}

function drawFacets(counts) {
  const box = byId("facets");
  const selects = Object.entries(FACET_NAMES).map(([name, label]) => {
    const id = `facet-${name}`;
    const values = [...counts[name]].sort(([a], [b]) => (a < b ? -1 : 1));
    const chosen = state.filters[name] ?? "";
    if (chosen && !counts[name].has(chosen)) values.push([chosen, 0]);
    if (values.length < 2 && !chosen) return null;
    const select = make(
      "select",
      { id },
      make("option", { value: "", textContent: "all" }),
      ...values.map(([value, number]) =>
        make("option", { value, textContent: `${plain(value).slice(0, 40).replaceAll("_", " ")} (${count(number)})` }),
      ),
    );
    select.value = chosen;
    select.addEventListener("change", async () => {
      state.filters[name] = select.value;
      await refresh();
      byId(id)?.focus();
    });
    return make("label", { htmlFor: id }, label, select);
  });
  const sort = make(
    "select",
    { id: "sort" },
    ...Object.entries(SORT_NAMES).map(([value, label]) => make("option", { value, textContent: label })),
  );
  sort.value = state.sort;
  sort.addEventListener("change", async () => {
    state.sort = sort.value;
    await refresh();
    byId("sort").focus();
  });
  box.replaceChildren(...selects.filter(Boolean), make("label", { htmlFor: "sort" }, "Order", sort));
  const known = [...new Set([...ACTIONS.map(([name]) => name), ...counts.action.keys()])];
  byId("actions").replaceChildren(
    ...known
      .filter((name) => counts.action.has(name) || state.filters.action === name)
      .map((name) => {
        const button = make(
          "button",
          {
            type: "button",
            className: "chip",
            "aria-pressed": String(state.filters.action === name),
            title: MEANING.get(name) ?? "",
            "data-action": plain(name),
          },
          badge(name),
          make("span", { className: "number", textContent: count(counts.action.get(name) ?? 0) }),
        );
        button.addEventListener("click", async () => {
          state.filters.action = state.filters.action === name ? "" : name;
          await refresh();
          [...byId("actions").children].find((one) => one.dataset.action === plain(name))?.focus();
        });
        return button;
      }),
  );
}

const costOf = ({ cost }) => (Array.isArray(cost) ? `, cost ${decimal(cost[0])} → ${decimal(cost[1])}` : "");

function drawScope() {
  const call = CALLS[state.call];
  const box = byId("scope");
  box.replaceChildren();
  if (CALLS.length > 1) {
    const button = (label, by) => {
      const node = make("button", {
        type: "button",
        "aria-label": `${by < 0 ? "Earlier" : "Later"} ${UNIT}`,
        textContent: label,
        disabled: state.scope !== "call" || !CALLS[state.call + by],
      });
      node.addEventListener("click", async () => {
        await step(by);
        [...byId("scope").querySelectorAll("button")]
          .find((one) => one.textContent === label && !one.disabled)
          ?.focus();
      });
      return node;
    };
    const all = make("button", {
      type: "button",
      "aria-pressed": String(state.scope === "all"),
      textContent: `All ${UNIT}s`,
    });
    all.addEventListener("click", async () => {
      await choose({ scope: state.scope === "all" ? "call" : "all" });
      byId("scope").querySelector("[aria-pressed]").focus();
    });
    box.append(
      button("◂", -1),
      make("strong", {
        textContent: state.scope === "all" ? `All ${UNIT}s, each record once` : capital(turnName(call)),
      }),
      button("▸", 1),
      all,
    );
    if (state.scope === "call")
      box.append(
        make("span", {
          className: "muted",
          textContent: `${count(call.before)} → ${count(call.after)} tokens, risk ${decimal(call.risk)}${costOf(call)}`,
        }),
      );
  }
  if (CALLS.length > 1 && state.scope === "call" && call.warnings?.length) {
    const shown = call.warnings.slice(0, 20).map((warning) => make("li", {}, text(warning)));
    const more =
      call.warnings.length > 20
        ? [make("li", { textContent: several(call.warnings.length - 20, "more warning") })]
        : [];
    box.append(
      make(
        "details",
        { className: "turnwarnings", open: call.warnings.length === 1 },
        make(
          "summary",
          {},
          make(
            "span",
            { className: "badge warns" },
            make("i", { "aria-hidden": "true" }),
            `${several(call.warnings.length, "warning")} in this ${UNIT}`,
          ),
        ),
        make("ul", {}, ...shown, ...more),
      ),
    );
  }
  if (typeof call?.query === "number" && (state.scope === "call" || CALLS.length === 1)) {
    box.append(
      make(
        "p",
        { className: "query" },
        make("strong", { textContent: "Question: " }),
        text(textOf(call.query), "bdi", "", 600),
      ),
    );
  }
}

function resetFilters() {
  state.filters = {};
  state.query = "";
  byId("q").value = "";
}

function writeAddress() {
  if (state.segment === null) return;
  const address = `#c=${state.scope === "all" ? "all" : state.call}&s=${state.segment}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}

/** What the address asks for; places that do not exist are ignored. */
function readAddress() {
  const found = /^#c=(all|\d{1,9})&s=(\d{1,9})$/.exec(location.hash);
  if (!found) return null;
  const asked = { segment: SEGMENTS[Number(found[2])] ? Number(found[2]) : null };
  if (found[1] === "all") asked.scope = "all";
  else if (CALLS[Number(found[1])])
    Object.assign(asked, { scope: CALLS.length > 1 ? "call" : "all", call: Number(found[1]) });
  return asked;
}

/** Builds the page in slices: the browser draws what is there already. */
async function start() {
  await build();
  document.documentElement.dataset.ready = "1";
}

async function build() {
  initTheme();
  await breathe();
  initSummary();
  initKeys();
  await breathe();
  state.heat = settings.get("heat") === "1";
  state.view = VIEWS.some(([name]) => name === settings.get("view")) ? settings.get("view") : "";
  Object.assign(state, readAddress());
  await initTimeline();
  initBench();
  if (!SEGMENTS.length) return;
  byId("explorer").hidden = false;
  initList((segment, clicked) => {
    choose({ segment });
    if (clicked && matchMedia("(max-width: 60rem)").matches) detail.node.scrollIntoView({ block: "start" });
  });
  initSearch();
  initPrint();
  drawScope();
  await breathe();
  await refresh();
  matchMedia("(max-width: 44rem)").addEventListener("change", showDetail);
  addEventListener("hashchange", () => {
    const asked = readAddress();
    if (asked) {
      resetFilters();
      choose(asked, true);
    }
  });
}

start();
