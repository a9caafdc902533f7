"""A new model beside the one in service: loaded, tried, taken in or taken back, while calls go on.

plan.py      what the new model has to show
versions.py  the one or two models of a service, and which of them answers a call
trial.py     how the two did
rollout.py   the phases, as a task of the service
record.py    what of it outlives the process
servicer.py  siftline.rollout.v1.RolloutService
metrics.py   what it tells Prometheus

Each model has a tritonserver of its own, in explicit mode: a new model that takes its engine down takes nothing else
down, and what a dead engine leaves is gone with its server (docs/decisions/a-triton-per-model.md).
"""
