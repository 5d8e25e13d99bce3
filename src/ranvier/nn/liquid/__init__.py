"""Liquid networks: LTC, CfC and their wirings."""
