"""The published shapes of what we attest, as JSON schema: in-toto's Statement v1 and Test Result v0.1, SLSA's
Provenance v1.
"""

from __future__ import annotations

from typing import Any

__all__ = ["STATEMENT", "TEST_RESULT"]

_URI = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:[^\\s]+$"}
_DIGESTS = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {
        "^sha256$": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "^[a-zA-Z0-9_]+$": {"type": "string", "pattern": "^[0-9a-f]+$"},
    },
    "additionalProperties": False,
}
_RESOURCE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": _URI,
        "digest": _DIGESTS,
        "content": {"type": "string"},
        "downloadLocation": _URI,
        "mediaType": {"type": "string"},
        "annotations": {"type": "object"},
    },
    "anyOf": [{"required": ["uri"]}, {"required": ["digest"]}, {"required": ["content"]}],
    "additionalProperties": False,
}
_PROVENANCE = {
    "type": "object",
    "required": ["buildDefinition", "runDetails"],
    "properties": {
        "buildDefinition": {
            "type": "object",
            "required": ["buildType", "externalParameters"],
            "properties": {
                "buildType": _URI,
                "externalParameters": {"type": "object"},
                "internalParameters": {"type": "object"},
                "resolvedDependencies": {"type": "array", "items": _RESOURCE},
            },
            "additionalProperties": False,
        },
        "runDetails": {
            "type": "object",
            "required": ["builder"],
            "properties": {
                "builder": {
                    "type": "object",
                    "required": ["id"],
                    "properties": {
                        "id": _URI,
                        "builderDependencies": {"type": "array", "items": _RESOURCE},
                        "version": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                    "additionalProperties": False,
                },
                "metadata": {
                    "type": "object",
                    "properties": {
                        "invocationId": {"type": "string"},
                        "startedOn": {"type": "string", "format": "date-time"},
                        "finishedOn": {"type": "string", "format": "date-time"},
                    },
                    "additionalProperties": False,
                },
                "byproducts": {"type": "array", "items": _RESOURCE},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
STATEMENT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["_type", "subject", "predicateType"],
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {"allOf": [_RESOURCE, {"required": ["digest"]}]},
        },
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": _PROVENANCE,
    },
    "additionalProperties": False,
}
_NAMES = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
TEST_RESULT: dict[str, Any] = STATEMENT | {
    "required": [*STATEMENT["required"], "predicate"],
    "properties": STATEMENT["properties"]
    | {
        "predicateType": {"const": "https://in-toto.io/attestation/test-result/v0.1"},
        "predicate": {
            "type": "object",
            "required": ["result", "configuration"],
            "properties": {
                "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
                "configuration": {"type": "array", "items": _RESOURCE},
                "url": _URI,
                "passedTests": _NAMES,
                "warnedTests": _NAMES,
                "failedTests": _NAMES,
            },
            "additionalProperties": False,
        },
    },
}
