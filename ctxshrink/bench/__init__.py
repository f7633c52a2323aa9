"""Quality and speed against plain baselines: the code behind ``ctxshrink bench``.

Every method runs through the same `Shrinker` machinery with the same counter, the same budget and the same locked
text; scores need no language model: they ask whether what an answer needs is still there.

* `data`: records and the dev/test split; `tasks`: rag, chat and tools; `methods`: what is compared; `baselines`,
  `encoder`, `optimizer`: methods that only a benchmark needs;
* `run`: observations; `summary`, `standings` and `stats`: means, losses beside the best baseline, intervals, AUROC;
  `report`: tables;
* `guardrail`: the guardrail as a detector (`guardrail_labels`, `guardrail_rows`, `guardrail_detector`), in the product
  (`guardrail_product`), against `adversaries` (`guardrail_attacks`), and its cost (`guardrail_cost`);
* `speed`: tokens per second at growing lengths; `compare`, `peers`, `passages`, `fresh`: beside other libraries, and
  what a fresh process needs; `command`: the command line.
"""
