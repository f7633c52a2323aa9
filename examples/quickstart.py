"""Shrink a text, retrieved chunks and a conversation, and see what happened to each piece.

python examples/quickstart.py
"""

from ctxshrink import Shrinker

QUESTION = "How long may a returned parcel wait at the depot?"
CHUNKS = [
    {
        "id": "handbook-12",
        "text": "Returns are booked at the counter. The driver scans the label twice. A returned parcel may wait at "
        "the depot for 9 working days. After that it goes back to the sender at the sender's cost. Pallets are stacked "
        "on the left of gate 4.",
    },
    {
        "id": "handbook-31",
        "text": "The canteen opens at 6:30. Coffee is free before the first tour. Drivers who start later find the key "
        "in the office. Please close the windows in winter.",
    },
    {
        "id": "memo-7",
        "text": "Damaged parcels are photographed from three sides. The photos go to claims the same day. Never open a "
        "parcel without a second person. Claims answers within 48 hours.",
    },
]
MESSAGES = [
    {"role": "system", "content": "You help drivers. Answer in one sentence and name the source."},
    {"role": "user", "content": "I start tomorrow. My van is number 17 and my tour is Lindau. What shall I know?"},
    {
        "role": "assistant",
        "content": "Welcome! Tours start at 5:45 at gate 2. Van 17 takes diesel, never petrol. The fuel card's limit "
        "is 120 euros a day. The tour to Lindau has 64 stops on a usual day. Breaks are up to you, but after four and "
        "a half hours you must rest for 45 minutes. The depot's radio plays all night.",
    },
    {"role": "user", "content": "Who do I call when the van breaks down?"},
    {"role": "assistant", "content": "Call dispatch at 0831-5550123. They send a tow truck within the hour."},
    {"role": "user", "content": "And if a customer is not at home?"},
    {"role": "assistant", "content": "Leave a card and bring the parcel back."},
    {"role": "user", "content": QUESTION},
]


def main() -> None:
    shrinker = Shrinker()  # adaptive policy, extractive compressor, perplexity guardrail: offline and on the CPU

    text = shrinker.shrink_text(CHUNKS[0]["text"], QUESTION, keep=0.5)
    print(f"text: {text.tokens_before} -> {text.tokens_after} tokens\n  {text.output}\n")

    documents = shrinker.shrink_documents(CHUNKS, QUESTION, keep=0.4)
    print(f"documents: {documents.tokens_before} -> {documents.tokens_after} tokens")
    for chunk, decision in zip(documents.output, documents.decisions, strict=True):
        print(f"  {chunk['id']}: {decision.action} ({decision.reason})\n    {chunk['text'] or '(empty)'}")

    messages = shrinker.shrink_messages(MESSAGES, keep=0.5)
    print(f"\nmessages: {messages.tokens_before} -> {messages.tokens_after} tokens")
    for decision in messages.decisions:
        print(f"  {decision.segment.kind:<12} {decision.action:<11} {decision.reason}")
    for warning in (*documents.warnings, *messages.warnings):
        print(f"warning: {warning}")


if __name__ == "__main__":
    main()
