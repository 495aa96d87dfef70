"""From features to probabilities, and from probabilities to decisions.

gathering, units     the folds that arms are fitted in, by image, exam or patient
named, entries       what params.yaml calls an arm: a resampler and a head with their values, votes, stacks
arms                 one arm in one fold: `search` among lists of values, `fitting` of a pair, `combine` of several
resamplers           RESAMPLERS; resampling/ has their code
classifiers          HEADS; estimators/ has those that are our own
budget               what fits will take, said before they start
deciding/            calibrators, decision rules, and the variants of an arm that they make
"""
