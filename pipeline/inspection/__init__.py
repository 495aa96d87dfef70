"""An audit of features from what is known of their rows: what every command that audits shares.

invented             rows that the resamplers of the grid make of the training rows
outcome              files of what was found, and what stops a run
"""
