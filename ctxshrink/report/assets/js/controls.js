// The keyboard, the search field, paper, and the theme.

const KEYS = [
  ["/", "search"],
  ["Esc", "clear the search, or leave it"],
  ["↑ ↓ Page Home End", "move in the list (or in the timeline)"],
  ["Enter", "from the list to the segment"],
  ["l", "to the list"],
  ["[ ]", "earlier or later turn"],
  ["h", "heat on or off"],
  ["?", "this help"],
];

function initKeys() {
  let on = settings.get("keys") !== "off";
  const help = byId("help");
  const box = make("input", { type: "checkbox", id: "keys", checked: on });
  box.addEventListener("change", () => {
    on = box.checked;
    settings.set("keys", on ? "on" : "off");
  });
  const close = make("button", { type: "button", textContent: "Close" });
  close.addEventListener("click", () => help.close());
  help.append(
    make("h2", { id: "help-h", textContent: "Keyboard" }),
    make(
      "dl",
      { className: "keys" },
      ...KEYS.map(([key, does]) =>
        make("div", {}, make("dt", {}, make("kbd", { textContent: key })), make("dd", { textContent: does })),
      ),
    ),
    make("label", { className: "check" }, box, "Single-key shortcuts on"),
    close,
  );
  byId("help-open").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (!on || typing || help.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      "/": () => byId("q").focus(),
      "?": () => help.showModal(),
      l: () => list.node.focus(),
      "[": () => CALLS.length > 1 && step(-1),
      "]": () => CALLS.length > 1 && step(1),
      h: () => byId("heat")?.click(),
    }[event.key];
    if (!does || byId("explorer").hidden) return;
    event.preventDefault();
    does();
  });
}

function initSearch() {
  const input = byId("q");
  let timer = 0;
  const now = () => {
    clearTimeout(timer);
    state.query = input.value;
    refresh();
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(now, 120);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      if (input.value) {
        input.value = "";
        now();
      } else list.node.focus();
    }
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      now();
      list.node.focus();
    }
  });
  byId("clear").addEventListener("click", () => {
    resetFilters();
    refresh();
    input.focus();
  });
}

const PRINTED = 500;

/** The list holds only what is in view; on paper it is a table. */
function initPrint() {
  let paper = null;
  addEventListener("beforeprint", () => {
    paper?.remove();
    const rows = rowsShown
      .slice(0, PRINTED)
      .map(([index]) => SEGMENTS[index])
      .map((segment) => [
        String(segment.id).slice(0, 200),
        badge(segment.action),
        change(segment),
        String(segment.reason ?? "").slice(0, 400),
      ]);
    const rest = rowsShown.length > PRINTED ? ` (the first ${PRINTED} of ${count(rowsShown.length)})` : "";
    paper = table(`Segments shown${rest}`, ["Segment", "Action", "Tokens", "Why"], rows);
    paper.classList.add("paper");
    byId("count").after(paper);
  });
  addEventListener("afterprint", () => {
    paper?.remove();
    paper = null;
  });
}

function initTheme() {
  const theme = byId("theme");
  const apply = () => {
    document.documentElement.dataset.theme = theme.value;
  };
  theme.value = { light: "light", dark: "dark" }[settings.get("theme")] ?? "";
  theme.addEventListener("change", () => {
    settings.set("theme", theme.value);
    apply();
  });
  apply();
}
