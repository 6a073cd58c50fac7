"""The columns of a dataset, as Parquet knows them."""

from typing import Any

COLUMNS = {
    "id": "text",
    "problem_id": "text",
    "solution_id": "text",
    "messages": "messages",
    "problem": "text",
    "steps": "texts",
    "label": "whole",
    "answer": "text",
    "found_answer": "text",
    "grade": "text",
    "difficulty": "whole",
    "source": "text",
    "generator": "text",
    "sampling": "text",
    "policy": "text",
    "start_value": "number",
    "values": "numbers",
    "value_low": "numbers",
    "value_high": "numbers",
    "completions": "wholes",
    "labeler": "text",
    "labels": "truths",
    "label_scores": "numbers",
    "label_confidences": "numbers",
    "teacher": "text",
    "teacher_try": "whole",
    "verdicts": "truths",
    "checks": "checks",
    "agrees": "truths",
    "kept": "truth",
    "seed": "whole",
    "versions": "text",
    "problem_digest": "text",
    "messages_digest": "text",
}


def parquet_schema() -> Any:
    """Of every file, also where a column is empty in all its rows. Needs pyarrow."""
    import pyarrow as pa

    text, whole, number, truth = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    kinds = {
        "text": text,
        "whole": whole,
        "number": number,
        "truth": truth,
        "texts": pa.list_(text),
        "wholes": pa.list_(whole),
        "numbers": pa.list_(number),
        "truths": pa.list_(truth),
        "checks": pa.list_(pa.list_(text)),
        "messages": pa.list_(pa.struct([("role", text), ("content", text)])),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
