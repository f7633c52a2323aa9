// The data, and what is derived from it once.

const DATA = JSON.parse(byId("data").textContent);
const TEXTS = DATA.texts ?? [];
const SEGMENTS = DATA.segments ?? [];
const CALLS = DATA.calls ?? [];

/** Actions: [name, what it means], the ones to look at first in front. */
const ACTIONS = [
  ["forced", "the guardrail rejected it and the token budget imposed it"],
  ["fallback", "every attempt failed, so all of the original was sent"],
  ["emptied", "nothing of it was sent"],
  ["compressed", "a shorter text that the guardrail accepted was sent"],
  ["frozen", "decided in an earlier turn and sent again byte for byte, so that the provider's cache stays warm"],
  ["kept", "the policy left it whole"],
  ["locked", "must come out byte for byte as it went in"],
];
const RANK = new Map(ACTIONS.map(([name], index) => [name, index]));
const MEANING = new Map(ACTIONS);
const rank = (segment) => RANK.get(segment.action) ?? ACTIONS.length;
/** A class name for an action; what is not known looks like nothing special. */
const tone = (action) => (RANK.has(action) ? `a-${action}` : "a-kept");

/** Age tiers: [name, first age]. */
const TIERS = [
  ["0 to 3 turns old", 0],
  ["4 to 15", 4],
  ["16 to 63", 16],
  ["64 and older", 64],
];
const tier = (age) => (age < 4 ? 0 : age < 16 ? 1 : age < 64 ? 2 : 3);

const VERDICTS = ["rejected", "failed", "accepted", "not checked", "no attempt"];
const verdict = (attempt) =>
  attempt.error ? "failed" : !attempt.ok ? "rejected" : typeof attempt.score === "number" ? "accepted" : "not checked";

/** The facets of a segment: name of the facet, and its values there (a segment may have several). */
const FACETS = {
  action: (segment) => [segment.action],
  kind: (segment) => [segment.kind],
  type: (segment) => [segment.type],
  verdict: (segment) => (segment.attempts?.length ? [...new Set(segment.attempts.map(verdict))] : ["no attempt"]),
  compressor: (segment) => [...new Set((segment.attempts ?? []).map((attempt) => attempt.compressor))],
};
const facetCache = new Map();
/** The values of every facet of a segment, worked out once. */
function facets(index) {
  let found = facetCache.get(index);
  if (!found) {
    found = {};
    for (const [name, read] of Object.entries(FACETS)) found[name] = read(SEGMENTS[index]).map(String);
    facetCache.set(index, found);
  }
  return found;
}

const textOf = (index) => (typeof index === "number" ? (TEXTS[index] ?? "") : "");

const converted = new Map();
/** Rising positions in characters, as Python counts them, to positions in UTF-16 units, as JavaScript does. */
function units(index, positions) {
  const value = TEXTS[index] ?? "";
  if (!converted.has(index)) converted.set(index, !/[\ud800-\udbff][\udc00-\udfff]/.test(value));
  if (converted.get(index)) return positions.map((position) => Math.min(position, value.length));
  let unit = 0;
  let character = 0;
  return positions.map((position) => {
    for (; character < position && unit < value.length; character++) unit += value.codePointAt(unit) > 0xffff ? 2 : 1;
    return unit;
  });
}

/** The ranges of a list of [start, end, …] in UTF-16 units; what does not rise or lies outside is left out. */
function ranges(index, list) {
  const flat = [];
  const kept = [];
  let last = 0;
  for (const range of list) {
    if (!(range[0] >= last && range[1] >= range[0])) continue;
    flat.push(range[0], range[1]);
    kept.push(range);
    last = range[1];
  }
  const mapped = units(index, flat);
  return kept.map((range, at) => [mapped[2 * at], mapped[2 * at + 1], range[2]]).filter((range) => range[1] > range[0]);
}

/** Tokens sent of a call by action and by age tier. */
const sums = new Map();
function sumsOf(callIndex) {
  let found = sums.get(callIndex);
  if (!found) {
    found = { action: new Array(ACTIONS.length).fill(0), age: new Array(TIERS.length).fill(0) };
    for (const [index, age] of CALLS[callIndex].segments) {
      const segment = SEGMENTS[index];
      if (!segment) continue;
      found.action[Math.min(rank(segment), ACTIONS.length - 1)] += segment.after;
      found.age[tier(age)] += segment.after;
    }
    sums.set(callIndex, found);
  }
  return found;
}

let firstSeen = null;
/** The first call in which a segment's record stands. */
function firstCall(index) {
  if (!firstSeen) {
    firstSeen = new Map();
    CALLS.forEach((call, at) => {
      for (const [segment] of call.segments) if (!firstSeen.has(segment)) firstSeen.set(segment, at);
    });
  }
  return firstSeen.get(index) ?? null;
}

const MANY = new Set(CALLS.map((call) => call.conversation ?? 0)).size > 1;
/** What a call is called: questions over documents are calls, requests of a conversation are turns. */
const UNIT =
  CALLS.every((call) => typeof call.conversation !== "number") &&
  CALLS.every((call) => call.segments.every(([, age]) => !age))
    ? "call"
    : "turn";
const capital = (words) => words[0].toUpperCase() + words.slice(1);
const turnName = (call) =>
  MANY && typeof call.conversation === "number"
    ? `conversation ${call.conversation}, turn ${call.turn}`
    : `${MANY ? "call" : UNIT} ${call.turn}`;
