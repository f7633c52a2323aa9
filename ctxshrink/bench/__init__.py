"""Quality and speed against plain baselines: the code behind ``ctxshrink bench``.

Every method runs through the same `Shrinker` machinery with the same counter, the same budget and the same locked
text; scores need no language model: they ask whether what an answer needs is still there.

* `data`: records and the dev/test split; `tasks`: rag, chat and tools; `methods`: what is compared; `baselines`,
  `encoder`: methods that only a benchmark needs; `peer_methods`: those of other packages, each in its own process;
* `quality`: the settings of a run, `pool`: it at work, in one process or several, with a `journal` that a stopped run
  goes on from; `run`: observations of one record; `summary`, `standings`, `wins` and `stats`: means, losses beside the
  best baseline, who beats whom, intervals, AUROC; `report`: tables, `markdown`: the same for a page, `plots`: pictures;
* `all_run`: everything in one command, its `all_parts`, and what it leaves behind (`all_write`);
* `guardrail`: the guardrail as a detector (`guardrail_labels`, `guardrail_rows`, `guardrail_detector`), in the product
  (`guardrail_product`), against `adversaries` (`guardrail_attacks`), and its cost (`guardrail_cost`);
* `speed`: tokens per second at growing lengths; `compare`, `peers`, `passages`, `fresh`: beside other libraries, and
  what a fresh process needs; `command`: the command line.
"""
