"""What came out of many runs: read from their folders, grouped over seeds, shown as a table, as data or as a picture.

Nothing here imports torch, Lightning or Hydra, and matplotlib only where a picture is asked for: two thousand runs are
read and shown in less time than torch takes to load.
"""
