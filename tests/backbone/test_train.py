import dataclasses
import functools
import io
import time

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.backbone import inputs, models, optimise, steps, train
from pipeline.backbone.train import Rating
from pipeline.choices import Choice
from pipeline.errors import PipelineError
from pipeline.params import Augment, Finetune

STILL = Augment(
    flip=False,
    turns=False,
    degrees=0.0,
    shift=0.0,
    scale=0.0,
    contrast=0.0,
    colour=0.0,
    gamma=0.0,
    noise=0.0,
    minority=1.0,
    mixup=0.0,
)
RECIPE = Finetune(
    policy=Choice("full"),
    epochs=3,
    patience=None,
    batch_size=16,
    accumulate=1,
    lr=0.003,
    weight_decay=0.01,
    clip=None,
    average=0.0,
    sampler=Choice("weighted"),
    loss=Choice("cross_entropy"),
    allow_double_balance=False,
    augment=dataclasses.replace(STILL, flip=True, contrast=0.1),
    on_collapse="warn",
    compile=False,
    seed=0,
)
TINY = "test_resnet"  # of timm; 32 px, 0.4 million parameters, with BatchNorm
RNG = np.random.default_rng(0)
ORDER = RNG.permutation(60)
LABELS = np.repeat([0, 1], [48, 12])[ORDER]
PICTURES = (LABELS[:, None, None] * 90 + RNG.integers(0, 120, (60, 32, 32))).astype(np.uint8)  # dark and bright
DATA = train.Data(
    take=PICTURES.__getitem__,
    targets=LABELS,
    groups=np.arange(60),
    ids=[f"id-{number}" for number in range(60)],
    classes=2,
    train_rows=np.arange(40),
    val_rows=np.arange(40, 60),
)


def rate(targets, probabilities):
    hit = float((probabilities.argmax(1) == targets).mean())
    recall = np.array([np.mean(probabilities.argmax(1)[targets == label] == label) for label in (0, 1)])
    return Rating((hit,), {"val_hit": hit}, recall, [])


def with_recipe(**changes):
    return dataclasses.replace(RECIPE, **changes)


def still(**changes):
    return with_recipe(augment=STILL, sampler=Choice("none"), **changes)


def run(recipe=RECIPE, data=DATA, rate=rate, model=TINY, **options):
    return train.train(models.create(model, "none", 1, 32, data.classes, 0), data, recipe, rate, **options)


def test_a_backbone_learns_what_is_easy():
    model, history = run(with_recipe(epochs=6), model="resnet10t")
    _, probabilities = steps.predict(model, DATA, DATA.val_rows, 7)
    assert (probabilities.argmax(1) == LABELS[40:]).mean() >= 0.95
    assert list(history.columns) == [
        *("epoch", "train_loss", "val_loss", "lr", "trainable"),
        *("val_hit", "collapse", "grad_norm", "seconds", "chosen"),
    ]
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_two_runs_with_one_seed_are_bitwise_equal_and_another_seed_is_not():
    recipe = with_recipe(average=0.9, accumulate=2, augment=dataclasses.replace(RECIPE.augment, mixup=0.4, noise=0.1))
    (one, first), (other, second), (third, _) = run(recipe), run(recipe), run(dataclasses.replace(recipe, seed=1))
    assert models.to_bytes(one) == models.to_bytes(other)
    assert first.drop(columns="seconds").equals(second.drop(columns="seconds"))
    assert models.to_bytes(one) != models.to_bytes(third)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_epoch_with_the_best_key_is_kept_and_the_first_of_equals(average):
    keys = iter([(0.2, 0.9), (0.5, 0.1), (0.5, 0.1)])
    seen = []

    def scripted(targets, probabilities):
        seen.append(probabilities)
        return Rating(next(keys), {}, np.ones(2), [])

    model, history = run(with_recipe(average=average), rate=scripted)
    assert history["chosen"].tolist() == [False, True, False]
    np.testing.assert_array_equal(steps.predict(model, DATA, DATA.val_rows, 16)[1], seen[1])


def test_validation_sees_each_of_its_rows_once_and_only_training_rows_are_learned_from():
    shown = []

    def watched(rows):
        shown.append(rows)
        return PICTURES[rows]

    run(with_recipe(epochs=2), dataclasses.replace(DATA, take=watched))
    validated = [rows for rows in shown if rows.max() >= 40]
    np.testing.assert_array_equal(np.sort(np.concatenate(validated)), np.repeat(np.arange(40, 60), 2))
    learned = np.concatenate([rows for rows in shown if rows.max() < 40])
    assert len(learned) == 80
    assert np.ptp(np.bincount(LABELS[learned])) <= 2  # balanced by the sampler


def test_a_step_learns_from_all_rows_of_its_batches_alike_and_the_last_one_from_those_that_are_left(monkeypatch):
    monkeypatch.setattr(inputs, "has_bf16", lambda where: False)
    recipe, shown = still(epochs=1, batch_size=8, accumulate=2, weight_decay=0.3, average=0.5), []

    def watched(rows):
        shown.append(rows)
        return PICTURES[rows]

    data = dataclasses.replace(DATA, take=watched, train_rows=np.arange(38))
    trained, history = run(recipe, data, model="test_vit")
    assert [len(rows) for rows in shown[:5]] == [8, 8, 8, 7, 7]
    model = models.create("test_vit", "none", 1, 32, 2, 0)
    decayed = [p for name, p in model.named_parameters() if p.ndim > 1 and name not in ("pos_embed", "cls_token")]
    others = [p for p in model.parameters() if not any(p is one for one in decayed)]
    adam = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}], 0.003)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 0.003, total_steps=3)
    average, losses = {name: value.clone() for name, value in model.state_dict().items()}, []
    for number, batches in enumerate(([0, 1], [2, 3], [4])):
        rows = np.concatenate([shown[place] for place in batches])
        pictures = inputs.normalise(inputs.to_tensor(PICTURES[rows], torch.device("cpu")), model)
        each = functional.cross_entropy(model(pictures), torch.from_numpy(LABELS[rows]), reduction="none")
        losses += each.tolist()
        adam.zero_grad()
        each.mean().backward()
        adam.step()
        decay = [0, 1 - 2 ** (-2 / 3), 0.5][number]
        average = {name: decay * average[name] + (1 - decay) * value for name, value in model.state_dict().items()}
        lr = schedule.get_last_lr()[0]
        schedule.step()
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, average[name], atol=2e-5, rtol=0)
    assert history["train_loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    assert history["lr"][0] == pytest.approx(lr)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 40])
def test_the_schedule_is_torchs_one_cycle(total):
    adam = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 2.0, total_steps=total)
    for step in range(total):
        share, beta = optimise.one_cycle(step, total)
        assert 2 * share == pytest.approx(adam.param_groups[0]["lr"], abs=1e-12)
        assert beta == pytest.approx(adam.param_groups[0]["betas"][0])
        adam.step()
        if step < total - 1:
            schedule.step()


def test_a_gradient_is_clipped_to_the_norm_and_its_own_is_in_the_history(monkeypatch):
    norms, step = [], torch.optim.AdamW.step

    def watched(adam, *args, **options):
        gradients = [p.grad for group in adam.param_groups for p in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
        return step(adam, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    _, free = run(still(epochs=1))
    free_norms = norms.copy()
    _, clipped = run(still(epochs=1, clip=0.01))
    assert free["grad_norm"][0] == pytest.approx(np.mean(free_norms), rel=1e-4)
    assert clipped["grad_norm"][0] > 0.1
    np.testing.assert_allclose(norms[len(free_norms) :], 0.01, rtol=1e-3)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_what_a_policy_freezes_stays_bitwise_with_weight_decay_and_running_mean(average):
    fresh = models.create(TINY, "none", 1, 32, 2, 0).state_dict()
    recipe = with_recipe(policy=Choice("last_block"), weight_decay=0.5, average=average)
    trained = run(recipe)[0].state_dict()
    moved = {key for key in fresh if not torch.equal(fresh[key], trained[key].contiguous())}
    assert {key.split(".")[0] for key in moved} == {"layer4", "fc"}
    assert any(key.endswith("running_var") for key in moved)


def test_a_warmup_trains_the_head_alone_and_then_everything():
    policy = Choice("warmup", {"epochs": 2, "then": "full"})
    fresh = models.create(TINY, "none", 1, 32, 2, 0).state_dict()
    lines = []
    model, history = run(with_recipe(policy=policy, epochs=2, weight_decay=0.5), tell=lines.append)
    trained = model.state_dict()
    moved = {key.split(".")[0] for key in fresh if not torch.equal(fresh[key], trained[key].contiguous())}
    assert moved == {"fc"}
    _, history = run(with_recipe(policy=policy), tell=lines.append)
    assert history["trainable"].tolist() == [194, 194, 372_594]
    assert lines[1:] == [
        "from epoch 1 on, 194 of 372,594 parameters are trained",
        "from epoch 3 on, 372,594 of 372,594 parameters are trained",
    ]


def test_layers_learn_at_the_rate_of_their_factor():
    model = models.create(TINY, "none", 1, 32, 2, 0)
    adam = optimise.optimiser(model)
    optimise.regroup(adam, model, {"fc.weight": 1.0, "fc.bias": 1.0, "layer1.0.conv1.weight": 0.25}, 0.1)
    optimise.set_rates(adam, 0.02, 0.9)
    assert [(len(g["params"]), g["lr"], g["weight_decay"], g["betas"]) for g in adam.param_groups] == [
        (1, 0.005, 0.1, (0.9, 0.999)),
        (1, 0.02, 0.1, (0.9, 0.999)),
        (1, 0.02, 0.0, (0.9, 0.999)),
    ]


def test_training_ends_when_no_epoch_was_better_for_so_many():
    keys, lines = iter([(0.3,), (0.6,), (0.6,), (0.5,), (0.9,)]), []
    scripted = lambda *_: Rating(next(keys), {}, np.ones(2), [])  # noqa: E731
    _, history = run(still(epochs=9, patience=2), rate=scripted, tell=lines.append)
    assert history["chosen"].tolist() == [False, True, False, False]
    assert lines[-1] == "no epoch was better than epoch 2 for 2 epochs: training ends"


def test_patience_begins_after_a_head_only_warmup():
    keys = iter([(0.9,), (0.1,), (0.1,), (0.2,), (0.1,), (0.1,)])
    scripted = lambda *_: Rating(next(keys), {}, np.ones(2), [])  # noqa: E731
    policy = Choice("warmup", {"epochs": 3, "then": "full"})
    _, history = run(still(epochs=9, patience=2, policy=policy), rate=scripted)
    assert history["chosen"].tolist() == [True, False, False, False, False]


def test_an_epoch_that_validation_cannot_rate_is_refused_with_the_remedy():
    nowhere = lambda *_: Rating((-np.inf, -np.inf), {}, np.ones(2), [])  # noqa: E731
    with pytest.raises(PipelineError, match=r"is defined on the 20 validation rows, .*\n.*at least two classes"):
        run(rate=nowhere)
    half = lambda *_: Rating((-np.inf, 0.5), {}, np.ones(2), [])  # noqa: E731
    assert len(run(still(epochs=1), rate=half)[1]) == 1


@pytest.mark.parametrize("rows", [1, 39])
def test_a_batch_of_one_picture_is_refused_with_the_remedy(rows):
    data = dataclasses.replace(DATA, train_rows=np.arange(rows))
    text = rf"batch_size: 2 cuts {rows} training rows into batches of which some leave 1 to a .*\n.*to at least 3, add"
    with pytest.raises(PipelineError, match=text):
        run(still(epochs=1, batch_size=2), data)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_batch_size_of_the_remedy_serves_any_number_of_rows(processes):
    size = 2 * train.LEAST_PART * processes - 1
    for rows in range(train.LEAST_PART * processes, 200):
        assert min(map(len, steps.split(np.arange(rows), size))) >= train.LEAST_PART * processes


def collapsed(*_):
    return Rating((0.0,), {}, np.zeros(2), ["kappa", "class_f1 A"])


@pytest.mark.parametrize(
    ("epochs", "warmup", "first"), [(1, 0, 1), (2, 0, 2), (12, 0, 5), (10, 0, 4), (12, 6, 7), (5, 9, 5)]
)
def test_signs_of_collapse_count_from_the_greatest_learning_rate_on_and_after_a_warmup(epochs, warmup, first):
    policy = Choice("warmup", {"epochs": warmup, "then": "full"}) if warmup else Choice("full")
    assert train.guarded_from(with_recipe(epochs=epochs, policy=policy)) == first


def test_a_collapse_is_told_with_its_clauses_and_stands_in_the_history():
    lines = []
    _, history = run(still(epochs=3), rate=collapsed, tell=lines.append)
    assert lines[1:] == [f"epoch {epoch}: signs of collapse: kappa; class_f1 A" for epoch in (2, 3)]
    assert history["collapse"].tolist() == ["kappa; class_f1 A"] * 3


def test_a_collapse_stops_training_where_that_is_asked_for():
    text = r"finetune, epoch 2: signs of collapse: kappa; class_f1 A\n  Remedy: try another finetune.sampler or"
    with pytest.raises(PipelineError, match=text):
        run(still(on_collapse="stop"), rate=collapsed)


def test_each_collapse_halves_the_learning_rate_of_what_follows():
    _, plain = run(still(epochs=4))
    lines = []
    _, reduced = run(still(epochs=4, on_collapse="reduce_lr"), rate=collapsed, tell=lines.append)
    np.testing.assert_allclose(reduced["lr"] / plain["lr"], [1, 1, 1, 0.5])
    assert lines[1].endswith("signs of collapse: kappa; class_f1 A; from here on 0.5 times the learning rate")
    assert lines[2].endswith("from here on 0.25 times the learning rate")


def test_a_collapse_that_stays_does_not_bring_learning_to_a_halt():
    _, plain = run(still(epochs=9))
    _, reduced = run(still(epochs=9, on_collapse="reduce_lr"), rate=collapsed)
    np.testing.assert_allclose(reduced["lr"] / plain["lr"], [1, 1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])


def test_a_training_that_was_stopped_for_collapse_stops_there_again_and_keeps_no_collapsed_epoch():
    kept = {}
    keeper = train.Keeper(load=lambda: kept.get("state"), save=lambda state: kept.update(state=state))
    for _ in range(2):
        with pytest.raises(PipelineError, match="finetune, epoch 3: signs of collapse"):
            run(still(epochs=6, on_collapse="stop"), rate=collapsed, keeper=keeper)
        assert torch.load(io.BytesIO(kept["state"]), weights_only=True)["progress"]["epoch"] == 2


def poisoned(monkeypatch, change):
    """From its fourth call on, a loss is changed."""
    calls = []

    def loss(logits, targets, setting):
        calls.append(len(targets))
        each = functional.cross_entropy(logits, targets, reduction="none")
        return each if len(calls) != 4 else change(each)

    monkeypatch.setitem(steps.LOSSES, "cross_entropy", loss)


def shown_by(number, **changes):
    """Ids of the batch of this number, from 0."""
    shown = []

    def watched(rows):
        shown.append([DATA.ids[row] for row in rows])
        return PICTURES[rows]

    with pytest.raises(PipelineError) as error:
        run(still(epochs=2, **changes), dataclasses.replace(DATA, take=watched))
    return [rows for rows in shown if int(rows[0][3:]) < 40][number], str(error.value)


def test_a_loss_that_is_not_finite_names_its_images(monkeypatch):
    poisoned(monkeypatch, lambda each: torch.where(torch.arange(len(each)) % 5 == 1, torch.inf, each))
    ids, text = shown_by(3)
    assert text.startswith(
        f"finetune, epoch 2: the loss of 3 of 14 images of a batch is not finite: {', '.join(ids[1::5])}\n"
    )
    assert "Remedy: lower finetune.lr or set finetune.clip to 1.0" in text


def test_weights_that_are_not_finite_are_told_from_images(monkeypatch):
    poisoned(monkeypatch, lambda each: each * torch.nan)
    ids, text = shown_by(3, accumulate=1, batch_size=32)
    start = "the loss of all 20 images of a batch is not finite, so the weights were not before it: "
    assert f"{start}{', '.join(ids[:16])} and 4 more\n" in text


def test_a_gradient_that_is_not_finite_names_its_batch(monkeypatch):
    poisoned(monkeypatch, lambda each: each + (each * 0).sqrt())
    ids, text = shown_by(3)
    assert f"epoch 2: the loss of a batch is finite, but its gradient is not: {', '.join(ids)}\n" in text


def test_outputs_that_are_not_finite_stop_with_the_remedy(monkeypatch):
    monkeypatch.setattr(steps, "predict", lambda *_: (float("nan"), np.full((20, 2), np.nan)))
    with pytest.raises(PipelineError, match=r"epoch 1: the model's outputs are not finite\n  Remedy: lower"):
        run()


def test_several_labels_are_learned_and_missing_ones_say_nothing():
    targets = np.stack([LABELS, 1 - LABELS, np.full(60, -1)], 1).astype(np.int8)
    targets[::4, 1] = -1
    data = dataclasses.replace(DATA, targets=targets, classes=3)

    def rated(truth, probabilities):
        np.testing.assert_array_equal(truth, targets[40:])
        return Rating((float(((probabilities[:, 0] > 0.5) == truth[:, 0]).mean()),), {}, np.full(3, np.nan), [])

    recipe = with_recipe(epochs=6, loss=Choice("bce"), sampler=Choice("dynamic", {"floor": 0.1}))
    model, history = run(recipe, data, rated, "resnet10t")
    loss, probabilities = steps.predict(model, data, data.val_rows, 16)
    assert history.loc[history["chosen"], "val_loss"].item() == pytest.approx(loss)
    known = targets[40:] >= 0
    likelihood = np.where(targets[40:] == 1, probabilities, 1 - probabilities)
    assert loss == pytest.approx(-np.log(likelihood[known]).mean(), rel=1e-4)
    assert ((probabilities[:, 0] > 0.5) == LABELS[40:]).mean() >= 0.9
    bias = model.get_classifier().bias[2].item()
    fresh = models.create("resnet10t", "none", 1, 32, 3, 0).get_classifier().bias[2].item()
    assert bias == pytest.approx(fresh, abs=1e-7)  # the third label is known of no picture


@pytest.mark.parametrize("several", [False, True])
def test_a_loss_is_told_the_counts_of_the_training_rows_and_the_share_of_the_epochs_that_is_done(monkeypatch, several):
    seen = []

    def watched(logits, targets, setting):
        seen.append(setting)
        return logits.square().sum(1)

    monkeypatch.setitem(steps.LOSSES, "cross_entropy", watched)
    targets = np.stack([LABELS, np.where(np.arange(60) % 4, 1 - LABELS, -1)], 1).astype(np.int8) if several else LABELS
    rated = lambda *_: Rating((0.0,), {}, np.ones(2), [])  # noqa: E731
    run(still(epochs=4, batch_size=64), dataclasses.replace(DATA, targets=targets), rated)
    assert [setting.progress for setting in seen] == [0, 0.25, 0.5, 0.75]
    each = targets[:40] if several else np.stack([1 - LABELS, LABELS], 1)[:40]
    assert seen[0].positives.tolist() == [(each[:, k] == 1).sum() for k in (0, 1)]
    assert seen[0].negatives.tolist() == [(each[:, k] == 0).sum() for k in (0, 1)]


def test_a_blended_picture_costs_what_its_own_label_and_that_of_its_partner_do_in_their_shares(monkeypatch):
    def labelled(logits, targets, setting):
        return logits.sum(1) * 0 + targets

    def with_the_first(pictures, rng, alpha):
        share = torch.linspace(0, 1, len(pictures))
        shown.append(share)
        return pictures, torch.zeros(len(pictures), dtype=torch.long), share

    shown = []
    monkeypatch.setitem(steps.LOSSES, "cross_entropy", labelled)
    monkeypatch.setattr(steps, "mix", with_the_first)
    monkeypatch.setitem(train.SAMPLERS, "none", lambda rows, rng: np.arange(40))
    recipe = dataclasses.replace(still(epochs=1, batch_size=64), augment=dataclasses.replace(STILL, mixup=1.0))
    _, history = run(recipe)
    share = shown[0].numpy()
    assert history["train_loss"][0] == pytest.approx((share * LABELS[:40] + (1 - share) * LABELS[0]).mean(), rel=1e-5)


def test_a_sampler_is_told_patients_and_what_validation_found_after_the_last_epoch(monkeypatch):
    seen, recalls = [], iter(np.array([[0.1, 0.9], [0.2, np.nan], [0.3, 0.7]]))

    def watched(rows, rng):
        seen.append(rows)
        return np.arange(len(rows.targets))

    monkeypatch.setitem(train.SAMPLERS, "none", watched)
    run(still(), dataclasses.replace(DATA, groups=np.arange(60) // 3), lambda *_: Rating((0.0,), {}, next(recalls), []))
    assert [(rows.epoch, rows.epochs) for rows in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[0].recall is None
    np.testing.assert_array_equal([rows.recall for rows in seen[1:]], [[0.1, 0.9], [0.2, np.nan]])
    np.testing.assert_array_equal(seen[0].targets, LABELS[:40])
    np.testing.assert_array_equal(seen[0].groups, np.arange(40) // 3)


def test_the_factor_of_a_layer_reaches_its_learning_rate_in_every_step(monkeypatch):
    rates, step = [], torch.optim.AdamW.step

    def watched(adam, *args, **options):
        rates.append({group["lr"]: sum(p.numel() for p in group["params"]) for group in adam.param_groups})
        return step(adam, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    _, history = run(still(epochs=2, policy=Choice("layer_decay", {"decay": 0.5})))
    assert len(rates) == 6
    for lrs in rates:
        np.testing.assert_allclose(sorted(lrs), max(lrs) * np.array([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]))
    assert history["lr"].tolist() == [max(rates[2]), max(rates[5])]


def test_a_picture_of_a_rare_class_is_changed_more(monkeypatch):
    seen = []

    def watched(pictures, rng, strength, **amplitudes):
        bright = pictures.mean((1, 2, 3)).numpy() > 0.4  # of the rare class
        seen.append(bright)
        np.testing.assert_array_equal(strength, np.where(bright, 3.0, 1.0))
        return pictures

    monkeypatch.setattr(steps, "augment", watched)
    run(with_recipe(epochs=1, augment=dataclasses.replace(STILL, minority=3.0)))
    assert np.concatenate(seen).sum() == 20


def test_a_compiled_model_has_the_names_of_any_other(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    plain, _ = run(still(epochs=2))
    compiled, _ = run(still(epochs=2, compile=True))
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for name, value in compiled.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name])


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(monkeypatch):
    recipe = with_recipe(epochs=4, average=0.9, patience=3, sampler=Choice("dynamic", {"floor": 0.2}))
    kept = {}

    def dropping(name, *args):
        model = create(name, *args)
        model.drop_rate = 0.3
        return model

    create = models.create
    monkeypatch.setattr(models, "create", dropping)
    undisturbed, history = run(recipe)
    for epochs in (1, 2):
        keeper = train.Keeper(load=lambda: kept.get("state"), save=functools.partial(interrupted, kept, epochs))
        with pytest.raises(KeyboardInterrupt):
            run(recipe, keeper=keeper)
    resumed, of_resumed = run(recipe, keeper=train.Keeper(lambda: kept["state"], lambda state: None))
    assert models.to_bytes(resumed) == models.to_bytes(undisturbed)
    assert of_resumed.drop(columns="seconds").equals(history.drop(columns="seconds"))


def interrupted(kept, epochs, state):
    kept["state"] = state
    if torch.load(io.BytesIO(state), weights_only=True)["progress"]["epoch"] == epochs:
        raise KeyboardInterrupt


def test_a_training_that_was_done_is_not_done_again():
    kept = {}
    keeper = train.Keeper(load=lambda: kept.get("state"), save=lambda state: kept.update(state=state))
    model, history = run(still(epochs=2), keeper=keeper)
    again, same = run(still(epochs=2), dataclasses.replace(DATA, take=None), keeper=keeper)
    assert models.to_bytes(again) == models.to_bytes(model)
    assert same.equals(history)


def test_batches_are_read_in_order_and_little_ahead():
    read, parts = [], [np.array([number]) for number in range(6)]

    def take(rows):
        read.append(rows[0])
        return np.full((1, 2, 2), rows[0], np.uint8)

    batches = inputs.read_ahead(take, parts, torch.device("cpu"))
    assert int(next(batches).max()) == 0
    time.sleep(0.05)
    assert len(read) <= 1 + inputs.AHEAD
    assert [int(batch.max()) for batch in batches] == [1, 2, 3, 4, 5]


def test_an_error_of_the_reader_reaches_the_caller():
    def take(rows):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(inputs.read_ahead(take, [np.arange(2)], torch.device("cpu")))
