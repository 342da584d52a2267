"""Facts that other systems tell, and decisions: what they may hold, how they come in, how formulas read them.

kinds.define(Kind(...), by=None, reason="...", now=now)      a kind of fact, or its next version
subjects.declare(...), subjects.register(...)                sorts of things, and the things
ingest.append(event, sender=Sender("name"), now=now)         one fact
ingest.append_lines(body, sender=..., now=now)               many, as NDJSON
decisions.record(...)                                        one decision
parked.release(now=now)                                      what waited for its kind
"""
