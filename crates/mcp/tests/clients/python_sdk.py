"""The server, by stdio and by HTTP, as the official Python SDK's client sees it, in both eras of the protocol.

Of the environment: MCP_SERVER (the program), CONTAINARIUM_SERVER_URL and CONTAINARIUM_JWT_TOKEN.
"""

import json
import os
import sys
import time

import anyio
import mcp_types as types
from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

URL = os.environ["CONTAINARIUM_SERVER_URL"]
TOKEN = os.environ["CONTAINARIUM_JWT_TOKEN"]
MODES = ("legacy", "auto", "2026-07-28")
ERA = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}


# What the server can do, as it said when it was asked.
KNOWN = {}


def by_stdio():
    own = {name: os.environ[name] for name in ("CONTAINARIUM_SERVER_URL", "CONTAINARIUM_JWT_TOKEN")}
    return StdioServerParameters(command=os.environ["MCP_SERVER"], env=own)


def by_http():
    client = create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"})
    return streamable_http_client(f"{URL}/mcp", http_client=client)


class Person:
    """Who answers what the server asks: with `word`, or not at all."""

    def __init__(self):
        self.word = None
        self.asked = 0

    async def __call__(self, _context, question):
        self.asked += 1
        if self.word is None:
            return types.ElicitResult(action="decline")
        fields = question.requested_schema["properties"]
        told = {"string": self.word, "boolean": True}
        content = {name: told[field["type"]] for name, field in fields.items()}
        return types.ElicitResult(action="accept", content=content)


def text_of(result):
    return "\n".join(block.text for block in result.content if block.type == "text")


def holds(what, condition, shown=""):
    if not condition:
        raise AssertionError(f"{what}: {shown}")


class Session:
    def __init__(self, client, name, person):
        self.client, self.name, self.person = client, name, person
        self.tools = {}

    async def good(self, tool, signs=None, **arguments):
        """Calls a tool that must succeed; its structured answer, which its own schema must describe."""
        result = await self.client.call_tool(tool, arguments, progress_callback=signs)
        holds(f"{tool} succeeds", not result.is_error, text_of(result))
        Draft202012Validator(self.tools[tool].output_schema).validate(result.structured_content)
        return result.structured_content

    async def bad(self, tool, **arguments):
        """Calls a tool that must fail, with a sentence for the model and nothing of a protocol."""
        result = await self.client.call_tool(tool, arguments)
        holds(f"{tool} fails", result.is_error, text_of(result))
        holds(f"{tool} says why", len(text_of(result)) > 10)
        return text_of(result)

    async def names(self):
        listed = await self.good("list_containers")
        return [container["username"] for container in listed["containers"]]

    async def lists_tools(self):
        listed = await self.client.list_tools()
        self.tools = {tool.name: tool for tool in listed.tools}
        holds("there are tools", len(self.tools) >= 14, self.tools.keys())
        for tool in listed.tools:
            for schema in (tool.input_schema, tool.output_schema):
                holds(f"{tool.name} has both schemas", schema is not None)
                Draft202012Validator.check_schema(schema)
                holds(f"{tool.name} is of an object", schema["type"] == "object")
            holds(f"{tool.name} takes nothing unknown", tool.input_schema["additionalProperties"] is False)
            holds(f"{tool.name} says what it does to the world", tool.annotations.read_only_hint is not None)

    async def makes_and_reads(self):
        signs = []

        async def sign(progress, total, message):
            signs.append((progress, total, message))

        made = await self.good("create_container", sign, username=self.name)
        holds("the answer is of the container", self.name in json.dumps(made), made)
        holds("progress was told", signs)
        numbers = [progress for progress, _, _ in signs]
        holds("progress grows", numbers == sorted(set(numbers)), numbers)
        holds("it is listed", self.name in await self.names())
        await self.good("get_container", username=self.name)
        await self.good("get_system_info")

    async def errs_usefully(self):
        taken = await self.bad("create_container", username=self.name)
        holds("it says what is taken", self.name in taken, taken)
        unknown = await self.bad("get_container", username=self.name, colour="red")
        holds("it says which argument", "colour" in unknown, unknown)
        missing = await self.bad("get_container")
        holds("it says what is missing", "username" in missing, missing)
        wrong = await self.bad("create_container", username="Not A Name")
        holds("it says what is wrong", "username" in wrong, wrong)
        try:
            await self.client.call_tool("no_such_tool", {})
        except MCPError as error:
            holds("no tool is an error of the protocol", error.error.code == -32602, error)
        else:
            raise AssertionError("a tool that is not there was called")

    async def purges_only_what_a_person_confirms(self):
        if "purge_container" not in self.tools:
            return "there is no purge_container yet"
        for word in (None, f"not-{self.name}"):
            self.person.word, before = word, self.person.asked
            await self.bad("purge_container", username=self.name, force=True)
            holds("a person was asked", self.person.asked > before)
            holds("it is still there", self.name in await self.names())
        self.person.word = f"{self.name}-container"
        await self.good("purge_container", username=self.name, force=True)
        holds("it is gone", self.name not in await self.names())
        return None

    async def deletes(self):
        if self.name in await self.names():
            await self.good("delete_container", username=self.name, force=True)
        holds("it is gone", self.name not in await self.names())

    async def cancels_creates(self):
        """Of creates that are cancelled in their midst nothing is left: no container, and no half of one.

        All of a few may be over before they can be cancelled; not again and again.
        """
        for _ in range(5):
            if await self.some_are_undone():
                return
        raise AssertionError("cancelled creates are not undone")

    async def some_are_undone(self):
        usernames = {f"{self.name}-c{n}" for n in range(8)}
        begun = anyio.Event()

        async def sign(*_):
            begun.set()

        async with anyio.create_task_group() as group:
            for username in usernames:
                group.start_soon(self.create_and_forget, username, sign)
            await begun.wait()
            group.cancel_scope.cancel()
        until, same, before = time.monotonic() + 20, 0, None
        while same < 10:
            listed = (await self.good("list_containers"))["containers"]
            left = {one["username"]: one["state"] for one in listed if one["username"] in usernames}
            over = all(state == "running" for state in left.values())
            same = same + 1 if over and left == before else 0
            before = left
            holds("what was cancelled comes to an end", time.monotonic() < until, left)
            await anyio.sleep(0.1)
        for username in usernames:
            if username in left:
                await self.good("delete_container", username=username, force=True)
            else:
                await self.bad("get_container", username=username)
        return len(left) < len(usernames)

    async def create_and_forget(self, username, sign):
        await self.client.call_tool("create_container", {"username": username}, progress_callback=sign)

    async def reads_resources(self):
        if KNOWN["resources"] is None:
            return "there are no resources yet"
        uris = [str(one.uri) for one in (await self.client.list_resources()).resources]
        for uri in uris:
            read = await self.client.read_resource(uri)
            holds(f"{uri} has content", read.contents[0].text)
        holds("the guide is one", "containarium://guide" in uris, uris)
        templates = (await self.client.list_resource_templates()).resource_templates
        holds("containers are a template", "container://{username}" in [t.uri_template for t in templates], templates)
        read = await self.client.read_resource(f"container://{self.name}")
        holds("a container can be read", self.name in read.contents[0].text)
        try:
            await self.client.read_resource("container://nobody-at-all")
        except MCPError:
            return None
        raise AssertionError("a container that is not there was read")

    async def gets_prompts(self):
        if KNOWN["prompts"] is None:
            return "there are no prompts yet"
        prompts = (await self.client.list_prompts()).prompts
        sample = {"usernames": "ann,bob", "team": "red", "days": "7", "count": "3"}
        for prompt in prompts:
            arguments = {a.name: sample.get(a.name, "ann") for a in prompt.arguments or [] if a.required}
            got = await self.client.get_prompt(prompt.name, arguments)
            holds(f"{prompt.name} says something", got.messages[0].content.text)
        return None


async def session(way, mode):
    person = Person()
    async with Client(way(), mode=mode, elicitation_callback=person, read_timeout_seconds=60) as client:
        version = client.protocol_version
        holds("the era is as asked", version == ERA[mode], version)
        # Who pins a version asks for nothing first, and so is not told.
        if mode != "2026-07-28":
            holds("it says who it is", client.server_info.name == "containarium")
            holds("it says how it is used", client.instructions)
            KNOWN.update(client.server_capabilities.model_dump())
        name = f"py-{way.__name__[3:]}-{mode.replace('2026-07-28', 'new')}"
        one = Session(client, name, person)
        for part in (
            one.lists_tools,
            one.makes_and_reads,
            one.errs_usefully,
            one.reads_resources,
            one.gets_prompts,
            one.purges_only_what_a_person_confirms,
            one.deletes,
            one.cancels_creates,
        ):
            skipped = await part()
            what = part.__name__.replace("_", " ")
            print(f"  {way.__name__[3:]:5} {mode:10} {what}{f' (skipped: {skipped})' if skipped else ''}", flush=True)


async def main():
    ways = {"stdio": by_stdio, "http": by_http}
    for way in sys.argv[1:] or ways:
        for mode in MODES:
            with anyio.fail_after(120):
                await session(ways[way], mode)


anyio.run(main)
