"""What the notebook of the network by hand relies on: its differences find mistakes, its figures show what they say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import nn
from pipeline.figures import by_hand as figures
from pipeline.studies.by_hand import difference, finite_differences, path, spread


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    plt.close("all")


def test_finite_differences_find_a_gradient_and_leave_the_array_as_it_was():
    array = np.array([[1.0, 2.0], [3.0, -1.0]])
    before = array.copy()
    gradient = finite_differences(lambda: (array**3).sum(), array)
    np.testing.assert_array_equal(array, before)
    assert difference((gradient, 3 * array**2)) < 1e-8
    assert difference((gradient, 2 * array**2)) > 1, "a wrong gradient is noticed"


def test_difference_is_the_largest_over_all_pairs():
    assert difference((np.zeros(2), np.zeros(2)), (np.array([1.0, 5.0]), np.array([1.0, 2.0]))) == 3


def test_a_path_is_that_of_the_optimizer():
    places = path(nn.SGD(0.1), lambda w: ((w**2).sum(), 2 * w), (1.0, -2.0), 3)
    np.testing.assert_allclose(places, [[0.8**n, -2 * 0.8**n] for n in range(4)])


def test_spread_is_measured_at_every_layer_in_its_order():
    rng = np.random.default_rng(0)
    layers = [nn.Dense(2, use_bias=False), nn.Dense(2, use_bias=False)]
    for layer, factor in zip(layers, (3.0, 5.0)):
        layer.build((2,), rng)
        layer.params["kernel"] = factor * np.eye(2)
    inputs = rng.normal(size=(50, 2))
    outputs, gradients = spread(layers, inputs, inputs)
    assert outputs == pytest.approx([3 * inputs.std(), 15 * inputs.std()])
    assert gradients == pytest.approx([5 * inputs.std(), inputs.std()])


def test_touching_shows_the_weight_between_a_pixel_and_each_output():
    left, right = figures.touching((4, 4), (2, 2), (2, 1)).axes
    found = {tuple(np.floor(text.get_position()).astype(int)): text.get_text() for text in right.texts}
    assert found == {(1, 2): "$w_{00}$", (0, 2): "$w_{01}$", (1, 1): "$w_{10}$", (0, 1): "$w_{11}$"}
    assert len(left.patches) == 17
    corner = figures.touching((4, 4), (2, 2), (0, 0)).axes[1]
    assert [text.get_text() for text in corner.texts] == ["$w_{00}$"], "a corner is in one window only"


def test_descent_and_spread_draw_a_line_for_each_name():
    across = np.linspace(-1, 1, 5)
    surface = across, across, 1 + np.add.outer(across**2, across**2)
    paths = {"a": np.zeros((3, 2)), "b": np.ones((3, 2))}
    figure = figures.descent(surface, paths, {"a": [3, 2, 1], "b": [1, 1, 1]})
    assert [line.get_label() for line in figure.axes[1].lines] == ["a", "b"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [3, 2, 1]
    figure = figures.initial_spread({"a": [1, 2]}, {"a": [2, 1]})
    assert [ax.lines[0].get_ydata().tolist() for ax in figure.axes] == [[1, 2], [2, 1]]
