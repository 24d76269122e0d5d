"""The part of the configuration's schema that is made from the settings classes."""

from collections.abc import Sequence
from typing import Any

import yaml

from weaklesion.data.loaders import custom, deeplesion, ham10k, lits, lits_liver
from weaklesion.nnunet.settings import NNUNetSettings
from weaklesion.prediction.crf import CRFSettings
from weaklesion.pseudo_masks import RefinedSettings
from weaklesion.selection.recovery import RecoverySettings
from weaklesion.selection.warp_amplitude import ShortTraining
from weaklesion.study.settings import TrainingSettings
from weaklesion.supervision.grabcut import GrabCutSettings
from weaklesion.supervision.simulated_readers import Reader
from weaklesion.support.limits import Setting, settings_of
from weaklesion.training.prompt_settings import PromptSettings

MARKER = (
    "# Everything below is made from the settings classes by `python tools/update_reference.py`.\n"
)
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
# Fields of loaders: the schema states some once for all loaders, the workflow fills in the others.
SHARED = ("side_px", "on_bad_sample", "limit", "released_ids_sha256", "published_split")
FILLED_IN = ("complete", "dense", "state")
# Definitions of the schema, each with its class and the fields of that class that are not its keys.
CLASSES: dict[str, tuple[type, Sequence[str]]] = {
    "training": (TrainingSettings, ("model", "network", "num_classes", "soft_targets")),
    "prompt": (PromptSettings, ("exponent",)),
    "grabcut": (GrabCutSettings, ()),
    "refined": (RefinedSettings, ("prior_weight",)),
    "recovery": (RecoverySettings, ()),
    "reader": (Reader, ()),
    "short_training": (ShortTraining, ()),
    "crf": (CRFSettings, ()),
    "nnunet": (NNUNetSettings, ()),
    "patches_ham10k": (ham10k.Settings, SHARED),
    "patches_lits": (lits.Settings, SHARED),
    "patches_deeplesion": (deeplesion.Settings, (*SHARED, *FILLED_IN)),
    "patches_custom": (custom.Settings, (*SHARED, *FILLED_IN)),
    "patches_lits_liver": (lits_liver.Settings, SHARED),
}
COMPLETE = ("recovery", "reader", "short_training", "crf", "nnunet")  # need all their keys
NESTED = {"prompt": "prompt", "volumes": "volumes"}  # definitions of fields that are mappings


def definitions() -> dict[str, Any]:
    """Return the schema's definitions of all settings classes, by name.

    Raises:
        ValueError: if a field has no sentence.
    """
    found: dict[str, Any] = {}
    for name, (settings_class, left_out) in CLASSES.items():
        keys = [one for one in settings_of(settings_class) if one.name not in left_out]
        for key in keys:
            if not key.sentence:
                raise ValueError(
                    f"{settings_class.__name__}.{key.name}: has no sentence. Write what it decides:"
                    f' {key.name}: Annotated[..., "..."].'
                )
        found[name] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key.name: property_schema(key) for key in keys},
        }
        if name in COMPLETE:
            found[name]["required"] = [key.name for key in keys]
        if name == "training":
            required = [key.name for key in keys if key.required]
            found["complete_training"] = {"$ref": "#/$defs/training", "required": required}
    return found


def property_schema(setting: Setting) -> dict[str, Any]:
    """Return the schema of one key."""
    schema: dict[str, Any] = {"description": setting.sentence}
    if setting.kind is dict:
        nested = {"$ref": f"#/$defs/{NESTED[setting.name]}"}
        return schema | ({"oneOf": [nested, {"type": "null"}]} if setting.nullable else nested)
    if setting.choices:
        one: dict[str, Any] = {"enum": list(setting.choices)}
    else:
        one = {"type": TYPES[setting.kind]}
        one |= {limit.keyword: limit.bound for limit in setting.limits}
    if setting.is_list:
        least = setting.min_items if setting.length is None else setting.length
        several: dict[str, Any] = {"type": "array"} | ({"minItems": least} if least else {})
        several |= {"maxItems": setting.length} if setting.length is not None else {}
        several |= {"rising": True} if setting.rising else {}
        several["items"] = one
        return schema | ({"oneOf": [several, {"type": "null"}]} if setting.nullable else several)
    if setting.nullable and setting.choices:
        one["enum"].append(None)
    elif setting.nullable:
        one["type"] = [one["type"], "null"]
    return schema | one


class _Dumper(yaml.SafeDumper):
    """Lists on one line, mappings on several, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    list,
    lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True),
)


def schema_with_settings(text: str) -> str:
    """Return the text of the schema with a new last part.

    Args:
        text: the schema, with `MARKER`.

    Raises:
        ValueError: if the text has no `MARKER`.
    """
    before, marker, _ = text.partition(MARKER)
    if not marker:
        raise ValueError(
            f"config.schema.yaml: has no line {MARKER.strip()!r}. Write it at the end."
        )
    made = yaml.dump(definitions(), Dumper=_Dumper, sort_keys=False, width=80)
    return before + marker + "".join(f"  {line}\n" for line in made.splitlines())
