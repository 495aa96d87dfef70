import numpy as np
import pandas as pd

from pipeline.splitting import strata


def index(groups, **labels):
    columns = {f"label_{name}": np.array(codes, np.int8) for name, codes in labels.items()}
    return pd.DataFrame({"group": list(groups), "label": "", **columns})


def test_rows_of_a_class_are_counted_by_patient():
    table = pd.DataFrame({"group": list("aabbb"), "label": list("xyxxx")})
    of = strata.count(table, ["y", "x"])
    assert of.counts.tolist() == [[1, 1], [0, 3]]
    assert (of.groups.tolist(), of.images.tolist(), of.names) == ([0, 0, 1, 1, 1], [2, 3], ["y", "x"])
    assert [of.told(number) for number in (0, 1)] == ["class y", "class x"]
    assert of.essential.all()


def test_rows_that_have_a_label_or_none_are_counted_by_patient():
    of = strata.count(index("aabc", Mass=[1, 0, 0, 0], Nodule=[1, 0, 1, 0]), ["Mass", "Nodule"])
    # Two patients have a nodule, and two have an image without: as rare as presence, absence is kept in balance too.
    assert of.names == ["Mass", "Nodule", "no label", "absence of label Nodule"]
    assert of.counts.tolist() == [[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 1]]
    assert [of.told(number) for number in range(4)] == ["label Mass", "label Nodule", *of.names[2:]]
    assert of.essential.tolist() == [True, True, False, True]


def test_where_a_label_is_missing_its_known_absence_is_counted():
    of = strata.count(index("aabc", Mass=[1, 0, 0, -1], Nodule=[0, 0, 1, 0]), ["Nodule", "Mass"])
    assert of.names == ["Nodule", "Mass", "no label", "absence of label Mass"]
    assert of.counts[:, 3].tolist() == [1, 1, 0]
    assert of.counts[:, 2].tolist() == [1, 0, 1]


def test_a_stratum_without_a_row_in_a_role_is_absent_and_images_without_a_label_may_be():
    of = strata.count(index("abcdef", Mass=[1, 0, 1, 1, 1, 0], Nodule=[0, 0, 0, 1, 0, 0]), ["Mass", "Nodule"])
    roles = np.array([strata.TRAIN, strata.TRAIN, strata.VAL, strata.TEST, strata.VAL, strata.TEST])
    found = {(role, of.told(stratum)) for role, stratum in strata.absent(of, roles, 1, required=False)}
    assert found == {
        (strata.TRAIN, "label Nodule"),
        (strata.VAL, "label Nodule"),
        (strata.VAL, "absence of label Mass"),
    }
    required = {(role, of.told(stratum)) for role, stratum in strata.absent(of, roles, 1, required=True)}
    assert required == {
        (strata.TRAIN, "label Nodule")
    }  # one patient has it, and two lack a mass: too few for three roles


def test_drift_is_that_of_the_share_among_the_images_of_a_role():
    groups = [f"g{number}" for number in range(120)]
    table = index(groups, Mass=[1, 0, 0] * 40, Nodule=[1, 0, 0] * 10 + [0] * 90)
    of = strata.count(table, ["Mass", "Nodule"])
    roles = np.repeat([strata.TRAIN, strata.VAL, strata.TEST], [60, 30, 30])
    assert strata.worst_drift(of, roles) == (0.0, 0)  # ten patients have a nodule: too few to be judged
    roles[[0, 1, 3, 4]], roles[[61, 62, 64, 65]] = strata.VAL, strata.TRAIN  # two images with a mass change sides
    drift, worst = strata.worst_drift(of, roles)
    assert (round(drift, 6), of.told(worst)) == (0.2, "label Mass")
