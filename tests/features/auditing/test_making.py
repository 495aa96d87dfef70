"""Settings and versions that are not those of the features are named with both."""

import dataclasses

from pipeline.features.auditing import making
from pipeline.features.auditing.evidence import Evidence

NOW = Evidence(
    settings={"fold-0": {"embed.symmetry": ("none", "none"), "render.size": (112, 112)}},
    versions={"fold-0": {"torch": ("2.15.0", "2.15.0"), "timm": ("1.0.31", "1.0.31")}},
)


def test_the_same_settings_and_versions_raise_nothing():
    assert making.settings(NOW, 0).verdict == "ok"
    assert making.versions(NOW, 0).verdict == "ok"


def test_a_setting_that_changed_since_is_named_with_both_values():
    changed = dataclasses.replace(NOW, settings={**NOW.settings, "fold-1": {"embed.symmetry": ("none", "flip")}})
    finding = making.settings(changed, 0)
    assert (finding.verdict, finding.value) == ("look", 1)
    assert finding.finding == (
        "params.yaml has changed since the features were made: embed.symmetry none then, flip now."
    )


def test_a_package_of_another_version_or_none_is_named():
    versions = {"fold-0": {"torch": ("2.14.0", "2.15.0"), "timm": ("1.0.31", "")}}
    finding = making.versions(dataclasses.replace(NOW, versions=versions), 0)
    assert (finding.verdict, finding.value) == ("look", 2)
    assert "torch 2.14.0 then, 2.15.0 now; timm 1.0.31 then, absent now" in finding.finding
    assert finding.figures["torch"] == {"then": "2.14.0", "now": "2.15.0"}


def test_imported_features_have_no_settings_and_no_packages():
    imported = Evidence(imported=True)
    assert "no setting made them" in making.settings(imported, 0).finding
    assert "no package of here computed them" in making.versions(imported, 0).finding
