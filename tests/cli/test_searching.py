import optuna
import pytest
from conftest import SMALL, call
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ismila.cli.searching import Search, distribution, open_study
from ismila.settings import SettingError


@pytest.mark.parametrize(
    ("word", "drawn_from"),
    [
        ("model.C=tag(log, interval(0.001, 10))", FloatDistribution(0.001, 10, log=True)),
        ("model.shrink=interval(0.0, 10.0)", FloatDistribution(0, 10)),
        ("model.hidden=int(interval(16, 128))", IntDistribution(16, 128)),
        ("data=base,pets", CategoricalDistribution(["base", "pets"])),
    ],
)
def test_values_are_drawn_from_what_hydras_syntax_says(word, drawn_from):
    [override] = OverridesParser.create().parse_overrides([word])
    assert distribution(override) == drawn_from


def test_a_search_of_no_trial_is_refused():
    with pytest.raises(SettingError, match=r"hydra\.sweeper\.trials=0"):
        Search(0, 0, "")


def test_a_trial_whose_process_died_is_asked_for_again_and_others_are_new(tmp_path):
    how = Search(3, 0, f"sqlite:///{tmp_path}/optuna.db")
    space = {"model.C": FloatDistribution(0, 1)}
    first = open_study(how, "head", again=False)
    done = first.ask(space)
    first.tell(done, 0.5)
    died = first.ask(space)
    study = open_study(how, "head", again=False)
    assert study.ask(space).params == died.params
    assert study.ask(space).params not in (done.params, died.params)
    assert study.trials[died.number].state == optuna.trial.TrialState.FAIL
    assert open_study(how, "head", again=True).trials == []


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["subject=mila,rex"], "trials are compared on one album"),
        (["model.C=1", "model.shrink=1"], "nothing to search"),
        (["hydra.sweeper.trials=0"], "expected a number from 1"),
    ],
)
def test_what_cannot_be_searched_is_one_line(words, remedy, enough, tmp_path):
    said = call(tmp_path, "ismila.train", "sweep=head", *SMALL, f"data.root={enough}", *words)
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("error: ")
    assert remedy in said.stderr


@pytest.mark.slow
def test_a_search_goes_on_until_it_has_its_trials_each_with_every_seed(enough, tmp_path):
    words = ["sweep=head", *SMALL, f"data.root={enough}", "seed=0,1"]
    for trials in (1, 2):
        said = call(tmp_path, "ismila.train", *words, f"hydra.sweeper.trials={trials}")
        assert said.returncode == 0, said.stderr
        assert f"lowest select_loss of {trials} trials" in said.stderr
        assert said.stdout.count("mobilenet base 0, run ") == 1
        assert said.stdout.count("mobilenet base 1, run ") == 1
    [summary] = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/mlruns/optuna.db")
    assert summary.study_name.startswith("head-")
    assert summary.n_trials == 2
