// What became of a segment from turn to turn.

/** Runs of calls that sent the same record of a segment: {from, to, index}, of one conversation. */
function runsOf(id, conversation) {
  const runs = [];
  CALLS.forEach((call, at) => {
    if ((call.conversation ?? null) !== conversation) return;
    const entry = call.segments.find(([index]) => SEGMENTS[index]?.id === id);
    const last = runs.at(-1);
    if (!entry) return;
    if (last && last.index === entry[0] && last.to === at - 1) last.to = at;
    else runs.push({ from: at, to: at, index: entry[0] });
  });
  return runs;
}

const PAST_ROWS = 50;

/** The section, where there is more than one call. */
function past(segment) {
  if (CALLS.length < 2) return [];
  const here = CALLS[state.scope === "call" ? state.call : (firstCall(state.segment) ?? 0)];
  const runs = runsOf(segment.id, here?.conversation ?? null);
  if (!runs.length) return [];
  const rows = runs.slice(0, PAST_ROWS).map((run, at) => {
    const record = SEGMENTS[run.index];
    const go = make("button", {
      type: "button",
      className: "link",
      textContent:
        run.from === run.to
          ? capital(turnName(CALLS[run.from]))
          : `${capital(UNIT)}s ${CALLS[run.from].turn} to ${CALLS[run.to].turn}`,
    });
    go.addEventListener("click", () => choose({ call: run.from, scope: "call", segment: run.index }));
    const sent = at === 0 ? "first sent" : SEGMENTS[runs[at - 1].index].out === record.out ? "same bytes" : "rewritten";
    return [go, badge(record.action), change(record), sent];
  });
  const box = make(
    "section",
    { className: "past", "aria-labelledby": "past-h" },
    make("h4", { id: "past-h", textContent: UNIT === "turn" ? "Over the conversation" : "Over the calls" }),
    table("What was sent of this segment", ["When", "Action", "Tokens", "Bytes"], rows, true),
  );
  if (runs.length > PAST_ROWS)
    box.append(
      make("p", { className: "muted", textContent: `${several(runs.length - PAST_ROWS, "later change")} not shown.` }),
    );
  return [box];
}
