// The chosen segment: what happened to it, why, its texts, every attempt.

const detail = { node: byId("detail"), original: false };

function showDetail() {
  const node = detail.node;
  const segment = SEGMENTS[state.segment];
  if (!segment) {
    node.replaceChildren(
      make("h3", { id: "detail-h", textContent: "No segment chosen" }),
      make("p", { className: "muted", textContent: "Choose a segment in the list to see what happened to it." }),
    );
    return;
  }
  const address = `#c=${state.call}&s=${state.segment}`;
  const heading = make("h3", { id: "detail-h" });
  marked(heading, String(segment.id).slice(0, 400));
  heading.dir = "auto";
  const back = make("button", { type: "button", className: "link back", textContent: "Back to the list" });
  back.addEventListener("click", () => {
    list.node.focus();
    byId("count").scrollIntoView({ block: "start" });
  });
  node.replaceChildren(
    make(
      "div",
      { className: "detailtop" },
      back,
      badge(segment.action),
      heading,
      make("a", { className: "address", href: address, textContent: "Link to this segment" }),
    ),
    ...(segment.title ? [make("p", { className: "muted" }, "Title: ", text(segment.title))] : []),
    why(segment),
    facts(segment),
    reading(segment),
    attempts(segment),
    ...past(segment),
  );
}

function why(segment) {
  const reason = make("bdi", { dir: "auto" });
  const value = String(segment.reason ?? "");
  marked(reason, value.slice(0, LONGEST));
  if (value.length > LONGEST) reason.append(` … ${count(value.length - LONGEST)} more characters`);
  return make(
    "div",
    { className: `why-box ${tone(segment.action)}` },
    make("p", {}, make("strong", { textContent: "Why: " }), value ? reason : "no reason was recorded"),
    make(
      "p",
      { className: "muted" },
      text(segment.action),
      `: ${MEANING.get(segment.action) ?? "an action this report does not know"}.`,
    ),
  );
}

/** Names and values in a definition list; a value is text or a node. */
const definitions = (pairs, className) =>
  make(
    "dl",
    { className },
    ...pairs.map(([name, value, note]) =>
      make(
        "div",
        {},
        make("dt", {}, text(name, "bdi", "", 100)),
        make(
          "dd",
          {},
          value instanceof Node ? value : text(value, "bdi", "", 200),
          note ? make("small", { textContent: note }) : null,
        ),
      ),
    ),
  );

function facts(segment) {
  const entry = state.scope === "call" ? CALLS[state.call]?.segments.find(([index]) => index === state.segment) : null;
  const pairs = [["Tokens", change(segment), segment.before ? `${percent(segment.after, segment.before)} kept` : ""]];
  pairs.push(["Policy's keep", decimal(segment.keep)]);
  pairs.push(["Estimated risk", typeof segment.score === "number" ? decimal(segment.score) : "not estimated"]);
  pairs.push(["Kind", String(segment.kind).replaceAll("_", " ")], ["Content type", segment.type]);
  if (entry) pairs.push(["Age", several(entry[1], "turn")]);
  if (segment.lock) pairs.push(["Locked because", segment.lock]);
  return definitions(pairs, "facts");
}

function reading(segment) {
  const box = make("section", { "aria-labelledby": "texts-h", className: "reading" });
  const body = make("div");
  const same = textOf(segment.in) === textOf(segment.out);
  const heated = typeof segment.heat === "number";
  const legend = make(
    "p",
    { className: "legend", id: "heat-legend" },
    "Heat: ",
    make(
      "span",
      { className: "scale", "aria-hidden": "true" },
      ...Array.from({ length: 10 }, (_, level) => make("span", { className: `h${level}`, textContent: String(level) })),
    ),
    " higher bars are harder to predict, so they say more",
    DATA.heat_by ? text(` (${DATA.heat_by})`, "bdi", "", 200) : "",
  );
  const draw = () => {
    const drawn = showTexts(body, segment, detail.original);
    legend.hidden = !drawn;
  };
  const tools = make("div", { className: "texttools" });
  if (!same) {
    const views = make(
      "select",
      { id: "view" },
      make("option", { value: "", textContent: "Automatic" }),
      ...VIEWS.map(([value, name]) => make("option", { value, textContent: name })),
    );
    views.value = state.view;
    views.addEventListener("change", () => {
      state.view = views.value;
      settings.set("view", views.value);
      draw();
    });
    tools.append(make("label", { htmlFor: "view", textContent: "View" }), views);
  }
  if (typeof segment.source === "number" && segment.source !== segment.in) {
    const base = make(
      "select",
      { id: "base" },
      make("option", { value: "", textContent: "its rendering" }),
      make("option", { value: "1", textContent: "the original" }),
    );
    base.value = detail.original ? "1" : "";
    base.addEventListener("change", () => {
      detail.original = Boolean(base.value);
      draw();
    });
    tools.append(make("label", { htmlFor: "base", textContent: "Compare with" }), base);
  }
  if (heated) {
    const heat = make("input", {
      type: "checkbox",
      id: "heat",
      checked: state.heat,
      "aria-describedby": "heat-legend",
    });
    heat.addEventListener("change", () => {
      state.heat = heat.checked;
      settings.set("heat", heat.checked ? "1" : "");
      draw();
    });
    tools.append(make("label", { className: "check" }, heat, "Heat per token"));
  }
  const key = make(
    "p",
    { className: "legend", hidden: same },
    make("span", { className: "p-kept", textContent: "kept" }),
    make("del", { className: "p-dropped", textContent: "left out" }),
    make("ins", { className: "p-added", textContent: "put in" }),
  );
  box.append(make("h4", { id: "texts-h", className: "hide", textContent: "Texts" }), tools, key, legend, body);
  draw();
  return box;
}

function attempts(segment) {
  const tried = segment.attempts ?? [];
  const box = make(
    "section",
    { className: "attempts", "aria-labelledby": "attempts-h" },
    make("h4", { id: "attempts-h", textContent: tried.length ? `Attempts (${tried.length})` : "Attempts" }),
  );
  if (!tried.length) {
    box.append(make("p", { className: "muted", textContent: "Nothing was tried: no compressor was asked." }));
    return box;
  }
  tried.forEach((attempt, at) => {
    const end = verdict(attempt);
    const risk = typeof attempt.score === "number" ? `, risk ${decimal(attempt.score)}` : "";
    const head = make(
      "summary",
      {},
      make("span", { className: "step", textContent: `${at + 1}` }),
      make("span", { className: `verdict v-${end.replace(" ", "-")}`, textContent: end }),
      text(attempt.compressor, "bdi", "who", 100),
      make("span", {
        className: "muted",
        textContent: `keep ${decimal(attempt.keep)}, ${several(attempt.tokens, "token")}${risk}`,
      }),
    );
    const body = make("div", { className: "attempt" });
    if (attempt.reason)
      body.append(make("p", {}, make("strong", { textContent: "Guardrail: " }), text(attempt.reason)));
    if (attempt.error) body.append(make("p", {}, make("strong", { textContent: "Error: " }), text(attempt.error)));
    const features = Object.entries(attempt.features ?? {});
    if (features.length) body.append(table("What the guardrail measured", ["Feature", "Value"], features));
    if (!body.hasChildNodes())
      body.append(make("p", { className: "muted", textContent: "Nothing more was recorded." }));
    box.append(make("details", { open: at === tried.length - 1 && end !== "accepted" }, head, body));
  });
  return box;
}
