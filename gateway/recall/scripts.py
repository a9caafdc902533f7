"""Writes that must not be seen, or survive a crash, by half: one Lua script each.

KEYS: the document, the collection's journal, its frozen mark. ARGV[1]: the document's id.
"""

# While the journal is there, a rebuild is going on and has to hear of every write. Once frozen, there are none.
_GUARD = """
if redis.call('EXISTS', KEYS[3]) == 1 then return redis.error_reply('FROZEN collection') end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('SADD', KEYS[2], ARGV[1]) end
"""

# DEL first because HSET alone would keep old fields. The first line makes a full server refuse the script as a whole:
# without it, HSET after DEL is let through.
REPLACE = f"""#!lua
{_GUARD}
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""

DELETE = f"""#!lua flags=allow-oom
{_GUARD}
return redis.call('DEL', KEYS[1])
"""
