"""Examples of answers for the OpenAPI document; a test compares their fields with real ones."""

from typing import Any

__all__ = [
    "CLASSIFIED",
    "COMPLETED",
    "FILLED",
    "GENERATED",
    "INFILLED",
    "MODELS",
    "SCORED",
    "VIEWED",
    "answers",
    "refusals",
]

MODELS = {
    "object": "list",
    "data": [
        {
            "id": "mine",
            "object": "model",
            "created": 0,
            "owned_by": "unblank",
            "family": "glm",
            "parameters": 22_000_000,
            "positions": 512,
            "can": ["score", "generate", "fill", "classify"],
            "task": None,
        }
    ],
}
FILLED = {
    "text": "The game was called off.",
    "log_probability": -1.2,
    "probability": 0.3,
    "share": 1.0,
    "blanks": [
        {
            "text": "game",
            "token_ids": [311],
            "tokens": ["\u0120game"],
            "log_probabilities": [-1.0],
            "end_log_probability": -0.2,
            "alternatives": [[["\u0120game", 0.37], ["\u0120match", 0.22]]],
            "start": 4,
            "end": 8,
            "confidence": 0.42,
            "abstained": False,
            "finished": True,
            "probability": 0.3,
            "share": 1.0,
        }
    ],
    "alternatives": [],
    "calibration": "calibrated on 412 examples of held_out.txt",
}
GENERATED = {
    "text": "Ein Hund rennt.",
    "token_ids": [41, 97, 305],
    "log_probability": -2.3,
    "finished": True,
    "is_source_cut": False,
    "alternatives": [],
}
SCORED = {
    "candidates": [
        {"text": "great", "token_ids": [411], "score": -3.1, "share": 0.8},
        {"text": "a waste of time", "token_ids": [12, 801, 33], "score": -4.5, "share": 0.2},
    ],
    "calibration": "",
}
CLASSIFIED = {
    "task": "sst2",
    "predictions": [{"predicted": "1", "probability": 0.9, "probabilities": {"0": 0.1, "1": 0.9}}],
    "calibration": "",
}
COMPLETED = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1_700_000_000,
    "model": "mine",
    "choices": [{"index": 0, "text": " off.", "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
}
INFILLED = {
    "content": " a + b",
    "tokens": [3, 17, 9],
    "stop": True,
    "model": "mine",
    "tokens_predicted": 3,
    "tokens_evaluated": 12,
    "stop_type": "eos",
    "stopping_word": "",
    "truncated": False,
}


VIEWED = {
    "rows": [
        {"part": "A", "token": "\u0120[MASK]", "position": 4, "block_position": 0},
        {"part": "B", "token": "<|startofpiece|>", "position": 4, "block_position": 1},
    ]
}


def answers(example: Any) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of a good answer."""
    return {200: {"content": {"application/json": {"example": example}}}}


def refusals() -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of requests that are refused."""
    reasons = {
        400: "The body is not JSON.",
        401: "The key is missing or wrong.",
        404: "No such model.",
        413: "The body is too large.",
        422: "A value is not possible, or the values do not go together.",
        429: "Too many requests wait; Retry-After says when to come again.",
        503: "The server is shutting down.",
        504: "The request took longer than the server allows.",
    }
    error = {"message": "what is wrong", "type": "invalid_request_error"}
    example = {"error": error | {"param": None, "code": None}}
    content = {"application/json": {"example": example}}
    return {status: {"description": text, "content": content} for status, text in reasons.items()}
