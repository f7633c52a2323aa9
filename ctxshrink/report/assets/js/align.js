// How an original and its output lie side by side: rows of pieces that were kept, left out or put in.

const LONG = 50;
const BLOCK = 600;
const PIECE = 1500;

/** Cuts [from, to) into pieces of at most PIECE units, after a line feed where there is one, never within a pair. */
function cut(value, from, to) {
  const pieces = [];
  while (to - from > PIECE) {
    const line = value.lastIndexOf("\n", from + PIECE - 1);
    let end = line > from + PIECE / 2 ? line + 1 : from + PIECE;
    if (/[\ud800-\udbff]/.test(value[end - 1])) end -= 1;
    pieces.push([from, end]);
    from = end;
  }
  if (to > from) pieces.push([from, to]);
  return pieces;
}

/**
 * The pieces of both texts in order.
 *
 * Kept ranges are looked for in the output one after the other, each at the first place behind the one before: where
 * the ranges lie in the output at all, in this order, that finds them.
 *
 * @returns pieces {type: "kept" | "space" | "dropped" | "added", left: [a, b] | null, right: [a, b] | null}; null where
 *   the output does not hold the ranges.
 */
function pieces(base, output, spans) {
  const found = [];
  let left = 0;
  let right = 0;
  const between = (a, at) => {
    const blank = a > left && !base.slice(left, a).trim() && !output.slice(right, at).trim();
    if (blank) {
      found.push({ type: "space", left: [left, a], right: [right, at] });
      return;
    }
    if (a > left) for (const part of cut(base, left, a)) found.push({ type: "dropped", left: part, right: null });
    const put = output.slice(right, at).trim() ? "added" : "space";
    if (at > right) for (const part of cut(output, right, at)) found.push({ type: put, left: null, right: part });
  };
  for (const [a, b] of spans) {
    const at = output.indexOf(base.slice(a, b), right);
    if (at < 0) return null;
    between(a, at);
    for (const [start, end] of cut(base, a, b))
      found.push({ type: "kept", left: [start, end], right: [at + start - a, at + end - a] });
    left = b;
    right = at + b - a;
  }
  between(base.length, output.length);
  return found;
}

const size = (piece) => (piece.left ?? piece.right)[1] - (piece.left ?? piece.right)[0];

/** Pieces in rows: a long one has a row of its own, short ones share one. */
function rowsOf(found) {
  const rows = [];
  let row = [];
  let length = 0;
  let last = null;
  for (const piece of found) {
    const turns =
      last &&
      piece.type !== "space" &&
      last.type !== piece.type &&
      !(last.type === "dropped" && piece.type === "added");
    if (row.length && ((turns && (size(last) >= LONG || size(piece) >= LONG)) || length >= BLOCK)) {
      rows.push(row);
      row = [];
      length = 0;
    }
    row.push(piece);
    length += size(piece);
    if (piece.type !== "space") last = piece;
  }
  if (row.length) rows.push(row);
  return rows;
}

/**
 * The rows of a segment.
 *
 * @param {boolean} original compare with the original even where the text was selected from a rendering of it
 * @returns {{base: number, rows: object[][], aligned: boolean, same: boolean}}
 */
function align(segment, original) {
  const base = !original && typeof segment.source === "number" ? segment.source : segment.in;
  const left = textOf(base);
  const right = textOf(segment.out);
  const same = left === right;
  const applies = segment.spans && (typeof segment.source !== "number" || base === segment.source);
  let spans = applies ? ranges(base, segment.spans) : null;
  if (same) spans = left ? [[0, left.length]] : [];
  else if (segment.action === "emptied" && !spans) spans = [];
  const found = spans && pieces(left, right, spans);
  if (found) return { base, rows: rowsOf(found), aligned: true, same };
  const lefts = cut(left, 0, left.length).map((part) => ({ type: "plain", left: part, right: null }));
  const rights = cut(right, 0, right.length).map((part) => ({ type: "plain", left: null, right: part }));
  const rows = [];
  for (let at = 0; at < Math.max(lefts.length, rights.length); at++) rows.push([lefts[at], rights[at]].filter(Boolean));
  return { base, rows, aligned: false, same };
}
