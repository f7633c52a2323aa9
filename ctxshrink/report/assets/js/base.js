// Small helpers. Everything that comes from the data enters the page through text(): as text, made visible, isolated.

const byId = (id) => document.getElementById(id);

/** A new element. Properties are set as properties, `aria-*`, `data-*` and `role` as attributes. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name in node && !name.startsWith("aria")) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const NAMES = new Map([
  [0x200b, "ZWSP"],
  [0x200c, "ZWNJ"],
  [0x200d, "ZWJ"],
  [0x200e, "LRM"],
  [0x200f, "RLM"],
  [0x061c, "ALM"],
  [0x202a, "LRE"],
  [0x202b, "RLE"],
  [0x202c, "PDF"],
  [0x202d, "LRO"],
  [0x202e, "RLO"],
  [0x2066, "LRI"],
  [0x2067, "RLI"],
  [0x2068, "FSI"],
  [0x2069, "PDI"],
  [0x2028, "LSEP"],
  [0x2029, "PSEP"],
  [0x2060, "WJ"],
  [0xfeff, "BOM"],
  [0x00ad, "SHY"],
]);
// Controls, invisible and reordering characters, lone surrogates, private and tag characters. Line feed and tab stay;
// a joiner between two pictures stays too, it makes one of them.
const INVISIBLE = new RegExp(
  String.raw`(?:(?!(?<=\p{Extended_Pictographic}\ufe0f?)\u200d(?=\p{Extended_Pictographic}))` +
    String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e` +
    String.raw`\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\u{e0100}-\u{e01ef}]|\p{Surrogate})+`,
  "gu",
);

/** What stands for an invisible character: a control picture, an abbreviation or its number. */
function symbol(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `⟨${NAMES.get(code) ?? "U+" + code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** Appends hostile text to a node: invisible characters become marked symbols. Returns the number of nodes made. */
function append(node, value) {
  let from = 0;
  let made = 0;
  INVISIBLE.lastIndex = 0;
  for (let found; (found = INVISIBLE.exec(value)); from = INVISIBLE.lastIndex) {
    if (found.index > from) node.append(value.slice(from, found.index));
    node.append(make("span", { className: "control", textContent: [...found[0]].map(symbol).join("") }));
    made += 2;
  }
  if (from < value.length) node.append(value.slice(from));
  return made + 1;
}

const LONGEST = 4000;
/** An element whose content is hostile text, isolated from the direction of what surrounds it. Bounded, and says so. */
function text(value, tag = "bdi", className = "", longest = LONGEST) {
  const node = make(tag, { className, dir: "auto" });
  const whole = String(value ?? "");
  append(node, whole.slice(0, longest));
  if (whole.length > longest)
    node.append(
      make("span", { className: "muted", textContent: ` … ${count(whole.length - longest)} more characters` }),
    );
  return node;
}

/** Hostile text for an attribute that is read aloud or shown as a tooltip. */
const plain = (value) =>
  String(value ?? "")
    .slice(0, 300)
    .replace(INVISIBLE, (run) => [...run].map(symbol).join(""));

// One formatter a form, made once: making them is slow. English in every browser, as the words around the numbers.
const formats = Object.fromEntries(
  Object.entries({
    whole: {},
    compact: { notation: "compact", maximumSignificantDigits: 3 },
    tenth: { maximumFractionDigits: 1 },
    rounded: { maximumFractionDigits: 0 },
    digits: { maximumSignificantDigits: 4 },
  }).map(([name, options]) => [name, new Intl.NumberFormat("en", options)]),
);
const count = (value) => formats.whole.format(Number(value ?? 0) + 0);
const short = (value) => (Math.abs(value) < 10000 ? count(value) : formats.compact.format(value));
const percent = (part, whole) => {
  const value = whole ? (100 * part) / whole : 0;
  return `${(Math.abs(value) < 10 ? formats.tenth : formats.rounded).format(value)} %`;
};
const decimal = (value) =>
  typeof value === "number"
    ? (Number.isInteger(value) ? count(value) : formats.digits.format(value)).replace(/^-0$/, "0")
    : "not known";
const several = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Settings of the reader. A page opened from a file may be denied storage: then they last as long as the page. */
const settings = {
  get: (name) => {
    try {
      return localStorage.getItem(`ctxshrink.${name}`);
    } catch {
      return null;
    }
  },
  set: (name, value) => {
    try {
      localStorage.setItem(`ctxshrink.${name}`, value);
    } catch {
      /* kept for this page only */
    }
  },
};

/**
 * A table. Cells are text, numbers or nodes; the first of a row names it.
 *
 * @param {number} left columns from this one on are set right; so are columns of numbers
 */
function table(caption, heads, rows, captionHidden = false, left = Infinity) {
  const right = (value, index) => (index >= left || typeof value === "number" ? "number" : "");
  const cell = (value, index) => {
    const content = typeof value === "number" ? decimal(value) : value instanceof Node ? value : text(value ?? "–");
    return make(index ? "td" : "th", { className: right(value, index), scope: index ? null : "row" }, content);
  };
  const head = (name, index) => make("th", { scope: "col", className: right(rows[0]?.[index], index) }, text(name));
  return make(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", "aria-label": plain(caption) },
    make(
      "table",
      {},
      make("caption", { className: captionHidden ? "hide" : "" }, text(caption)),
      make("thead", {}, make("tr", {}, ...heads.map(head))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))),
    ),
  );
}

/** Lets the browser draw and take input between two pieces of work. */
const breathe = () =>
  new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
