"""What theory predicts of networks, beside simulations."""
