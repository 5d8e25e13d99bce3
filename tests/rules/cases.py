"""A case for every rule of the package, with parameters at which it learns in `tests/engines/plastic.py`'s network."""

from ranvier import rules
from ranvier.atlas.plasticity.unsupervised_stdp import AtTarget

CASES = {
    type(rule): rule
    for rule in (
        rules.STDP(A_plus=0.08, A_minus=0.06, mu_plus=0.3, mu_minus=0.5, w_min=-0.1, w_max=1.2),
        rules.TripletSTDP(A2_plus=0.03, A3_minus=0.02, A3_plus=0.05, A2_minus=0.04),
        rules.InhibitorySTDP(eta=0.03, target=20.0, w_max=1.0),
        rules.RewardSTDP(interval=2.5, tau_c=60.0, tau_d=30.0, A_plus=0.02, A_minus=0.01, baseline=0.05),
        rules.Hebb(eta=0.02, decay=0.01, tau=12.0, interval=1.0),
        rules.Oja(eta=0.05, tau=15.0, interval=2.0),
        rules.BCM(eta=0.05, tau=15.0, tau_theta=40.0, y_0=0.8, interval=1.0, w_max=2.0),
        rules.TsodyksMarkram(U=0.4, tau_rec=60.0, tau_facil=35.0),
        rules.Clopath(A_LTD=0.02, A_LTP=0.03, theta_minus=-60.0, theta_plus=-57.0, delay=0.7, u_ref=9.0, tau_mean=40.0,
                      E_L=-66.0, w_max=1.0),
        AtTarget(eta=0.05, w_max=1.0),
    )
}
