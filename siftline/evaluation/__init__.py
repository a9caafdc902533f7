"""Measures a running siftline on judged data: `siftline eval` and `siftline calibrate`.

Needs the extra `siftline[eval]`; what is heavy of it (pytrec_eval, matplotlib, scikit-learn) is imported where it is
used. Everything here talks to the gateway as any client does.
"""
