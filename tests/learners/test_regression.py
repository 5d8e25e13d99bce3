"""BPTT on targets that are no classes."""

import torch

import ranvier as rv


def test_regression_has_a_loss_and_no_accuracy():
    """A linear map goes to the least squares that a solver finds."""
    torch.manual_seed(0)
    x, target = torch.randn(200, 3, 4), torch.randn(200, 3, 2)
    model = torch.nn.Linear(4, 2, bias=False)

    def error(y, target):
        return (y - target.transpose(0, 1)).square().mean()

    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    learner = rv.learners.BPTT(model, error, optimizer, encode=lambda x: x.transpose(0, 1), accuracy=None)
    for _ in range(100):
        prediction = learner.step((x, target))
    assert sorted(prediction) == ["examples", "loss"] == sorted(learner.evaluate((x, target)))
    best = torch.linalg.lstsq(x.reshape(-1, 4), target.reshape(-1, 2)).solution
    torch.testing.assert_close(model.weight.T, best, atol=1e-4, rtol=1e-4)
