"""With what the flows work: Prefect Blocks and the engines behind them.

Importing this package imports no Prefect; `blocks.collection` names the Block classes for Prefect.
"""
