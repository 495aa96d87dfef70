import pytest

from pipeline.errors import PipelineError
from pipeline.experiments import presets

BASE = {
    "finetune": {"lr": 0.1, "loss": {"name": "focal", "alpha": 0}, "augment": {"flip": True, "shift": 0.1}},
    "heads": {"logistic": {"C": 1, "max_iter": 9}, "tree": {"tree": {"a": [1]}}},
    "arms": {"x": {"vote": ["a", "b"]}},
    "evaluate": {"groups": {"v": {"a": ["1"]}}},
}


def test_sections_and_entries_are_merged_and_any_other_dict_is_one_value():
    made = presets.merged(
        BASE,
        {
            "finetune": {"loss": {"name": "ldam"}, "augment": {"flip": False}},
            "heads": {"logistic": {"C": 2}, "tree": {"tree": {"b": [2]}}, "new": {}},
            "arms": {"x": {"stack": ["a", "b"]}},
            "evaluate": {"groups": {"w": {}}},
        },
    )
    assert made == {
        "finetune": {"lr": 0.1, "loss": {"name": "ldam"}, "augment": {"flip": False, "shift": 0.1}},
        "heads": {"logistic": {"C": 2, "max_iter": 9}, "tree": {"tree": {"b": [2]}}, "new": {}},
        "arms": {"x": {"stack": ["a", "b"]}},
        "evaluate": {"groups": {"w": {}}},
    }


def test_differences_name_each_value_and_tell_1_from_true():
    after = presets.merged(
        BASE, {"heads": {"logistic": {"C": True}}, "finetune": {"augment": {"shift": 0.1, "new": 1}}}
    )
    assert presets.differences(BASE, after) == {
        ("finetune", "augment", "new"): (None, 1),
        ("heads", "logistic", "C"): (1, True),
    }
    assert presets.differences(BASE, BASE) == {}


def test_settings_are_read_as_yaml():
    words = ["data.images=/a b=c", "split.folds=5", "grid.heads=[knn]", "finetune.augment.flip=false", "data.id="]
    assert presets.settings(words) == {
        "data": {"images": "/a b=c", "id": None},
        "split": {"folds": 5},
        "grid": {"heads": ["knn"]},
        "finetune": {"augment": {"flip": False}},
    }


@pytest.mark.parametrize("word", ["folds=3", "split.folds", ".a=1", "a.=1", "=1"])
def test_a_word_that_is_no_setting_is_refused(word):
    with pytest.raises(PipelineError, match="is no KEY=VALUE"):
        presets.settings([word])
