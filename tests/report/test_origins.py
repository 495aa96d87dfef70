from pipeline.report import origins


def test_quarantine_is_counted_by_reason_without_its_details_each_with_its_first_path_and_remedy():
    rows = [
        {"stage": "index", "reason": "no label", "path": "c", "remedy": "add it"},
        {"stage": "index", "reason": "a copy: same bytes as x", "path": "a", "remedy": "drop a"},
        {"stage": "index", "reason": "a copy: same bytes as y", "path": "b", "remedy": "drop b"},
        {"stage": "pixels", "reason": "a copy", "path": "d", "remedy": "drop d"},
    ]
    assert origins.quarantine_counts(rows) == [
        {"stage": "index", "reason": "a copy", "files": 2, "example": "a", "remedy": "drop a"},
        {"stage": "index", "reason": "no label", "files": 1, "example": "c", "remedy": "add it"},
        {"stage": "pixels", "reason": "a copy", "files": 1, "example": "d", "remedy": "drop d"},
    ]


def test_provenance_tells_what_folds_share_once_and_every_version():
    made = [
        {"stage": "finetune", "params": {"lr": 1}, "code": "c", "packages": {"torch": "2.6"}, "inputs": {"x": n}}
        for n in (1, 2)
    ]
    manifests = [
        {"files": {}, **made[0]},
        {"made_by": {"fold-1": made[1]}},
        {"made_by": {"packages": {"torch": "2.7"}}},
    ]
    assert [entry["stage"] for entry in origins.provenance(manifests)] == ["finetune", ""]
    assert origins.package_versions(manifests) == {"torch": "2.6, 2.7"}
