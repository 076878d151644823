# What a shadow found, straight from Redis: `python docs/shadow-diffs.py support`, with the address in REDIS_URL.
import json, os, sys  # noqa: E401
from collections import Counter
from redis import Redis

store = Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), decode_responses=True)
lines = [fields for _, fields in store.xrange(f"trivet:diffs:{{{sys.argv[1]}}}")]
print(Counter((line["candidate"], line["turn"], line["class"]) for line in lines if line["v"] == "1"))
for line in sorted(lines, key=lambda line: -float(line["severity"]))[:10]:
    differs = [f"{d['dimension']} at {d['path']}" for d in json.loads(line["differences"])]
    print(line["pair"], line["class"], line["severity"], ", ".join(differs))
