"""Metrics as pure functions, an evaluator that gathers them over a data set, and the public programs' scores.

    from hamer.evaluation import EvaluationBatch, HandEvaluator

    evaluator = HandEvaluator()
    for output, batch in ...:
        evaluator.add(EvaluationBatch.from_network(output, batch))
    result = evaluator.result()          # arrays, one row a hand; result.save("run.npz") to go on later
    print(result.summary().pa_mpjpe)     # mm

Metres come in, millimetres go out. docs/evaluation.md says which number is comparable with which publication.
"""

from __future__ import annotations

from hamer.lazy import lazy_names

_HOMES = {
    "compare": "hamer.evaluation.comparison",
    "EvaluationBatch": "hamer.evaluation.batches",
    "EvaluationResult": "hamer.evaluation.results",
    "EvaluationSummary": "hamer.evaluation.summary",
    "HandEvaluator": "hamer.evaluation.evaluator",
    "Reliability": "hamer.evaluation.confidence",
    "evaluate": "hamer.evaluation.evaluator",
    "freihand_scores": "hamer.evaluation.scores",
    "ho3d_scores": "hamer.evaluation.scores",
    "intervals": "hamer.evaluation.comparison",
    "reliability": "hamer.evaluation.confidence",
    "reliability_of": "hamer.evaluation.confidence",
    "reliability_svg": "hamer.evaluation.confidence_charts",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
