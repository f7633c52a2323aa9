// Original and output of the chosen segment. A long text is shown in windows, so that the page stays quick.

const WINDOW_UNITS = 12000;
const WINDOW_NODES = 3000;
const VIEWS = [
  ["split", "Side by side"],
  ["inline", "In one column"],
  ["output", "Output only"],
];

/** Appends [from, to) of a text; `layers` are rising ranges [start, end, class] of tokens and of hits. */
function paint(node, value, from, to, layers) {
  const at = layers.map((layer) => {
    let low = 0;
    for (let high = layer.length; low < high;) {
      const middle = (low + high) >> 1;
      if (layer[middle][1] > from) high = middle;
      else low = middle + 1;
    }
    return low;
  });
  let made = 0;
  while (from < to) {
    let end = to;
    const names = [];
    layers.forEach((layer, index) => {
      while (layer[at[index]] && layer[at[index]][1] <= from) at[index]++;
      const range = layer[at[index]];
      if (!range) return;
      if (range[0] > from) end = Math.min(end, range[0]);
      else {
        end = Math.min(end, range[1]);
        names.push(range[2]);
      }
    });
    let target = node;
    if (names.length) {
      target = make(names.includes("hit") ? "mark" : "span", {
        className: names.filter((name) => name !== "hit").join(" "),
      });
      node.append(target);
      made++;
    }
    made += append(target, value.slice(from, end));
    from = end;
  }
  return made;
}

const TAGS = { kept: "span", space: "span", plain: "span", dropped: "del", added: "ins" };

function cell(row, side, value, heat) {
  const node = make("div", { className: `cell ${side}`, dir: "auto" });
  let made = 1;
  for (const piece of row) {
    const range = side === "inline" ? (piece.left ?? piece.right) : piece[side];
    if (range) {
      const source = side === "inline" && !piece.left ? value.right : side === "inline" ? value.left : value[side];
      const part = make(TAGS[piece.type], { className: `p-${piece.type}` });
      const heated = heat && source === value.left && piece.left ? heat : [];
      if (piece.type === "plain" && !piece.left) part.classList.add("p-out");
      made += 1 + paint(part, source, range[0], range[1], [heated, hits(source, range[0], range[1])]);
      node.append(part);
    } else if (side === "right" && piece.type === "dropped") {
      const whole = row.every((other) => other.type !== "kept");
      node.append(
        make("span", {
          className: whole ? "gap whole" : "gap",
          title: "left out here",
          textContent: whole ? `⋯ ${several(size(piece), "character")} left out ` : " ⋯ ",
        }),
      );
      made += 2;
    }
  }
  return [node, made];
}

/** The row with the first hit, 0 without one. */
function firstHitRow(rows, value) {
  const wanted = pattern();
  if (!wanted) return 0;
  const places = ["left", "right"].map((side) => {
    wanted.lastIndex = 0;
    return wanted.exec(value[side])?.index ?? -1;
  });
  const row = rows.findIndex((one) =>
    one.some((piece) =>
      ["left", "right"].some((side, at) => piece[side] && places[at] >= piece[side][0] && places[at] < piece[side][1]),
    ),
  );
  return Math.max(0, row);
}

/** Heat of the text that is shown left, as ranges with classes; null where there is none. */
function heatOf(segment, base) {
  const on = typeof segment.source === "number" ? segment.source : segment.in;
  const levels = typeof segment.heat === "number" ? DATA.heats?.[segment.heat] : null;
  if (!levels || on !== base) return null;
  return ranges(base, levels).map(([start, end, level]) => [start, end, `h${Math.max(0, Math.min(9, level | 0))}`]);
}

/** The texts of a segment in windows, into `node`. */
function showTexts(node, segment, original) {
  const found = align(segment, original);
  const { base, aligned, same } = found;
  const value = { left: textOf(base), right: textOf(segment.out) };
  const view = state.view || (same || matchMedia("(max-width: 44rem)").matches ? "inline" : "split");
  // In one column two texts that are not aligned follow each other.
  const rows =
    aligned || view !== "inline"
      ? found.rows
      : ["left", "right"].flatMap((side) =>
          found.rows
            .flat()
            .filter((piece) => piece[side])
            .map((piece) => [piece]),
        );
  const heat = state.heat ? heatOf(segment, base) : null;
  const sides =
    same && view === "split"
      ? ["inline"]
      : view === "split"
        ? ["left", "right"]
        : view === "output"
          ? ["right"]
          : ["inline"];
  const what =
    typeof segment.source === "number" && base === segment.source ? "Rendering it was selected from" : "Original";
  const notes = [];
  if (same) notes.push("The output is the original, byte for byte.");
  else if (!aligned) notes.push("The output is in a form of its own: the two are not aligned.");
  const grid = make("div", {
    className: `texts ${view} ${sides.length > 1 ? "two" : "one"}${heat ? " heated" : ""}${aligned ? "" : " loose"}`,
  });
  const heads = { left: what, right: "Output", inline: same ? "Original and output" : `${what} and output` };
  grid.append(make("div", { className: "texthead" }, ...sides.map((side) => make("h4", { textContent: heads[side] }))));
  let next = firstHitRow(rows, value);
  const first = next;
  const more = make("button", { type: "button", className: "more" });
  const earlier = make("button", {
    type: "button",
    className: "more",
    textContent: "Show from the start",
    hidden: first === 0,
  });
  const grow = () => {
    let units = 0;
    let nodes = 0;
    while (next < rows.length && units < WINDOW_UNITS && nodes < WINDOW_NODES) {
      const row = make("div", {
        className: `textrow${rows[next].every((piece) => piece.type === "dropped") ? " gone" : ""}`,
      });
      for (const side of sides) {
        const [cells, made] = cell(rows[next], side, value, heat);
        row.append(cells);
        nodes += made;
      }
      units += rows[next].reduce((sum, piece) => sum + size(piece), 0);
      grid.append(row);
      next++;
    }
    more.hidden = next >= rows.length;
    more.textContent = `Show more: ${several(rows.length - next, "row")} of ${count(rows.length)} below`;
  };
  more.addEventListener("click", () => {
    const before = grid.lastChild;
    grow();
    before.nextSibling?.setAttribute("tabindex", "-1");
    before.nextSibling?.focus({ preventScroll: true });
  });
  earlier.addEventListener("click", () => {
    next = 0;
    grid.replaceChildren(grid.firstChild);
    grow();
    earlier.hidden = true;
    grid.focus();
  });
  grow();
  if (!value.left && !value.right) notes.push("Both texts are empty.");
  else if (!value.right) notes.push("The output is empty.");
  grid.tabIndex = -1;
  node.replaceChildren(
    ...notes.map((note) => make("p", { className: "muted", textContent: note })),
    earlier,
    grid,
    more,
  );
  return heat !== null;
}
