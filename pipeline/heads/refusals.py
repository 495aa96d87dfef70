"""What libraries raise when values or rows do not suit them, and not because code is wrong."""

import sys


def refusals() -> tuple[type[Exception], ...]:
    """Of scikit-learn, imbalanced-learn and numpy and, once it is imported, LightGBM."""
    lightgbm = sys.modules.get("lightgbm.basic")
    return (ValueError, TypeError, RuntimeError, MemoryError, *([lightgbm.LightGBMError] if lightgbm else []))
